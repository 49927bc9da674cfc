//! A route that comes and goes with a virtual router, or with the daemon.

use std::fmt;
use std::net::IpAddr;

use super::words::{KEEPALIVED, Prefix, Unread, Words, table_name};

/// A route, as `ip route add` is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What becomes of packets.
    pub kind: RouteKind,
    /// Where they are going (`to`).
    pub to: Prefix,
    /// The router they are sent to (`via`).
    pub via: Option<IpAddr>,
    /// The interface they leave through (`dev`).
    pub interface: Option<String>,
    /// The address that the host's own come from (`src`).
    pub source: Option<IpAddr>,
    /// The table's number (`table`).
    pub table: u32,
    /// The smaller wins (`metric`); the kernel's choice when 0.
    pub metric: u32,
    /// Who set it, by the kernel's numbers (`proto`).
    pub protocol: u8,
    /// The kernel's scope number (`scope`).
    pub scope: u8,
    /// The largest packet in bytes (`mtu`); the interface's when absent.
    pub mtu: Option<u32>,
    /// The type of service it is for (`tos`).
    pub tos: u8,
    /// The router is on the link whatever the addresses say (`onlink`).
    pub is_onlink: bool,
    /// Is not put back when somebody removes it (`no_track`).
    pub is_untracked: bool,
}

/// What becomes of a route's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouteKind {
    /// They are sent on.
    #[default]
    Unicast,
    /// They are for this host.
    Local,
    /// They vanish.
    Blackhole,
    /// They are refused: unreachable.
    Unreachable,
    /// They are refused: prohibited.
    Prohibit,
    /// The next table is asked.
    Throw,
}

const KINDS: [(&str, RouteKind); 6] = [
    ("unicast", RouteKind::Unicast),
    ("local", RouteKind::Local),
    ("blackhole", RouteKind::Blackhole),
    ("unreachable", RouteKind::Unreachable),
    ("prohibit", RouteKind::Prohibit),
    ("throw", RouteKind::Throw),
];
const SCOPES: [(&str, u32); 5] =
    [("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)];
const PROTOCOLS: [(&str, u32); 5] =
    [("kernel", 2), ("boot", 3), ("static", 4), ("bird", 12), ("keepalived", 18)];
const KNOWN: [&str; 14] = [
    "src",
    "to",
    "via",
    "dev",
    "table",
    "metric",
    "proto",
    "scope",
    "mtu",
    "tos",
    "onlink",
    "no_track",
    "inet6",
    "a network",
];
/// Words of keepalived's that there is nothing for here.
const NOT_DONE: [&str; 27] = [
    "or",
    "nexthop",
    "realms",
    "encap",
    "vrf",
    "append",
    "hoplimit",
    "advmss",
    "rtt",
    "rttvar",
    "reordering",
    "window",
    "cwnd",
    "ssthresh",
    "rto_min",
    "initcwnd",
    "initrwnd",
    "quickack",
    "congctl",
    "features",
    "pref",
    "expires",
    "fastopen_no_cookie",
    "ttl-propagate",
    "multicast",
    "broadcast",
    "nat",
];

impl Route {
    /// A route to a network, in the main table: it leads nowhere yet.
    pub const fn new(to: Prefix) -> Self {
        Self {
            kind: RouteKind::Unicast,
            to,
            via: None,
            interface: None,
            source: None,
            table: 254,
            metric: 0,
            protocol: KEEPALIVED,
            scope: 0,
            mtu: None,
            tos: 0,
            is_onlink: false,
            is_untracked: false,
        }
    }

    /// Reads what is written in keepalived.conf, or behind `ip route add`.
    ///
    /// # Errors
    /// The word that cannot be read, or that leaves the route without a meaning.
    pub fn parse(words: &[&str]) -> Result<Self, Unread> {
        let mut words = Words::new(words);
        let mut route = Self::new(Prefix::all(false));
        let (mut to, mut is_ipv6, mut is_default, mut scope) = (None, None, false, None);
        while let Some(word) = words.next() {
            match word {
                "to" if words.is_next("default") => is_default = true,
                "default" => is_default = true,
                "inet" => is_ipv6 = Some(false),
                "inet6" => is_ipv6 = Some(true),
                "to" => to = Some(words.prefix(word)?),
                "scope" => scope = Some(words.named(word, &SCOPES, "a scope")?),
                _ => match KINDS.iter().find(|(name, _)| *name == word) {
                    Some(&(_, kind)) => route.kind = kind,
                    None if to.is_none() && !is_default && begins_a_network(word) => {
                        to = Some(words.again().prefix(word)?);
                    }
                    None => route.option(word, &mut words)?,
                },
            }
        }
        let family = is_ipv6.or_else(|| route.via.or(route.source).map(|address| address.is_ipv6()));
        let to = to.or_else(|| is_default.then(|| Prefix::all(family.unwrap_or(false))));
        let Some(to) = to else {
            return Err(words.wrong("a route without a destination", "expected a network, or `default`"));
        };
        route.to = to;
        let of_kind = if route.kind == RouteKind::Local { 254 } else { 0 };
        route.scope = scope.unwrap_or(of_kind);
        match route.mistake(is_ipv6) {
            Some((title, expected)) => Err(words.wrong(title, expected)),
            None => Ok(route),
        }
    }

    fn option(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), Unread> {
        const ADDRESS: &str = "an address such as 192.0.2.1";
        match word {
            "src" => self.source = Some(words.parsed(word, ADDRESS)?),
            "via" | "gw" => self.via = Some(words.parsed(word, ADDRESS)?),
            "dev" | "oif" => self.interface = Some(words.interface(word)?),
            "table" => self.table = words.table(word)?,
            "metric" | "priority" | "preference" => self.metric = words.number(word, "a number")?,
            "proto" | "protocol" => self.protocol = words.named(word, &PROTOCOLS, "0 to 255")?,
            "mtu" => self.mtu = Some(words.number(word, "bytes (`lock` cannot be had)")?),
            "tos" | "dsfield" => self.tos = words.number(word, "0 to 0xff")?,
            "onlink" => self.is_onlink = true,
            "no_track" => self.is_untracked = true,
            // What becomes of those that others remove is said where they are read.
            _ => {
                return Err(words.unknown(
                    "route",
                    word,
                    &KNOWN,
                    &NOT_DONE,
                    "`notify_master`: ip route add ..",
                ));
            }
        }
        Ok(())
    }

    /// What is wrong with all of it together, and what was expected.
    fn mistake(&self, is_ipv6: Option<bool>) -> Option<(&'static str, &'static str)> {
        let leads = self.via.is_some() || self.interface.is_some();
        let is_ours = |address: IpAddr| address.is_ipv6() == self.to.address.is_ipv6();
        let is_refusing = !matches!(self.kind, RouteKind::Unicast | RouteKind::Local);
        if is_ipv6.is_some_and(|is_ipv6| is_ipv6 != self.to.address.is_ipv6()) {
            Some(("a route of two families", "expected a destination of the family that is named"))
        } else if !self.via.into_iter().chain(self.source).all(is_ours) {
            Some(("a route of two families", "expected all addresses to be IPv4, or all IPv6"))
        } else if is_refusing && leads {
            Some(("a route that refuses and yet leads somewhere", "expected no `via` and no `dev`"))
        } else if !is_refusing && !leads {
            Some(("a route that leads nowhere", "expected `via ADDRESS`, `dev INTERFACE`, or both"))
        } else if self.is_onlink && (self.via.is_none() || self.interface.is_none()) {
            Some(("`onlink` alone", "expected `via ADDRESS` and `dev INTERFACE` with it"))
        } else {
            None
        }
    }
}

fn begins_a_network(word: &str) -> bool {
    word.split('/').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
}

/// As [`Route::parse`] reads it.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Self::new(self.to);
        if let Some((name, _)) = KINDS.iter().find(|&&(_, kind)| kind == self.kind && kind != plain.kind) {
            write!(f, "{name} ")?;
        }
        write!(f, "{}", self.to)?;
        let mut say = |option: &str, value: Option<String>| match value {
            Some(value) => write!(f, " {option} {value}"),
            None => Ok(()),
        };
        let scope = if self.kind == RouteKind::Local { 254 } else { plain.scope };
        say("via", self.via.map(|via| via.to_string()))?;
        say("dev", self.interface.clone())?;
        say("src", self.source.map(|source| source.to_string()))?;
        say("table", (self.table != plain.table).then(|| table_name(self.table)))?;
        say("metric", (self.metric != 0).then(|| self.metric.to_string()))?;
        say("proto", (self.protocol != plain.protocol).then(|| self.protocol.to_string()))?;
        say("scope", (self.scope != scope).then(|| self.scope.to_string()))?;
        say("mtu", self.mtu.map(|mtu| mtu.to_string()))?;
        say("tos", (self.tos != 0).then(|| format!("{:#x}", self.tos)))?;
        f.write_str(if self.is_onlink { " onlink" } else { "" })?;
        f.write_str(if self.is_untracked { " no_track" } else { "" })
    }
}

#[cfg(test)]
mod tests;
