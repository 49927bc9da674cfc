//! Path MTUs that routers reported about tunnels: what the kernel keeps with its routes (`ip_rt_update_pmtu`).
//!
//! A report counts only where it quotes a packet of a connection to a server that is there, so there are never more of
//! them than servers. The packet path reports; the control thread puts what is known into the next snapshot, so that no
//! packet is held against anything but its server's way.
//!
//! The client of the packet that is quoted is told what the way carries now. Linux 6.1 tells it what its route carried
//! before the report, or 68 where an older report has just expired; the next packet then finds the right one. As there,
//! a report about an outer IPv6 packet, or about an IPv6 packet within an IPv4 one, is the host's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use lvs_conntrack::Tick;
use parking_lot::Mutex;

/// How long a report counts (`net.ipv4.route.mtu_expires`).
const LIFETIME: Duration = Duration::from_mins(10);
/// Smaller reports count as this (`net.ipv4.route.min_pmtu`).
const LEAST: u16 = 552;
/// Servers there may be reports about.
const MOST: usize = 1 << 16;

#[derive(Debug, Clone, Copy)]
struct Known {
    mtu: u16,
    until: Tick,
}

/// What is known, by server.
#[derive(Debug, Default)]
pub(crate) struct PathMtus {
    known: Mutex<HashMap<IpAddr, Known>>,
    changed: AtomicBool,
}

impl PathMtus {
    /// Takes in that a packet of more than `reported` octets does not get through to `server`, whose route carries
    /// `routed` octets; returns what the way to it carries now.
    pub(crate) fn report(&self, server: IpAddr, reported: u16, routed: u16, now: Tick) -> u16 {
        let mut known = self.known.lock();
        let old = known.get(&server).filter(|known| known.until > now);
        let present = old.map_or(routed, |known| known.mtu.min(routed));
        let is_news = if old.is_some() { reported <= present } else { reported < present };
        if !is_news || (known.len() >= MOST && !known.contains_key(&server)) {
            return present;
        }
        let mtu = reported.max(LEAST).min(present);
        known.insert(server, Known { mtu, until: now + LIFETIME });
        if mtu != present {
            self.changed.store(true, Relaxed);
        }
        mtu
    }

    /// What is known of the way to a server.
    pub(crate) fn of(&self, server: IpAddr) -> Option<u16> {
        self.known.lock().get(&server).map(|known| known.mtu)
    }

    /// Forgets what is too old; true when something is other than it was at the last call.
    pub(crate) fn settle(&self, now: Tick) -> bool {
        let mut known = self.known.lock();
        let count = known.len();
        known.retain(|_, known| known.until > now);
        let has_forgotten = known.len() != count;
        self.changed.swap(false, Relaxed) || has_forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 11));

    #[test]
    fn only_a_smaller_report_counts_and_none_below_the_least() {
        let mtus = PathMtus::default();
        assert_eq!(mtus.report(SERVER, 9000, 1500, Tick::ZERO), 1500);
        assert_eq!((mtus.of(SERVER), mtus.settle(Tick::ZERO)), (None, false));
        assert_eq!(mtus.report(SERVER, 1300, 1500, Tick::ZERO), 1300);
        assert!(mtus.settle(Tick::ZERO));
        assert_eq!(mtus.report(SERVER, 1350, 1500, Tick::ZERO), 1300);
        assert!(!mtus.settle(Tick::ZERO));
        for reported in [400, 60, 0] {
            assert_eq!(mtus.report(SERVER, reported, 1500, Tick::ZERO), LEAST);
        }
        assert_eq!(mtus.of(SERVER), Some(LEAST));
        assert_eq!(mtus.of("10.0.0.12".parse().unwrap()), None);
    }

    #[test]
    fn a_report_counts_for_ten_minutes_and_the_same_again_for_ten_more() {
        let mtus = PathMtus::default();
        mtus.report(SERVER, 1300, 1500, Tick::ZERO);
        let middle = Tick::ZERO + Duration::from_mins(8);
        assert_eq!(mtus.report(SERVER, 1300, 1500, middle), 1300);
        mtus.settle(middle);
        assert!(!mtus.settle(Tick::ZERO + Duration::from_mins(17)));
        assert!(mtus.settle(Tick::ZERO + Duration::from_mins(18)));
        assert_eq!(mtus.of(SERVER), None);
        let late = Tick::ZERO + Duration::from_mins(20);
        assert_eq!(mtus.report(SERVER, 1400, 1500, late), 1400, "the old one is forgotten");
    }

    #[test]
    fn there_is_an_end_to_the_servers_that_are_remembered() {
        let mtus = PathMtus::default();
        for number in 0..u32::try_from(MOST).unwrap() + 10 {
            mtus.report(IpAddr::V4(number.into()), 1300, 1500, Tick::ZERO);
        }
        assert_eq!(mtus.known.lock().len(), MOST);
    }
}
