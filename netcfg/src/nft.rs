//! Source NAT for the servers' own outbound traffic, in an nftables table of its own.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::{Command, Output, Stdio};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The table everything is kept in; nothing else is in it and nothing of ours is elsewhere.
pub(crate) const TABLE: &str = "inet lvsd";
const CHAIN: &str = "type nat hook postrouting priority srcnat; policy accept;";
/// Where `nft` stands when the caller's PATH leaves out the system's directories.
const PLACES: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft", "/usr/bin/nft"];

/// What the source address becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatSource {
    /// The address of the interface the packet leaves through.
    Masquerade,
    /// This address.
    Fixed(IpAddr),
}

/// One rule of source NAT: packets from `from` that leave (through `out`) get another source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceNat {
    /// The servers' network.
    pub from: IpNet,
    /// What its addresses become.
    pub to: NatSource,
    /// Only for packets that leave through this interface; none means every interface.
    pub out: Option<String>,
}

impl SourceNat {
    /// The rule in nftables' own words, as `nft list` prints it.
    pub(crate) fn rule(&self) -> String {
        let family = if self.from.addr().is_ipv4() { "ip" } else { "ip6" };
        // nft prints a network of one address without its length.
        let from = match self.from.trunc() {
            single if single.prefix_len() == single.max_prefix_len() => single.addr().to_string(),
            network => network.to_string(),
        };
        let out = self.out.as_ref().map(|out| format!(" oifname \"{out}\"")).unwrap_or_default();
        match self.to {
            NatSource::Masquerade => format!("{family} saddr {from}{out} masquerade"),
            NatSource::Fixed(ip) => format!("{family} saddr {from}{out} snat {family} to {ip}"),
        }
    }

    /// Refuses what nftables would not take.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        match self.to {
            NatSource::Fixed(ip) if ip.is_ipv4() != self.from.addr().is_ipv4() => {
                Err(Error::Unfit(format!("source NAT from {} to {ip}: the families differ", self.from)))
            }
            NatSource::Fixed(_) | NatSource::Masquerade => Ok(()),
        }
    }
}

/// The whole table with these rules, as `nft -f` reads and `nft list` prints it.
pub(crate) fn table_text(rules: &[String]) -> String {
    let mut text = format!("table {TABLE} {{\n\tchain postrouting {{\n\t\t{CHAIN}\n");
    for rule in rules {
        text.push_str("\t\t");
        text.push_str(rule);
        text.push('\n');
    }
    text.push_str("\t}\n}\n");
    text
}

/// The commands that make the table by hand.
pub(crate) fn commands(rules: &[String]) -> Vec<String> {
    let mut commands =
        vec![format!("nft add table {TABLE}"), format!("nft 'add chain {TABLE} postrouting {{ {CHAIN} }}'")];
    commands.extend(rules.iter().map(|rule| format!("nft 'add rule {TABLE} postrouting {rule}'")));
    commands
}

/// The text of our table, or none when it does not exist.
pub(crate) fn list_table() -> Result<Option<String>, Error> {
    let output = run(&["list", "table", "inet", "lvsd"], None)?;
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains("No such file or directory") {
        return Ok(None);
    }
    Err(Error::Nft(first_line(&complaint)))
}

/// Puts `text` in the place of our table in one transaction; with none, only removes the table.
pub(crate) fn replace_table(text: Option<&str>) -> Result<(), Error> {
    // Adding before deleting makes the deletion succeed whether or not the table was there.
    let script = format!("add table {TABLE}\ndelete table {TABLE}\n{}", text.unwrap_or_default());
    let output = run(&["-f", "-"], Some(&script))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Nft(first_line(&String::from_utf8_lossy(&output.stderr))))
}

/// The whole ruleset of the host without counters' values; none where there is no `nft`.
pub(crate) fn list_ruleset() -> Result<String, Error> {
    let output = run(&["-s", "list", "ruleset"], None)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Nft(first_line(&String::from_utf8_lossy(&output.stderr))))
}

/// Whether two texts of a table say the same, whatever their white space.
pub(crate) fn says_the_same(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.is_empty()).unwrap_or("failed without a word").to_owned()
}

fn run(arguments: &[&str], input: Option<&str>) -> Result<Output, Error> {
    let failed = |error: io::Error| Error::Nft(error.to_string());
    let program = PLACES.into_iter().find(|place| std::path::Path::new(place).exists());
    let Some(program) = program else {
        return Err(Error::Nft("the command is not installed (package nftables)".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        pipe.write_all(input.as_bytes()).map_err(failed)?;
    }
    child.wait_with_output().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nat(from: &str, to: NatSource, out: Option<&str>) -> SourceNat {
        SourceNat { from: from.parse().unwrap(), to, out: out.map(str::to_owned) }
    }

    #[test]
    fn rules_are_written_as_nft_prints_them() {
        let fixed = NatSource::Fixed("192.168.91.141".parse().unwrap());
        assert_eq!(
            nat("192.168.81.0/24", fixed, Some("ens33")).rule(),
            "ip saddr 192.168.81.0/24 oifname \"ens33\" snat ip to 192.168.91.141"
        );
        assert_eq!(nat("fd00::7/64", NatSource::Masquerade, None).rule(), "ip6 saddr fd00::/64 masquerade");
        assert_eq!(nat("10.0.0.7/32", NatSource::Masquerade, None).rule(), "ip saddr 10.0.0.7 masquerade");
    }

    #[test]
    fn the_families_of_a_fixed_source_must_agree() {
        let v6 = NatSource::Fixed("fd00::1".parse().unwrap());
        assert!(nat("10.0.0.0/8", v6, None).validate().is_err());
        assert!(nat("fd01::/64", v6, None).validate().is_ok());
    }
}
