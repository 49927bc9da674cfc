//! A site's two keepalived.conf as they stand, on two directors in front of two web servers: clients ask all the time
//! while a server dies, comes back and is drained, and while the master dies, returns and is stopped. What was lost is
//! counted for each scene and held to a bound.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]
#![allow(clippy::print_stdout, reason = "what was lost is printed")]

#[path = "pair/holder.rs"]
mod holder;
#[path = "pair/load.rs"]
mod load;
mod net;
#[path = "pair/site.rs"]
mod site;

use std::time::{Duration, Instant};

use load::Outcome;
use site::{RIPS, Site};

/// `delay_loop`, and the three retries `delay_before_retry` apart: a server that refuses is out after that.
const DELAY_LOOP: Duration = Duration::from_secs(6);
const RETRIES: Duration = Duration::from_secs(3 * 3);
/// `Master_Down_Interval` of the backup: three adverts and the skew of priority 90 (RFC 3768, section 6.1).
const DOWN: Duration = Duration::from_millis(3000 + SKEW);
const SKEW: u64 = (256 - 90) * 1000 / 256;
/// What a machine with other things to do may add.
const SLACK: Duration = Duration::from_millis(1500);

/// Plays one scene: what came of the requests from its beginning to `after` its end.
fn scene(site: &Site, name: &str, after: Duration, play: impl FnOnce()) -> Outcome {
    let began = Instant::now();
    play();
    let took = began.elapsed();
    std::thread::sleep(after);
    let outcome = site.load().between(began, Instant::now());
    println!("{name:34} {:5} ms: {outcome}", took.as_millis());
    outcome
}

#[test]
#[ignore = "needs root"]
fn a_site_goes_on_while_its_servers_and_directors_come_and_go() {
    let mut site = Site::new();
    site.start("backup");
    site.start("master");
    site.wait_for_holder("master", DOWN + SLACK * 2);
    site.ask();
    let second = Duration::from_secs(1);

    let steady = scene(&site, "all is well", second, || std::thread::sleep(second));
    assert_eq!(steady.lost(), 0, "{steady}");
    assert_eq!(steady.answers.len(), 2, "{steady}");

    servers_come_and_go(&mut site);
    directors_come_and_go(&mut site);

    let both = site.longest_with_two();
    println!("both directors held the address for {} ms at most", both.as_millis());
    assert!(both <= second, "two held the address for {both:?}");
}

fn servers_come_and_go(site: &mut Site) {
    let second = Duration::from_secs(1);
    let [first, _] = RIPS;
    let dies = scene(site, "a server dies", Duration::ZERO, || {
        site.kill_server("rs1");
        site.wait_for_weight("master", first, None, DELAY_LOOP + RETRIES + SLACK);
    });
    // Every other request is refused by the dead server's host, no more.
    assert!(dies.lost() <= dies.answers["rs2"] + 10, "{dies}");
    assert!(dies.gap < second, "{dies}");
    let without = scene(site, "... it is out", second, || {});
    assert_eq!((without.lost(), without.answers.len()), (0, 1), "{without}");

    site.net.nginx("rs1");
    let returns = scene(site, "... it comes back", second, || {
        site.wait_for_weight("master", first, Some(1), DELAY_LOOP + SLACK);
    });
    assert_eq!((returns.lost(), returns.answers.len()), (0, 2), "{returns}");

    let mut kept = site.connect("rs1");
    let drained = scene(site, "a server is drained (weight 0)", second, || {
        site.set_weight("master", first, 0);
    });
    // A request or two may have been on their way.
    let to_first = drained.answers.get("rs1").copied().unwrap_or_default();
    assert!(drained.lost() == 0 && to_first <= 4, "{drained}");
    assert_eq!(site::ask_again(&mut kept), "rs1", "its connections go on");
    site.set_weight("master", first, 1);
    drop(kept);
    site.wait_for_weight("backup", first, Some(1), DELAY_LOOP + SLACK);
}

fn directors_come_and_go(site: &mut Site) {
    let second = Duration::from_secs(1);
    let mut master = site.take("master");
    let killed = scene(site, "the master is killed (kill -9)", second, || {
        let began = Instant::now();
        master.kill();
        site.wait_for_release("master", second);
        println!("    its address was gone after {} ms", began.elapsed().as_millis());
        site.wait_for_holder("backup", DOWN + SLACK);
    });
    assert!(killed.gap <= DOWN + SLACK, "{killed}");
    assert_eq!(killed.answers.len(), 2, "{killed}");
    assert_eq!(killed.lost.keys().collect::<Vec<_>>(), ["timed out"], "{killed}");

    site.start("master");
    let returned = scene(site, "... it returns, and preempts", second, || {
        site.wait_for_holder("master", DOWN + SLACK);
    });
    assert!(returned.gap <= second, "{returned}");

    let mut master = site.take("master");
    let stopped = scene(site, "the master is stopped (SIGTERM)", second, || {
        assert!(master.stop(), "it did not end well: {}", master.said());
        site.wait_for_release("master", Duration::ZERO);
        site.wait_for_holder("backup", SLACK);
    });
    assert!(stopped.gap <= Duration::from_millis(SKEW) + SLACK, "{stopped}");

    site.start("master");
    let again = scene(site, "... it returns once more", second, || {
        site.wait_for_holder("master", DOWN + SLACK);
    });
    assert!(again.gap <= second, "{again}");
    let end = scene(site, "all is well", second, || {});
    assert_eq!((end.lost(), end.answers.len()), (0, 2), "{end}");
}
