//! Much data on few connections: transfers of a megabyte, and iperf3.

use std::process::Command;
use std::time::Duration;

use lvsd::lab::process::Process;

use crate::core::Core;
use crate::failure::Failure;
use crate::figure::{Figure, Findings};
use crate::interrupt;
use crate::plan::Plan;
use crate::race::Race;
use crate::sample::Sample;
use crate::section::lanes::{Director, Kernel};
use crate::site::{IPERF, Lane, Load, Site, Talk, program};

const LEAST: f64 = 1.0;
const BOTH: (&str, &str) = ("lvsd", "nft DNAT");

/// Both, as veth has it (segments of up to 64 KiB where nobody asks for frames), and with frames of the MTU.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    for is_cut in [false, true] {
        let name = if is_cut { "frames of 1,500 octets" } else { "veth's own offloads" };
        plan.say(&format!("transfer: {name}"));
        let site = Site::build()?;
        let nft = Kernel::start(&site, 1)?;
        let ours = Director::start(&site, 2)?;
        if is_cut {
            site.cut(1)?;
            site.cut(2)?;
        }
        let time = Duration::from_millis(if plan.is_quick { 100 } else { 700 });
        let load = Load { talk: Talk::Megabyte, clients: 8, time };
        let take = |lane: &Lane| Ok(Sample { value: load.run(&site, lane, lane.service().vip)?, delay: 0.0 });
        let results = Race::default()
            .enter("nft DNAT", || take(&nft.lane))
            .enter("lvsd", || take(&ours.lane))
            .run(plan)?;
        let id = if is_cut { "transfer-cut" } else { "transfer" };
        let what = format!("1 MiB transfers a second through NAT, {name} : nft DNAT");
        findings.figures.push(Figure::ratio(id, what, LEAST, &results, BOTH));
        match program("iperf3", "iperf3") {
            Ok(iperf) => {
                let server = iperf3_server(&site, &iperf)?;
                let seconds = 1;
                let take =
                    |lane: &Lane| Ok(Sample { value: iperf3(&site, lane, &iperf, seconds)?, delay: 0.0 });
                let results = Race::default()
                    .enter("nft DNAT", || take(&nft.lane))
                    .enter("lvsd", || take(&ours.lane))
                    .run(plan)?;
                let what = format!("iperf3 (bits a second) through NAT, {name} : nft DNAT");
                findings.figures.push(Figure::ratio(id, what, LEAST, &results, BOTH));
                drop(server);
            }
            Err(Failure::Absent(why)) => findings.skipped.push(why),
            Err(other) => return Err(other),
        }
    }
    Ok(findings)
}

fn iperf3_server(site: &Site, iperf: &std::path::Path) -> Result<Process, Failure> {
    let port = IPERF.to_string();
    let log = site.files().join("iperf3.log");
    let start = || Process::start(site.servers(), iperf, &["-s", "-p", &port], log);
    let process = Core::Any.run(start).map_err(Failure::system("iperf3"))?;
    std::thread::sleep(Duration::from_millis(300));
    Ok(process)
}

/// Bits a second that arrived.
fn iperf3(site: &Site, lane: &Lane, iperf: &std::path::Path, seconds: u32) -> Result<f64, Failure> {
    interrupt::check()?;
    let vip = lane.service().vip.ip().to_string();
    let run = || {
        Core::Any.stay();
        Command::new("ip")
            .args(["netns", "exec", site.clients().name()])
            .arg(iperf)
            .args(["-c", &vip, "-p", &IPERF.to_string(), "-t", &seconds.to_string(), "-J"])
            .args(["--connect-timeout", "5000"])
            .output()
    };
    let output = Core::Any.run(run).map_err(Failure::system("iperf3"))?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let rate = said.pointer("/end/sum_received/bits_per_second").and_then(serde_json::Value::as_f64);
    rate.ok_or_else(|| {
        let why = said.get("error").map_or_else(String::new, ToString::to_string);
        Failure::Wrong(format!("iperf3 through {}: {why}", lane.host().name()))
    })
}
