//! What must be done so that the services are as a configuration says, and how it is undone.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::config::{Config, ServiceConfig};
use crate::message::{RealServer, Request, ServerListing, ServiceId, ServiceListing, VirtualService};

/// The requests that lead from the services there are to those that are wanted.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// What may be refused, each with the request that takes it back.
    pub(super) gains: Vec<(Request, Request)>,
    /// What cannot be refused, for it is there.
    pub(super) losses: Vec<Request>,
}

impl Difference {
    /// From `current` to what `new` declares. What neither declares is somebody else's and stays; the servers of
    /// services that are checked come and go by their checks.
    pub(super) fn between(current: &[ServiceListing], old: &Config, new: &Config) -> Self {
        let mut difference = Self::default();
        let current: HashMap<ServiceId, &ServiceListing> =
            current.iter().map(|listing| (listing.service.id, listing)).collect();
        let (was_checked, is_checked) = (checked(old), checked(new));
        for wanted in &new.services {
            let id = wanted.service.id;
            match current.get(&id) {
                None => difference
                    .gain(Request::AddService(wanted.service.clone()), Request::DeleteService { id }),
                Some(listing) => difference.redeclare(&listing.service, &wanted.service),
            }
            let servers = current.get(&id).map_or(&[][..], |listing| &listing.servers);
            match (was_checked.contains(&id), is_checked.contains(&id)) {
                (true, true) => {}
                // The checks begin with none.
                (false, true) => servers.iter().for_each(|listing| difference.lose(id, listing)),
                (_, false) => difference.servers(servers, wanted),
            }
        }
        let wanted: HashSet<ServiceId> = new.services.iter().map(|service| service.service.id).collect();
        let gone = old.services.iter().map(|service| service.service.id).filter(|id| !wanted.contains(id));
        let there = gone.filter(|id| current.contains_key(id));
        difference.losses.extend(there.map(|id| Request::DeleteService { id }));
        difference
    }

    fn gain(&mut self, request: Request, undo: Request) {
        self.gains.push((request, undo));
    }

    fn lose(&mut self, id: ServiceId, listing: &ServerListing) {
        let (rip, port) = (listing.server.rip, listing.server.port);
        self.losses.push(Request::DeleteServer { id, rip, port });
    }

    fn redeclare(&mut self, before: &VirtualService, wanted: &VirtualService) {
        if before != wanted {
            self.gain(Request::EditService(wanted.clone()), Request::EditService(before.clone()));
        }
    }

    fn servers(&mut self, current: &[ServerListing], wanted: &ServiceConfig) {
        let id = wanted.service.id;
        let key = |server: &RealServer| (server.rip, server.port);
        let there: HashMap<(IpAddr, u16), RealServer> =
            current.iter().map(|listing| (key(&listing.server), listing.server)).collect();
        for &server in &wanted.servers {
            let (rip, port) = key(&server);
            match there.get(&(rip, port)) {
                None => {
                    self.gain(Request::AddServer { id, server }, Request::DeleteServer { id, rip, port });
                }
                Some(&before) if before != server => {
                    self.gain(Request::EditServer { id, server }, Request::EditServer { id, server: before });
                }
                Some(_) => {}
            }
        }
        let kept: HashSet<(IpAddr, u16)> = wanted.servers.iter().map(key).collect();
        for listing in current.iter().filter(|listing| !kept.contains(&key(&listing.server))) {
            self.lose(id, listing);
        }
    }
}

/// What a request is about, in words.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is asked for here")]
pub(super) fn name(request: &Request) -> String {
    let service = |id: &ServiceId| crate::health::name(id);
    match request {
        Request::AddService(declared) | Request::EditService(declared) => service(&declared.id),
        Request::AddServer { id, server } | Request::EditServer { id, server } => {
            format!("{}:{} of {}", server.rip, server.port, service(id))
        }
        other => format!("{other:?}"),
    }
}

fn checked(config: &Config) -> HashSet<ServiceId> {
    config.checked.iter().flat_map(|checked| &checked.services).copied().collect()
}

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is asked for here")]
mod tests {
    use super::*;
    use crate::message::{ForwardMethod, Stats, Transport};

    fn service(port: u16, servers: &[(u8, u32)]) -> ServiceConfig {
        let id = ServiceId::Address { transport: Transport::Tcp, vip: [192, 0, 2, 10].into(), port };
        let server = |&(last, weight): &(u8, u32)| RealServer {
            rip: [10, 0, 0, last].into(),
            port,
            method: ForwardMethod::Masquerade,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        let service = VirtualService {
            id,
            scheduler: "wlc".to_owned(),
            flags: 0,
            persistent: None,
            netmask: 32,
            persistence_engine: None,
            one_packet: false,
        };
        ServiceConfig { service, servers: servers.iter().map(server).collect() }
    }

    fn config(services: Vec<ServiceConfig>) -> Config {
        Config { services, ..Config::default() }
    }

    fn listing(service: &ServiceConfig) -> ServiceListing {
        let servers = service.servers.iter().map(|&server| ServerListing {
            server,
            local: false,
            active: 0,
            inactive: 0,
            persistent: 0,
            stats: Stats::default(),
        });
        let servers = servers.collect();
        ServiceListing { service: service.service.clone(), stats: Stats::default(), servers }
    }

    fn between(current: &[ServiceConfig], old: &Config, new: &Config) -> String {
        let current: Vec<ServiceListing> = current.iter().map(listing).collect();
        let difference = Difference::between(&current, old, new);
        let gains = difference.gains.iter().map(|(request, _)| request).chain(&difference.losses);
        let port = |id: &ServiceId| match id {
            ServiceId::Address { port, .. } => *port,
            ServiceId::Mark { .. } => 0,
        };
        let told = gains.map(|request| match request {
            Request::AddService(service) => format!("+{}", port(&service.id)),
            Request::EditService(service) => format!("~{} {}", port(&service.id), service.scheduler),
            Request::DeleteService { id } => format!("-{}", port(id)),
            Request::AddServer { id, server } => format!("+{}/{}", port(id), server.rip),
            Request::EditServer { id, server } => format!("~{}/{} {}", port(id), server.rip, server.weight),
            Request::DeleteServer { id, rip, .. } => format!("-{}/{rip}", port(id)),
            other => panic!("{other:?}"),
        });
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_differs_is_asked_for_and_losses_come_last() {
        let old = config(vec![service(80, &[(1, 1), (2, 1)]), service(81, &[(1, 1)]), service(82, &[])]);
        let mut changed = service(80, &[(1, 5), (3, 1)]);
        changed.service.scheduler = "rr".to_owned();
        let new = config(vec![changed, service(81, &[(1, 1)]), service(83, &[(1, 1)])]);
        assert_eq!(
            between(&old.services, &old, &new),
            "~80 rr ~80/10.0.0.1 5 +80/10.0.0.3 +83 +83/10.0.0.1 -80/10.0.0.2 -82"
        );
        assert_eq!(between(&old.services, &old, &old), "");
    }

    #[test]
    fn what_somebody_else_added_stays_and_what_they_removed_comes_back() {
        let old = config(vec![service(80, &[(1, 1)]), service(81, &[])]);
        let there = [service(80, &[]), service(99, &[(9, 1)])];
        assert_eq!(between(&there, &old, &old), "+80/10.0.0.1 +81");
    }

    #[test]
    fn the_servers_of_checked_services_are_left_to_their_checks() {
        let plain = config(vec![service(80, &[(1, 1), (2, 1)])]);
        let mut watched = plain.clone();
        watched.checked.push(crate::config::CheckedConfig {
            server: lvs_health::declared::VirtualServer {
                name: "web".to_owned(),
                policy: lvs_health::declared::Policy::default(),
                servers: Vec::new(),
            },
            services: vec![plain.services[0].service.id],
            sorry: None,
        });
        let half = [service(80, &[(1, 1)])];
        assert_eq!(between(&half, &watched, &watched), "");
        assert_eq!(between(&half, &plain, &watched), "-80/10.0.0.1");
        assert_eq!(between(&half, &watched, &plain), "+80/10.0.0.2");
    }

    #[test]
    fn every_gain_can_be_taken_back() {
        let old = config(vec![service(80, &[(1, 1)])]);
        let mut edited = service(80, &[(1, 3), (2, 1)]);
        edited.service.scheduler = "rr".to_owned();
        let new = config(vec![edited, service(81, &[])]);
        let current: Vec<ServiceListing> = old.services.iter().map(listing).collect();
        let undo: Vec<Request> =
            Difference::between(&current, &old, &new).gains.into_iter().map(|(_, undo)| undo).collect();
        let id = old.services[0].service.id;
        let added = RealServer { weight: 1, ..old.services[0].servers[0] };
        assert_eq!(
            undo,
            [
                Request::EditService(old.services[0].service.clone()),
                Request::EditServer { id, server: added },
                Request::DeleteServer { id, rip: [10, 0, 0, 2].into(), port: 80 },
                Request::DeleteService { id: new.services[1].service.id },
            ]
        );
    }
}
