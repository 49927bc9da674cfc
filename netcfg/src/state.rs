//! A change and the host side by side: whether it is in place, making it, and taking it back.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::address::Address;
use crate::change::{Before, Change};
use crate::decapsulator::Decapsulator;
use crate::netlink::Netlink;
use crate::route::{Route, RouteKind, TABLE_MAIN};
use crate::view::HostView;
use crate::{Error, nft, sysctl};

/// How an object of the host stands to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is as the change wants it.
    AsWanted,
    /// It is not there.
    Absent,
    /// It is there with another value.
    Other(String),
}

/// What became of an entry that was to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undone {
    /// It is as it was before.
    Restored,
    /// There was nothing to take back.
    Nothing,
    /// Someone else changed it since; it was left alone.
    LeftAlone {
        /// The value found.
        found: String,
    },
}

/// The ways by which the host is changed.
pub(crate) struct Hands<'a> {
    pub(crate) netlink: Netlink,
    pub(crate) decapsulator: Option<&'a mut dyn Decapsulator>,
}

/// How long to wait for the route of a new IPv6 address, in growing steps.
const LOCAL_ROUTE_WAITS: [Duration; 6] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(300),
];

/// `IFA_F_NODAD`: the address is usable at once. That nobody else has it is the set-up's business.
const NODAD: u32 = 0x02;

impl Hands<'_> {
    /// Compares the host with `change`.
    pub(crate) fn look(&self, change: &Change, view: &HostView) -> Result<Place, Error> {
        Ok(match change {
            Change::Sysctl { key, value } => match sysctl::read_if_there(key)? {
                None => Place::Absent,
                Some(found) if found == *value => Place::AsWanted,
                Some(found) => Place::Other(found),
            },
            Change::Address { interface, ip, .. } => there(find_address(view, interface, *ip).is_some()),
            Change::HostRoute { interface, ip } => there(find_route(view, interface, *ip).is_some()),
            Change::SourceNat { rules } => match nft::list_table()? {
                None => Place::Absent,
                Some(found) if nft::says_the_same(&found, &nft::table_text(rules)) => Place::AsWanted,
                Some(found) => Place::Other(found),
            },
            Change::Decapsulation { interface, vips } => there(self.is_decapsulating(interface, vips, view)?),
        })
    }

    /// What is to be written down before `change` is made.
    pub(crate) fn before(change: &Change, place: Place, view: &HostView) -> Result<Before, Error> {
        match (change, place) {
            (Change::Sysctl { key, .. }, Place::Other(value)) => {
                let names: Vec<String> = view.interfaces().map(|found| found.name.clone()).collect();
                let mut others = Vec::new();
                for other in sysctl::side_effects(key, &names) {
                    others.extend(sysctl::read_if_there(&other)?.map(|value| (other, value)));
                }
                Ok(Before::Values { value, others })
            }
            (Change::Sysctl { key, .. }, Place::Absent | Place::AsWanted) => {
                Err(Error::Unfit(format!("sysctl {} does not exist here", sysctl::dotted(key))))
            }
            (Change::SourceNat { .. }, Place::Other(text)) => Ok(Before::Table(text)),
            _ => Ok(Before::Absent),
        }
    }

    /// Makes `change`.
    pub(crate) fn make(&mut self, change: &Change, view: &HostView) -> Result<(), Error> {
        match change {
            Change::Sysctl { key, value } => sysctl::write(key, value).map(drop),
            Change::Address { interface, ip, label } => {
                let mut address = Address::new(index(view, interface)?, IpNet::from(*ip));
                address.label.clone_from(label);
                match ip {
                    // As the usual scripts do: the broadcast address of a network of one is itself.
                    IpAddr::V4(v4) => address.broadcast = Some(*v4),
                    IpAddr::V6(_) => address.flags = NODAD,
                }
                address.add(&mut self.netlink)?;
                self.await_local_route(*ip)
            }
            Change::HostRoute { interface, ip } => {
                if Route::to_host(*ip, index(view, interface)?).add(&mut self.netlink)? {
                    return Ok(());
                }
                Err(Error::Unfit(format!("a route to {ip} through another interface is in the way")))
            }
            Change::SourceNat { rules } => nft::replace_table(Some(&nft::table_text(rules))),
            Change::Decapsulation { interface, vips } => self.attach(interface, vips, view),
        }
    }

    /// Takes `change` back to what was `before`; what someone else changed since is left alone.
    pub(crate) fn undo(
        &mut self,
        change: &Change,
        before: &Before,
        view: &HostView,
    ) -> Result<Undone, Error> {
        match (change, before) {
            (Change::Sysctl { key, value: ours }, Before::Values { value, others }) => {
                restore_sysctl(key, ours, value, others)
            }
            (Change::Sysctl { .. }, Before::Absent | Before::Table(_)) => Ok(Undone::Nothing),
            (Change::Address { interface, ip, .. }, _) => match find_address(view, interface, *ip) {
                Some(address) => address.delete(&mut self.netlink).map(restored),
                None => Ok(Undone::Nothing),
            },
            (Change::HostRoute { interface, ip }, _) => match find_route(view, interface, *ip) {
                Some(route) => route.delete(&mut self.netlink).map(restored),
                None => Ok(Undone::Nothing),
            },
            (Change::SourceNat { .. }, Before::Table(text)) => {
                nft::replace_table(Some(text)).map(|()| Undone::Restored)
            }
            (Change::SourceNat { .. }, Before::Absent | Before::Values { .. }) => match nft::list_table()? {
                Some(_) => nft::replace_table(None).map(|()| Undone::Restored),
                None => Ok(Undone::Nothing),
            },
            (Change::Decapsulation { interface, .. }, _) => self.detach(interface, view),
        }
    }

    /// Waits a little until the kernel takes packets to an IPv6 address: `addrconf_dad_work` makes its
    /// local route in the background, and not before the link has a carrier.
    fn await_local_route(&mut self, ip: IpAddr) -> Result<(), Error> {
        if ip.is_ipv4() {
            return Ok(());
        }
        for patience in LOCAL_ROUTE_WAITS {
            let is_local = |route: &Route| route.kind == RouteKind::Local && route.prefix == IpNet::from(ip);
            if Route::dump(&mut self.netlink)?.iter().any(is_local) {
                return Ok(());
            }
            std::thread::sleep(patience);
        }
        tracing::debug!(%ip, "no local route yet");
        Ok(())
    }

    fn is_decapsulating(&self, interface: &str, vips: &[IpAddr], view: &HostView) -> Result<bool, Error> {
        if let Some(decapsulator) = &self.decapsulator {
            let failed = |source| Error::Decapsulation { interface: interface.to_owned(), source };
            return decapsulator.is_attached(interface).map_err(failed);
        }
        // Without one, the kernel's own devices may do it.
        let is_up = |name| view.interface_named(name).is_some_and(|device| device.is_up);
        let needs = |v4: bool| vips.iter().any(|ip| ip.is_ipv4() == v4);
        Ok((!needs(true) || is_up("tunl0")) && (!needs(false) || is_up("ip6tnl0")))
    }

    fn attach(&mut self, interface: &str, vips: &[IpAddr], view: &HostView) -> Result<(), Error> {
        let index = index(view, interface)?;
        let own = view.addresses_of(index).map(|address| address.address.addr());
        let own: Vec<IpAddr> = own.filter(|ip| !vips.contains(ip)).collect();
        let Some(decapsulator) = &mut self.decapsulator else {
            return Err(Error::NoDecapsulator(interface.to_owned()));
        };
        let failed = |source| Error::Decapsulation { interface: interface.to_owned(), source };
        decapsulator.attach(interface, vips, &own).map_err(failed)
    }

    fn detach(&mut self, interface: &str, view: &HostView) -> Result<Undone, Error> {
        // It went with its interface.
        if view.interface_named(interface).is_none() {
            return Ok(Undone::Nothing);
        }
        let Some(decapsulator) = &mut self.decapsulator else {
            return Err(Error::NoDecapsulator(interface.to_owned()));
        };
        let failed = |source| Error::Decapsulation { interface: interface.to_owned(), source };
        if !decapsulator.is_attached(interface).map_err(failed)? {
            return Ok(Undone::Nothing);
        }
        decapsulator.detach(interface).map_err(failed)?;
        Ok(Undone::Restored)
    }
}

/// Gives a parameter its old value back if it still has ours, and repairs what the writes changed besides.
fn restore_sysctl(key: &str, ours: &str, before: &str, others: &[(String, String)]) -> Result<Undone, Error> {
    let Some(found) = sysctl::read_if_there(key)? else { return Ok(Undone::Nothing) };
    if found != ours && found != before {
        return Ok(Undone::LeftAlone { found });
    }
    let mut changed = sysctl::write(key, before)?;
    for (other, value) in others {
        if sysctl::read_if_there(other)?.is_some() {
            changed |= sysctl::write(other, value)?;
        }
    }
    Ok(restored(changed))
}

const fn restored(changed: bool) -> Undone {
    if changed { Undone::Restored } else { Undone::Nothing }
}

const fn there(is_there: bool) -> Place {
    if is_there { Place::AsWanted } else { Place::Absent }
}

fn index(view: &HostView, interface: &str) -> Result<u32, Error> {
    let found = view.interface_named(interface);
    found.map(|found| found.index).ok_or_else(|| Error::NoInterface(interface.to_owned()))
}

fn find_address<'a>(view: &'a HostView, interface: &str, ip: IpAddr) -> Option<&'a Address> {
    let ifindex = view.interface_named(interface)?.index;
    view.addresses_of(ifindex).find(|address| address.address == IpNet::from(ip))
}

fn find_route<'a>(view: &'a HostView, interface: &str, ip: IpAddr) -> Option<&'a Route> {
    let ifindex = view.interface_named(interface)?.index;
    let same = view.routes_for(TABLE_MAIN, IpNet::from(ip));
    same.iter().find(|route| route.oif == Some(ifindex) && route.kind == RouteKind::Unicast)
}
