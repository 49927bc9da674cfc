//! Removed servers, kept until nobody holds them, so that one that comes back is the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lvs_conntrack::Tick;

use super::Ids;
use super::entry::Server;
use crate::message::ServiceId;

/// How long a server without connections stays (`IP_VS_DEST_TRASH_PERIOD`).
const PERIOD: Duration = Duration::from_mins(2);
/// How often the trash is looked through.
const ROUND: Duration = Duration::from_mins(1);

#[derive(Debug)]
struct Removed {
    service: ServiceId,
    server: Server,
    idle_since: Option<Tick>,
}

/// The servers that were removed, of all services.
#[derive(Debug, Default)]
pub(super) struct Trash {
    removed: Vec<Removed>,
    next_round: Tick,
}

impl Trash {
    /// Takes in a server that left `service`.
    pub(super) fn take_in(&mut self, service: ServiceId, server: Server, now: Tick) {
        if self.removed.is_empty() {
            self.next_round = now + ROUND;
        }
        self.removed.push(Removed { service, server, idle_since: None });
    }

    /// Gives a server back that comes again (`ip_vs_trash_get_dest`), with its counters; also to a service of
    /// the same name that was made anew since.
    pub(super) fn give_back(&mut self, service: ServiceId, endpoint: SocketAddr) -> Option<Server> {
        let is_it = |removed: &Removed| removed.service == service && removed.server.endpoint() == endpoint;
        let at = self.removed.iter().position(is_it)?;
        Some(self.removed.remove(at).server)
    }

    /// Lets go of servers that nothing held for a period (`ip_vs_dest_trash_expire`).
    pub(super) fn tick(&mut self, now: Tick, ids: &mut Ids) {
        while !self.removed.is_empty() && self.next_round <= now {
            let at = self.next_round;
            self.removed.retain_mut(|removed| removed.stays(at, ids));
            self.next_round = at + ROUND;
        }
    }
}

impl Removed {
    fn stays(&mut self, now: Tick, ids: &mut Ids) -> bool {
        if Arc::strong_count(&self.server.destination) > 1 {
            return true;
        }
        let idle_since = *self.idle_since.get_or_insert(now);
        if now.saturating_since(idle_since) < PERIOD {
            return true;
        }
        ids.give_back(self.server.destination.id());
        false
    }
}
