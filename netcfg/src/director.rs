//! The director's role: it holds the virtual addresses, forwards, sends no redirects, hides its servers.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::nft::SourceNat;
use crate::view::HostView;
use crate::{Error, name, sysctl};

/// A virtual address and where the director holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vip {
    /// The address.
    pub ip: IpAddr,
    /// The interface's name.
    pub interface: String,
    /// The label of an IPv4 address; `INTERFACE:N` when none is given.
    pub label: Option<String>,
}

/// The set-up of a director's host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Director {
    /// The virtual addresses to hold.
    pub vips: Vec<Vip>,
    /// Whether the host forwards (`net.ipv4.ip_forward`, and IPv6's where a VIP or a rule is IPv6).
    pub forwarding: bool,
    /// Further interfaces the director works on; those of VIPs and rules need not be repeated.
    pub interfaces: Vec<String>,
    /// Source NAT for what the servers send of themselves.
    pub source_nat: Vec<SourceNat>,
}

/// Router advertisements made this route (`RTPROT_RA`).
const BY_ADVERTISEMENT: u8 = 9;

impl Director {
    /// What the role wants of the host, in the order it is made; `host` is none for a dry run.
    pub(crate) fn changes(&self, host: Option<&HostView>) -> Result<Vec<Change>, Error> {
        let interfaces = self.interfaces()?;
        let mut changes = Vec::new();
        if self.forwarding {
            changes.push(Change::sysctl("net/ipv4/ip_forward", "1"));
            if self.is_ipv6() {
                changes.extend(keep_advertised_routes(host)?);
                changes.push(Change::sysctl("net/ipv6/conf/all/forwarding", "1"));
            }
        }
        // A redirect would tell clients and servers the way round the director.
        for place in ["all", "default"].into_iter().chain(interfaces.iter().map(String::as_str)) {
            changes.push(Change::sysctl(format!("net/ipv4/conf/{place}/send_redirects"), "0"));
        }
        if !self.source_nat.is_empty() {
            changes.push(Change::SourceNat { rules: self.source_nat.iter().map(SourceNat::rule).collect() });
        }
        for vip in self.vips() {
            changes.extend(vip?);
        }
        Ok(changes)
    }

    /// The interfaces that must be there and up.
    pub(crate) fn interfaces(&self) -> Result<Vec<String>, Error> {
        let mut names = self.interfaces.clone();
        names.extend(self.vips.iter().map(|vip| vip.interface.clone()));
        for rule in &self.source_nat {
            rule.validate()?;
            names.extend(rule.out.clone());
        }
        let mut unique = Vec::new();
        for interface in names {
            name::validate(&interface)?;
            if !unique.contains(&interface) {
                unique.push(interface);
            }
        }
        Ok(unique)
    }

    fn is_ipv6(&self) -> bool {
        self.vips.iter().any(|vip| vip.ip.is_ipv6())
            || self.source_nat.iter().any(|rule| rule.from.addr().is_ipv6())
    }

    fn vips(&self) -> impl Iterator<Item = Result<Vec<Change>, Error>> {
        let mut numbers = std::collections::HashMap::<&str, usize>::new();
        self.vips.iter().map(move |vip| {
            let number = numbers.entry(vip.interface.as_str()).or_default();
            let label = vip.label.clone().unwrap_or_else(|| format!("{}:{number}", vip.interface));
            *number += usize::from(vip.ip.is_ipv4());
            address_with_route(&vip.interface, vip.ip, label)
        })
    }
}

/// A VIP's address, and for IPv4 its host route; of IPv6 the kernel makes the route itself.
pub(crate) fn address_with_route(interface: &str, ip: IpAddr, label: String) -> Result<Vec<Change>, Error> {
    name::validate_vip(ip)?;
    let interface = interface.to_owned();
    if ip.is_ipv6() {
        return Ok(vec![Change::Address { interface, ip, label: None }]);
    }
    name::validate_label(&label, &interface)?;
    let route = Change::HostRoute { interface: interface.clone(), ip };
    Ok(vec![Change::Address { interface, ip, label: Some(label) }, route])
}

/// A host that forwards IPv6 drops the routes it learned from router advertisements, and learns no
/// more, unless `accept_ra` is 2 (`rt6_purge_dflt_routers`).
fn keep_advertised_routes(host: Option<&HostView>) -> Result<Vec<Change>, Error> {
    let Some(host) = host else { return Ok(Vec::new()) };
    let mut changes = Vec::new();
    for interface in host.interfaces() {
        let key = format!("net/ipv6/conf/{}/accept_ra", interface.name);
        let learned =
            |route: &&crate::Route| route.protocol == BY_ADVERTISEMENT && route.oif == Some(interface.index);
        let value = sysctl::read_if_there(&key)?;
        // 2 already may be our own doing: it stays wanted, or a second apply would take it back.
        let matters = matches!(value.as_deref(), Some("1" | "2"));
        if matters && host.routes().iter().any(learned) {
            changes.push(Change::sysctl(key, "2"));
        }
    }
    Ok(changes)
}
