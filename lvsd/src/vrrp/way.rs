//! Routes and rules as the kernel is to have them, and those that are on the host.

use ipnet::IpNet;
use lvs_netcfg::{HostView, PolicyRule};
use lvs_vrrp::declared::{KEEPALIVED, Prefix, Route, RouteKind, Rule, RuleVerdict};

use super::guard::Held;
use super::hands::Hands;

/// Something that is to be on the host.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) held: Held,
    /// It is not put back where somebody removes it.
    pub(super) is_untracked: bool,
}

/// What is to be on the host, as far as it can be; and what is said of the rest.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) wanted: Vec<Wanted>,
    pub(super) complaints: Vec<String>,
}

impl Wishes {
    /// The routes and rules for the host as it is.
    pub(super) fn new(routes: &[Route], rules: &[Rule], view: &HostView) -> Self {
        let mut wishes = Self::default();
        for route in routes {
            let made = route_for_kernel(route, view).map(Held::Route);
            wishes.add(made, route.is_untracked, || format!("route {route}"));
        }
        // Rules lead to routes: they come after them, and go before them.
        for rule in rules {
            wishes.add(Some(Held::Rule(rule_for_kernel(rule))), rule.is_untracked, || format!("rule {rule}"));
        }
        wishes
    }

    /// Something that is wanted; what has no number for the kernel is on an interface that is not there.
    pub(super) fn add(&mut self, held: Option<Held>, is_untracked: bool, name: impl FnOnce() -> String) {
        match held {
            Some(held) => self.wanted.push(Wanted { held, is_untracked }),
            None => self.complaints.push(format!("{}: its interface is not there", name())),
        }
    }
}

fn route_for_kernel(declared: &Route, view: &HostView) -> Option<lvs_netcfg::Route> {
    let oif = match &declared.interface {
        Some(name) => Some(view.interface_named(name)?.index),
        None => None,
    };
    Some(lvs_netcfg::Route {
        table: declared.table,
        prefix: network(declared.to)?,
        via: declared.via,
        oif,
        prefsrc: declared.source,
        metric: declared.metric,
        kind: match declared.kind {
            RouteKind::Unicast => lvs_netcfg::RouteKind::Unicast,
            RouteKind::Local => lvs_netcfg::RouteKind::Local,
            RouteKind::Blackhole => lvs_netcfg::RouteKind::Blackhole,
            RouteKind::Unreachable => lvs_netcfg::RouteKind::Unreachable,
            RouteKind::Prohibit => lvs_netcfg::RouteKind::Prohibit,
            RouteKind::Throw => lvs_netcfg::RouteKind::Throw,
        },
        mtu: declared.mtu,
        protocol: declared.protocol,
        scope: declared.scope,
        tos: declared.tos,
        is_dead: false,
        is_onlink: declared.is_onlink,
        hops: 1,
    })
}

fn rule_for_kernel(declared: &Rule) -> PolicyRule {
    PolicyRule {
        is_ipv6: declared.is_ipv6,
        from: declared.from.and_then(network),
        to: declared.to.and_then(network),
        iif: declared.input.clone(),
        oif: declared.output.clone(),
        mark: declared.mark,
        tos: declared.tos,
        verdict: match declared.verdict {
            RuleVerdict::Table(table) => lvs_netcfg::RuleVerdict::Table(table),
            RuleVerdict::Blackhole => lvs_netcfg::RuleVerdict::Blackhole,
            RuleVerdict::Unreachable => lvs_netcfg::RuleVerdict::Unreachable,
            RuleVerdict::Prohibit => lvs_netcfg::RuleVerdict::Prohibit,
        },
        priority: declared.priority,
        protocol: KEEPALIVED,
    }
}

fn network(prefix: Prefix) -> Option<IpNet> {
    IpNet::new(prefix.address, prefix.length).ok()
}

/// What of it is on the host, in the order it was put there.
#[derive(Debug, Default)]
pub(super) struct Ways {
    held: Vec<Held>,
    /// Said already, and so still.
    said: Vec<String>,
}

impl Ways {
    /// Puts there what is wanted, again where somebody took it away, and takes away what is not wanted any more.
    pub(super) fn change(&mut self, wishes: Wishes, hands: &mut Hands) {
        let Wishes { wanted, mut complaints } = wishes;
        let is_wanted = |held: &Held| wanted.iter().any(|wanted| wanted.held == *held);
        let (stay, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held).into_iter().partition(is_wanted);
        for held in gone.iter().rev() {
            hands.release(held);
        }
        self.held = stay;
        for Wanted { held, is_untracked } in wanted {
            if !self.held.contains(&held) {
                match hands.take(&held) {
                    Ok(true) => self.held.push(held),
                    Ok(false) => {}
                    Err(error) => complaints.push(error.to_string()),
                }
            } else if !is_untracked {
                hands.put_back(&held);
            }
        }
        // It is tried again whenever the host changes; that it still does not work is no news.
        for complaint in complaints.iter().filter(|complaint| !self.said.contains(complaint)) {
            tracing::error!("not set: {complaint}");
        }
        self.said = complaints;
    }

    /// Takes all of it away.
    pub(super) fn release(&mut self, hands: &mut Hands) {
        self.change(Wishes::default(), hands);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(route: &str, rule: &str) -> Wishes {
        let route = Route::parse(&route.split_whitespace().collect::<Vec<_>>()).unwrap();
        let rule = Rule::parse(&rule.split_whitespace().collect::<Vec<_>>(), None).unwrap();
        Wishes::new(&[route], &[rule], &HostView::default())
    }

    #[test]
    fn routes_come_before_the_rules_that_lead_to_them() {
        let wishes = wishes("default via 192.0.2.1 table 100", "from 10.0.0.0/8 table 100 priority 9");
        let kinds: Vec<bool> =
            wishes.wanted.iter().map(|wanted| matches!(wanted.held, Held::Route(_))).collect();
        assert_eq!((kinds, wishes.complaints), (vec![true, false], vec![]));
    }

    #[test]
    fn a_route_by_an_interface_that_is_not_there_is_told_of() {
        let wishes = wishes("10.0.0.0/8 dev eth7", "from 10.0.0.0/8 table 100 priority 9");
        assert_eq!(wishes.wanted.len(), 1);
        assert_eq!(wishes.complaints, ["route 10.0.0.0/8 dev eth7: its interface is not there"]);
    }

    #[test]
    fn only_what_says_who_set_it_is_known_for_ones_own() {
        for (route, is_marked) in
            [("10.0.0.0/8 via 192.0.2.1", true), ("10.0.0.0/8 via 192.0.2.1 proto static", false)]
        {
            let wishes = wishes(route, "from 10.0.0.0/8 table 100 priority 9");
            let marked: Vec<bool> = wishes.wanted.iter().map(|wanted| wanted.held.is_marked()).collect();
            assert_eq!(marked, [is_marked, true], "{route}");
        }
    }
}
