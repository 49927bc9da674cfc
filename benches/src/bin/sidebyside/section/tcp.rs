//! Real TCP connections through NAT, beside proxies: connections a second, requests a second, latency.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{Haproxy, Nginx};
use crate::failure::Failure;
use crate::figure::{Figure, Findings, Unit, Wanted, write_rate};
use crate::interrupt;
use crate::median::median;
use crate::plan::Plan;
use crate::race::{Race, Results};
use crate::sample::Sample;
use crate::section::lanes::{Director, Kernel, Routed};
use crate::site::{Lane, Load, SIZE, Site, Talk};

/// Conversations at a time.
const CLIENTS: usize = 50;

/// The contenders, those that are there.
struct Contenders {
    routed: Routed,
    nft: Kernel,
    lvsd: Director,
    haproxy: Option<Haproxy>,
    nginx: Option<Nginx>,
}

impl Contenders {
    fn start(site: &Site, findings: &mut Findings) -> Result<Self, Failure> {
        let mut present = |started: Result<_, Failure>| absent(started, findings);
        let haproxy = present(Haproxy::start(site.lane("haproxy", 4)?, site.files()).map(Proxy::Haproxy))?;
        let nginx = present(Nginx::start(site.lane("nginx", 5)?, site.files()).map(Proxy::Nginx))?;
        Ok(Self {
            routed: Routed::start(site, 1)?,
            nft: Kernel::start(site, 2)?,
            lvsd: Director::start(site, 3)?,
            haproxy: haproxy.and_then(Proxy::haproxy),
            nginx: nginx.and_then(Proxy::nginx),
        })
    }

    /// Name, lane and where to connect to.
    fn all(&self) -> Vec<(&'static str, &Lane, SocketAddrV4)> {
        let [server, _] = self.routed.lane.service().servers;
        let mut all = vec![
            ("routed", &self.routed.lane, server),
            ("nft DNAT", &self.nft.lane, self.nft.lane.service().vip),
            ("lvsd", &self.lvsd.lane, self.lvsd.lane.service().vip),
        ];
        all.extend(self.haproxy.as_ref().map(|its| ("HAProxy", &its.lane, its.lane.service().vip)));
        all.extend(self.nginx.as_ref().map(|its| ("nginx stream", &its.lane, its.lane.service().vip)));
        all
    }
}

enum Proxy {
    Haproxy(Haproxy),
    Nginx(Nginx),
}

impl Proxy {
    fn haproxy(self) -> Option<Haproxy> {
        if let Self::Haproxy(haproxy) = self { Some(haproxy) } else { None }
    }

    fn nginx(self) -> Option<Nginx> {
        if let Self::Nginx(nginx) = self { Some(nginx) } else { None }
    }
}

/// None for a contender that is not here, which is told.
fn absent<T>(started: Result<T, Failure>, findings: &mut Findings) -> Result<Option<T>, Failure> {
    match started {
        Err(Failure::Absent(why)) => {
            findings.skipped.push(why);
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// All three.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    let site = Site::build()?;
    let contenders = Contenders::start(&site, &mut findings)?;
    let time = Duration::from_millis(if plan.is_quick { 50 } else { 600 });
    for (talk, name, least) in [(Talk::Once, "connections", 3.0), (Talk::Again, "keep-alive requests", 1.5)] {
        plan.say(&format!("tcp: {name} a second"));
        let load = Load { talk, clients: CLIENTS, time };
        let results = race(&contenders, plan, |lane, to| load.run(&site, lane, to))?;
        for proxy in ["HAProxy", "nginx stream"].into_iter().filter(|name| results.median(name).is_some()) {
            let what = format!("TCP {name} a second through NAT : {proxy}");
            let id = if talk == Talk::Once { "tcp-connections" } else { "tcp-requests" };
            let rate = |name: &str| results.median(name).map_or_else(|| "none".to_owned(), write_rate);
            let detail =
                ["lvsd", proxy, "nft DNAT", "routed"].map(|name| format!("{name} {}", rate(name))).join(", ");
            let figure = Figure::ratio(id, what, least, &results, ("lvsd", proxy));
            findings.figures.push(figure.because(detail));
        }
    }
    plan.say("tcp: latency");
    let count = if plan.is_quick { 50 } else { 4_000 };
    let results = race(&contenders, plan, |lane, to| latency(&site, lane, to, count))?;
    for proxy in ["HAProxy", "nginx stream"].into_iter().filter(|name| results.median(name).is_some()) {
        findings.figures.push(added(&results, proxy));
    }
    Ok(findings)
}

fn race(
    contenders: &Contenders,
    plan: &Plan,
    take: impl Fn(&Lane, SocketAddrV4) -> Result<f64, Failure>,
) -> Result<Results, Failure> {
    let take = &take;
    let mut race = Race::default();
    for (name, lane, to) in contenders.all() {
        // Clients, servers and balancer share the processors: that some wait for one is no disturbance.
        race = race.enter(name, move || Ok(Sample { value: take(lane, to)?, delay: 0.0 }));
    }
    race.run(plan)
}

/// What each adds to the median time of a request, beside the way without a balancer.
fn added(results: &Results, proxy: &str) -> Figure {
    let beyond = |name: &str| -> Vec<Option<f64>> {
        let pairs = results.of(name).into_iter().zip(results.of("routed"));
        pairs.map(|(with, without)| Some((with? - without?).max(0.0))).collect()
    };
    let time = |name: &str| results.median(name).unwrap_or(f64::NAN);
    let figure =
        Figure::new("tcp-latency", format!("added p50 latency : {proxy}"), Wanted::AtMost(0.5), Unit::Times);
    figure.of(crate::median::ratios(&beyond("lvsd"), &beyond(proxy))).because(format!(
        "p50 routed {:.1} µs, lvsd {:.1} µs, {proxy} {:.1} µs",
        time("routed"),
        time("lvsd"),
        time(proxy)
    ))
}

/// The median of the microseconds between a request and its answer, on one connection with nothing else going on.
fn latency(site: &Site, lane: &Lane, to: SocketAddrV4, count: usize) -> Result<f64, Failure> {
    interrupt::check()?;
    let ask = || -> std::io::Result<Vec<f64>> {
        let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut times = Vec::with_capacity(count);
        // The first ones are of a connection that is not in the cache yet.
        let warm = 100;
        for number in 0..count + warm {
            if number == warm / 2 {
                thread::sleep(Duration::from_millis(200));
            }
            let start = Instant::now();
            stream.write_all(&[b'k'; SIZE])?;
            stream.read_exact(&mut [0; SIZE])?;
            if number >= warm {
                times.push(start.elapsed().as_secs_f64() * 1e6);
            }
        }
        Ok(times)
    };
    let times =
        site.clients().inside(ask)?.map_err(Failure::system(format!("through {}", lane.host().name())))?;
    median(&times).ok_or_else(|| Failure::Wrong("no request was answered".to_owned()))
}
