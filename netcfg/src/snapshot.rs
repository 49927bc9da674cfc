//! The state of a host as lines of text, to be compared before and after.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::rule::RuleMessage;

use crate::netlink::Netlink;
use crate::view::HostView;
use crate::{Error, nft, sysctl};

/// Everything of a host that setting it up could touch: links, addresses, routes and rules of both
/// families, the network parameters, the nftables ruleset. Neighbours come and go by themselves and
/// are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    lines: BTreeSet<String>,
}

/// Parameters that every interface has.
const PER_INTERFACE: [&str; 2] = ["net/ipv4/conf", "net/ipv6/conf"];
/// Parameters of the host besides.
const OF_THE_HOST: [&str; 3] = ["net/ipv4/ip_forward", "net/ipv4/ip_nonlocal_bind", "net/ipv6/bindv6only"];

impl Snapshot {
    /// Takes a picture of the host; needs root for the nftables ruleset.
    pub fn take() -> Result<Self, Error> {
        let mut netlink = Netlink::open()?;
        let view = HostView::dump(&mut netlink)?;
        let mut lines = BTreeSet::new();
        lines.extend(view.interfaces().map(|interface| format!("link {interface:?}")));
        lines.extend(view.addresses().iter().map(|address| format!("address {address:?}")));
        lines.extend(view.routes().into_iter().map(|route| format!("route {route:?}")));
        lines.extend(rules(&mut netlink)?);
        for key in OF_THE_HOST {
            lines.extend(sysctl::read_if_there(key)?.map(|value| format!("sysctl {key}={value}")));
        }
        for family in PER_INTERFACE {
            lines.extend(parameters(family));
        }
        lines
            .extend(nft::list_ruleset()?.lines().enumerate().map(|(at, line)| format!("nft {at:04} {line}")));
        Ok(Self { lines })
    }

    /// The lines that only one of the two has: gone ones with `-`, new ones with `+`.
    pub fn difference(&self, later: &Self) -> Vec<String> {
        let gone = self.lines.difference(&later.lines).map(|line| format!("- {line}"));
        let new = later.lines.difference(&self.lines).map(|line| format!("+ {line}"));
        gone.chain(new).collect()
    }

    /// The same without the lines `is_of_no_interest` picks.
    #[must_use]
    pub fn without(mut self, is_of_no_interest: impl Fn(&str) -> bool) -> Self {
        self.lines.retain(|line| !is_of_no_interest(line));
        self
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn rules(netlink: &mut Netlink) -> Result<Vec<String>, Error> {
    let query = RouteNetlinkMessage::GetRule(RuleMessage::default());
    let rules = netlink.dump(&query, "rules")?;
    Ok(rules.iter().map(|rule| format!("rule {rule:?}")).collect())
}

/// Every readable parameter of every interface; some, such as `stable_secret`, cannot be read.
fn parameters(family: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let interfaces = fs::read_dir(format!("/proc/sys/{family}")).into_iter().flatten().flatten();
    for interface in interfaces {
        for file in fs::read_dir(interface.path()).into_iter().flatten().flatten() {
            if let Ok(value) = fs::read_to_string(file.path()) {
                lines.push(format!("sysctl {}={}", file.path().display(), value.trim_end()));
            }
        }
    }
    lines
}
