//! Persistence templates, written down now and then: a successor sends a client where its last connections went.
//!
//! Those of clients whose connections are in the flow cache are made from these; this file holds all others, as they
//! were some seconds before the end.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs_conntrack::{NewTemplate, Proto, TemplateKey, TemplateService, Tick};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::ledger;
use crate::destination::{Counted, Destination, DestinationId, Lease};
use crate::director::Plane;
use crate::message::ServiceId;

/// The file's name, in the directory of the control socket.
pub(super) const NAME: &str = "persistence";
/// How often it is written, unless writing takes more than a fiftieth of that.
const PERIOD: Duration = Duration::from_secs(5);

/// What the file begins with.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    boot: String,
    /// When it was written, in milliseconds of the time since the machine started.
    at: u64,
}

/// A template.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    protocol: u8,
    client: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<SocketAddr>,
    #[serde(default)]
    mark: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    data: Vec<u8>,
    server: SocketAddr,
    /// In seconds.
    timeout: u32,
    /// In milliseconds.
    left: u64,
    is_assured: bool,
    /// Whose it is.
    of: ServiceId,
    destination: SocketAddr,
}

/// The file.
#[derive(Debug)]
pub(super) struct Clients {
    path: PathBuf,
    next: Instant,
    is_there: bool,
}

impl Clients {
    /// The file in a directory; the templates that a predecessor left there are made, of servers that are there.
    pub(super) fn resume(directory: &Path, plane: &Plane, now: Tick) -> Self {
        let mut clients = Self { path: directory.join(NAME), next: Instant::now() + PERIOD, is_there: false };
        let count = clients.restore(plane, now);
        tracing::debug!(count, "persistence templates of a predecessor's");
        clients
    }

    /// How many there were.
    fn restore(&mut self, plane: &Plane, now: Tick) -> usize {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return 0,
            Err(error) => {
                tracing::warn!(%error, file = %self.path.display(), "a predecessor's persistence is not read");
                return 0;
            }
        };
        self.is_there = true;
        let mut lines = text.lines();
        let head: Option<Head> = lines.next().and_then(|line| serde_json::from_str(line).ok());
        let Some(head) = head.filter(|head| head.boot == ledger::boot()) else { return 0 };
        let since = uptime().saturating_sub(head.at);
        let servers = destinations(plane);
        lines
            .filter_map(|line| serde_json::from_str::<Written>(line).ok())
            .filter(|written| {
                let destination = servers.get(&(written.of, written.destination));
                destination.is_some_and(|destination| make(plane, destination, written, since, now))
            })
            .count()
    }

    /// Writes the templates there are, where it is time.
    pub(super) fn keep(&mut self, plane: &Plane, now: Tick) {
        if Instant::now() < self.next {
            return;
        }
        let began = Instant::now();
        self.write(plane, now);
        self.next = Instant::now() + PERIOD.max(began.elapsed() * 50);
    }

    /// Writes the templates there are now.
    pub(super) fn write(&mut self, plane: &Plane, now: Tick) {
        if plane.table().templates_len() == 0 && !self.is_there {
            return;
        }
        self.is_there = true;
        let written = text(plane, now).and_then(|text| ledger::replace(&self.path, &text));
        if let Err(error) = written {
            tracing::warn!(%error, file = %self.path.display(), "persistence would not outlive a crash");
        }
    }

    /// There is nobody to tell any more.
    pub(super) fn remove(&self) {
        ledger::remove(&self.path);
    }
}

fn text(plane: &Plane, now: Tick) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(&Head { boot: ledger::boot(), at: uptime() })?;
    text.push(b'\n');
    let services = services(plane);
    let mut failed = None;
    plane.table().for_each_template(now, |template| {
        let destination = template.binding().destination();
        let Some(&of) = services.get(&destination.id()).filter(|_| template.is_valid()) else { return };
        let key = template.key();
        let (service, mark) = match key.service {
            TemplateService::Address(address, port) => (Some(SocketAddr::new(address, port)), 0),
            TemplateService::Mark(mark) => (None, mark),
        };
        let written = Written {
            protocol: key.proto.0,
            client: key.client,
            service,
            mark,
            data: template.data().to_vec(),
            server: template.server(),
            timeout: u32::try_from(template.timeout().as_secs()).unwrap_or(u32::MAX),
            left: u64::try_from(template.remaining(now).as_millis()).unwrap_or(u64::MAX),
            is_assured: template.is_assured(),
            of,
            destination: destination.endpoint(),
        };
        if let Err(error) = serde_json::to_writer(&mut text, &written) {
            failed = Some(error);
        }
        text.push(b'\n');
    });
    failed.map_or(Ok(text), |error| Err(error.into()))
}

/// Makes a template; false where its time is over or there is one.
fn make(plane: &Plane, destination: &Arc<Destination>, written: &Written, since: u64, now: Tick) -> bool {
    let left = Duration::from_millis(written.left.saturating_sub(since));
    if left.is_zero() {
        return false;
    }
    let service = match written.service {
        Some(service) => TemplateService::Address(service.ip(), service.port()),
        None => TemplateService::Mark(written.mark),
    };
    let new = NewTemplate {
        key: TemplateKey { proto: Proto(written.protocol), client: written.client, service },
        data: &written.data,
        server: written.server,
        binding: Lease::take(destination, Counted::Persistent),
        timeout: written.timeout,
    };
    plane.table().insert_template(new, now).is_ok_and(|template| {
        template.resume(now + left, written.is_assured);
        true
    })
}

fn destinations(plane: &Plane) -> HashMap<(ServiceId, SocketAddr), Arc<Destination>> {
    let snapshot = plane.snapshot();
    let members = snapshot.services().flat_map(|service| {
        let one =
            |destination: &Arc<Destination>| ((service.id, destination.endpoint()), Arc::clone(destination));
        service.pool().iter().map(move |(_, member)| one(&member.destination)).collect::<Vec<_>>()
    });
    members.collect()
}

fn services(plane: &Plane) -> HashMap<DestinationId, ServiceId> {
    let snapshot = plane.snapshot();
    let members = snapshot.services().flat_map(|service| {
        service.pool().iter().map(|(_, member)| (member.destination.id(), service.id)).collect::<Vec<_>>()
    });
    members.collect()
}

/// Milliseconds since the machine started.
fn uptime() -> u64 {
    let since = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
