//! A million connections through NAT: what they take, in user space and in the kernel's maps.

use std::collections::BTreeMap;
use std::fs;

use crate::contender::{Cache, Lvsd, Method};
use crate::failure::Failure;
use crate::figure::{Figure, Findings, Unit, Wanted};
use crate::plan::Plan;
use crate::section::idle::page;
use crate::world::World;

const CONNECTIONS: u32 = 1_000_000;
/// Octets for each.
const MOST: f64 = 500.0;

/// The daemon with nothing, and with a million.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    let count = plan.flows(CONNECTIONS);
    let world = World::build()?;
    let cache = Cache(2 * u64::from(CONNECTIONS) + 100_000);
    let mut ours = Lvsd::start(&world, 1, Method::Nat, cache, u64::from(CONNECTIONS) * 3 / 2)?;
    let process = ours.daemon.status()?.pid;
    let before = taken(process)?;
    plan.say("memory: filling");
    ours.fill(&world, count)?;
    let after = taken(process)?;
    let connections = ours.daemon.status()?.connections;
    if connections < u64::from(count) {
        return Err(Failure::Wrong(format!("there are {connections} connections, not {count}")));
    }
    #[allow(clippy::cast_precision_loss, reason = "far less than 2^52 octets")]
    let each =
        |(user, maps): (u64, u64)| [user, maps, user + maps].map(|octets| octets as f64 / f64::from(count));
    let [user, maps, all] = each(after);
    let [.., empty] = each(before);
    let what = "memory of a NAT connection, of 1,000,000, user space and maps";
    let figure = Figure::new("memory", what, Wanted::AtMost(MOST), Unit::Bytes).of(vec![all]);
    let detail = format!(
        "resident {user:.0}, maps {maps:.0} (both ways are in the cache); {empty:.0} of all that before the first"
    );
    Ok(Findings { figures: vec![figure.because(detail)], ..Findings::default() })
}

/// Octets of resident memory, and of the maps that a process holds.
fn taken(process: u32) -> Result<(u64, u64), Failure> {
    let failed = || Failure::system(format!("/proc/{process}"));
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).map_err(failed())?;
    let word =
        |place| statm.split_whitespace().nth(place).and_then(|word| word.parse().ok()).unwrap_or(0_u64);
    // What is shared are the flows' maps, which are counted as such, and the program's file.
    let pages = word(1).saturating_sub(word(2));
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{process}/fdinfo")).map_err(failed())? {
        let text = fs::read_to_string(entry.map_err(failed())?.path()).unwrap_or_default();
        maps.extend(map(&text));
    }
    Ok((pages * page(), maps.values().sum()))
}

/// A map's number and its octets, as the description of its descriptor has them.
fn map(text: &str) -> Option<(u64, u64)> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().parse().ok()
    };
    value("map_type").map(|_: u64| ())?;
    Some((value("map_id")?, value("memlock")?))
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn a_map_is_told_by_its_descriptor() {
        let text = "pos:\t0\nflags:\t02000002\nmap_type:\t1\nkey_size:\t16\nmax_entries:\t3\nmemlock:\t4096\nmap_id:\t17\n";
        assert_eq!(map(text), Some((17, 4096)));
        assert_eq!(
            map("pos:\t0\nprog_type:\t6\nmemlock:\t4096\nprog_id:\t17\n"),
            None,
            "a program is no map"
        );
    }
}
