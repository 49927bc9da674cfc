//! Interfaces that go up and down: some count only after a while (`interface_up_down_delays`).

use std::collections::BTreeMap;
use std::time::Duration;

use lvs_vrrp::Tick;
use lvs_vrrp::declared::LinkDelay;

#[derive(Debug, Clone, Copy)]
struct Link {
    /// What it counts as.
    counts_as: bool,
    /// What it has been since, where that differs.
    changed: Option<Tick>,
}

/// What the interfaces count as.
#[derive(Debug, Default)]
pub(super) struct Links {
    delays: BTreeMap<String, (Duration, Duration)>,
    links: BTreeMap<String, Link>,
}

impl Links {
    pub(super) fn set_delays(&mut self, delays: &[LinkDelay]) {
        self.delays = delays.iter().map(|delay| (delay.interface.clone(), (delay.down, delay.up))).collect();
    }

    /// What an interface counts as that is up, or is not, at the moment.
    pub(super) fn judge(&mut self, name: &str, is_up: bool, now: Tick) -> bool {
        let Some(&delays) = self.delays.get(name) else { return is_up };
        let link = self.links.entry(name.to_owned()).or_insert(Link { counts_as: is_up, changed: None });
        if link.counts_as == is_up {
            link.changed = None;
        } else {
            let delay = if is_up { delays.1 } else { delays.0 };
            if now - *link.changed.get_or_insert(now) >= delay {
                *link = Link { counts_as: is_up, changed: None };
            }
        }
        link.counts_as
    }

    /// When the next one may count as something else.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let due = self.links.iter().filter_map(|(name, link)| {
            let &(down, up) = self.delays.get(name)?;
            Some(link.changed? + if link.counts_as { down } else { up })
        });
        due.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_flap_does_not_count() {
        let mut links = Links::default();
        let second = Duration::from_secs(1);
        let delay = LinkDelay { interface: "eth0".to_owned(), down: second, up: second * 2 };
        links.set_delays(&[delay]);
        let at = |tenths: u32| Tick::at(second * tenths / 10);
        assert!(links.judge("eth0", true, at(0)));
        assert!(links.judge("eth0", false, at(10)));
        assert_eq!(links.next_deadline(), Some(at(20)));
        assert!(links.judge("eth0", true, at(15)));
        assert_eq!(links.next_deadline(), None);
        assert!(links.judge("eth0", false, at(30)));
        assert!(!links.judge("eth0", false, at(40)));
        assert!(!links.judge("eth0", true, at(50)));
        assert!(!links.judge("eth0", true, at(69)));
        assert!(links.judge("eth0", true, at(70)));
        assert!(!links.judge("eth1", false, at(70)), "without a delay it counts at once");
    }
}
