//! The real server's role: it owns the virtual addresses without saying so on the network, or has the
//! director as its gateway.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::director::address_with_route;
use crate::finding::Finding;
use crate::view::HostView;
use crate::{Error, name, sysctl};

const LOOPBACK: &str = "lo";

/// How packets reach the real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "method")]
pub enum Method {
    /// As they are, in frames addressed to this host.
    DirectRoute,
    /// In an outer IP header.
    Tunnel {
        /// The interfaces they come in through.
        interfaces: Vec<String>,
    },
    /// With this host as destination; the answers must go back through the director.
    Masquerade {
        /// The director's addresses on this side.
        directors: Vec<IpAddr>,
        /// Where clients are; none means anywhere (the default route).
        clients: Vec<IpAddr>,
    },
}

/// The set-up of a real server's host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// How packets reach it.
    pub method: Method,
    /// The virtual addresses it answers for; unused with [`Method::Masquerade`].
    pub vips: Vec<IpAddr>,
}

impl RealServer {
    /// What the role wants of the host, in the order it is made; `host` is none for a dry run.
    ///
    /// ARP is silenced before the first address is there, so that no request is answered meanwhile.
    /// IPv6 needs nothing of the kind: a solicitation is answered only for addresses of the interface
    /// it came in on (`ndisc_recv_ns`), and `lo` is never that.
    pub(crate) fn changes(&self, host: Option<&HostView>) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let tunnels = match &self.method {
            Method::Masquerade { .. } => return Ok(changes),
            Method::DirectRoute => &[],
            Method::Tunnel { interfaces } => interfaces.as_slice(),
        };
        if self.vips.iter().any(IpAddr::is_ipv4) {
            for place in [LOOPBACK, "all"] {
                changes.push(Change::sysctl(format!("net/ipv4/conf/{place}/arp_ignore"), "1"));
                changes.push(Change::sysctl(format!("net/ipv4/conf/{place}/arp_announce"), "2"));
            }
        }
        for interface in tunnels {
            name::validate(interface)?;
            changes.extend(loose_reverse_path(interface, host)?);
        }
        let mut number = 0;
        for ip in &self.vips {
            changes.extend(address_with_route(LOOPBACK, *ip, format!("{LOOPBACK}:{number}"))?);
            number += usize::from(ip.is_ipv4());
        }
        for interface in tunnels {
            let interface = interface.clone();
            changes.push(Change::Decapsulation { interface, vips: self.vips.clone() });
        }
        Ok(changes)
    }

    /// The interfaces that must be there and up.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        match &self.method {
            Method::DirectRoute => vec![LOOPBACK.to_owned()],
            Method::Tunnel { interfaces } => {
                std::iter::once(LOOPBACK.to_owned()).chain(interfaces.iter().cloned()).collect()
            }
            Method::Masquerade { .. } => Vec::new(),
        }
    }

    /// What is wrong that no change of ours mends.
    pub(crate) fn findings(&self, host: &HostView) -> Vec<Finding> {
        match &self.method {
            Method::DirectRoute | Method::Tunnel { .. } => self.exposed_vips(host),
            Method::Masquerade { directors, clients } => wrong_gateways(directors, clients, host),
        }
    }

    /// A VIP on another interface than `lo` is answered for, whatever `arp_ignore` says.
    fn exposed_vips(&self, host: &HostView) -> Vec<Finding> {
        let exposed = host.addresses().iter().filter(|address| self.vips.contains(&address.address.addr()));
        let found = exposed.filter_map(|address| {
            let interface = host.interface(address.ifindex).filter(|interface| !interface.is_loopback)?;
            Some(Finding {
                problem: format!(
                    "{} is on {}, where this host answers for it in the director's place",
                    address.address.addr(),
                    interface.name
                ),
                mend: vec![format!("ip addr del {} dev {}", address.address, interface.name)],
            })
        });
        found.collect()
    }
}

/// With a strict reverse path filter the inner packet, whose source is the client, is dropped when
/// the way back to the client is another interface; 2 asks only that there is a way. The kernel takes
/// the larger of this value and `all`'s (`IN_DEV_RPFILTER`).
fn loose_reverse_path(interface: &str, host: Option<&HostView>) -> Result<Option<Change>, Error> {
    let key = format!("net/ipv4/conf/{interface}/rp_filter");
    if host.is_some() {
        let own = sysctl::read_if_there(&key)?.unwrap_or_default();
        let all = sysctl::read("net/ipv4/conf/all/rp_filter")?;
        // 2 may be our own doing: it stays wanted, or a second apply would take it back.
        if own != "2" && own.as_str().max(all.as_str()) != "1" {
            return Ok(None);
        }
    }
    Ok(Some(Change::sysctl(key, "2")))
}

/// The clients whose answers would not go through a director.
fn wrong_gateways(directors: &[IpAddr], clients: &[IpAddr], host: &HostView) -> Vec<Finding> {
    let anywhere = |director: &IpAddr| -> IpAddr {
        // Documentation networks: nobody's own, so only the default route leads there.
        if director.is_ipv4() { [192, 0, 2, 1].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into() }
    };
    let mut findings = Vec::new();
    for director in directors {
        let of_family = clients.iter().filter(|client| client.is_ipv4() == director.is_ipv4());
        let targets: Vec<(IpAddr, String)> = if clients.is_empty() {
            vec![(anywhere(director), "default".to_owned())]
        } else {
            of_family.map(|client| (*client, client.to_string())).collect()
        };
        for (client, target) in targets {
            let hop = host.lookup(client);
            let is_director = |next: IpAddr| directors.contains(&next);
            if hop.is_some_and(|hop| hop.is_gateway && is_director(hop.next_hop)) {
                continue;
            }
            let way = match hop {
                Some(hop) if hop.is_gateway => format!("goes via {}", hop.next_hop),
                Some(_) => "goes straight to the client".to_owned(),
                None => "has no route".to_owned(),
            };
            let family = if director.is_ipv4() { "" } else { "-6 " };
            findings.push(Finding {
                problem: format!("the way to clients ({target}) {way}, not via the director {director}"),
                mend: vec![format!("ip {family}route replace {target} via {director}")],
            });
        }
    }
    findings
}
