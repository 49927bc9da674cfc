//! The thread's loop: whatever happens goes to the state machines, and what they want is done.

mod act;
mod follow;
mod links;
mod reception;
mod redeclaration;
mod ways;
mod weight;

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use lvs_netcfg::{Changes, Watcher};
use lvs_vrrp::declared::Declared;
use lvs_vrrp::{Member, Reading, Rejects, Router, Rules, Tick};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::announce::Announcer;
use super::hands::Hands;
use super::notify::Notifier;
use super::pulse::Pulses;
use super::seat::Seat;
use super::socket::{LARGEST, Listener};
use super::watch::{Tell, Watched, Watches};
use super::way::Ways;
use super::{Inbox, Message, Options, VrrpError, report};
use crate::message::VrrpListing;
use links::Links;

/// What is not urgent is looked after this often: pulses, the guard, the listing.
const LOOK: Duration = Duration::from_millis(200);
/// The real-time priority that is tried when none is declared.
const REALTIME: u8 = 50;

/// All that the thread has.
pub(super) struct Engine {
    declared: Declared,
    zero: Instant,
    router: Router,
    /// One for each virtual router, at the same place.
    seats: Vec<Seat>,
    /// By interface number and family.
    listeners: HashMap<(u32, bool), Listener>,
    watcher: Watcher,
    links: Links,
    hands: Hands,
    /// What is on the host whoever is master.
    lasting: Ways,
    announcer: Announcer,
    notifier: Notifier,
    watches: Watches,
    tell: Tell,
    readings: BTreeMap<Watched, Reading>,
    pulses: Pulses,
    is_forwarding: bool,
    /// Roles of the groups as they were told last.
    told: Vec<Option<lvs_vrrp::Role>>,
    strangers: Rejects,
    receiver: Receiver<Message>,
    wakened: UnixStream,
    listing: Arc<ArcSwap<VrrpListing>>,
    look_at: Tick,
    buffer: Box<[u8; LARGEST]>,
}

impl Engine {
    pub(super) fn new(
        declared: Declared,
        options: Options,
        inbox: Inbox,
        (receiver, wakened): (Receiver<Message>, UnixStream),
        listing: Arc<ArcSwap<VrrpListing>>,
    ) -> Result<Self, VrrpError> {
        let program = options.guard.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        let tell: Tell = Arc::new(move |watched, reading| {
            let _ = inbox.send(Message::Reading(watched, reading));
        });
        Ok(Self {
            zero: Instant::now(),
            router: Router::new(),
            seats: Vec::new(),
            listeners: HashMap::new(),
            watcher: Watcher::open_for_links()?,
            links: Links::default(),
            hands: Hands::new(program)?,
            lasting: Ways::default(),
            announcer: Announcer::open()?,
            notifier: Notifier::start(declared.globals.clone())?,
            watches: Watches::default(),
            tell,
            readings: BTreeMap::new(),
            pulses: Pulses::new(options.pulses, Tick::ZERO),
            is_forwarding: true,
            told: Vec::new(),
            strangers: Rejects::default(),
            receiver,
            wakened,
            listing,
            look_at: Tick::ZERO,
            buffer: Box::new([0; LARGEST]),
            declared,
        })
    }

    /// Runs until it is told to stop.
    pub(super) fn run(&mut self) {
        let priority = self.declared.globals.realtime_priority;
        if let Err(error) = lvs_forward::io::be_realtime(priority.unwrap_or(REALTIME)) {
            tracing::debug!(%error, "the VRRP thread has no real-time priority");
        }
        self.begin();
        loop {
            self.wait();
            if self.take_messages() {
                break;
            }
            self.follow_host();
            self.receive();
            self.turn();
        }
        self.end();
    }

    fn now(&self) -> Tick {
        Tick::at(self.zero.elapsed())
    }

    fn begin(&mut self) {
        let now = self.now();
        let declared = self.declared.clone();
        for instance in &declared.instances {
            self.seats.push(Seat::new(instance.clone(), now));
        }
        self.rebuild(Router::new(), &[], now);
        self.links.set_delays(&declared.link_delays);
        self.watches.change(&declared, &self.tell);
        self.take_stock(now);
        self.clear_leftovers();
        self.clear_ways();
        self.take_lasting();
        self.router.start(now);
        self.turn();
    }

    /// Puts the machines together anew: those of `before` that stayed (by place, in the order of the seats) go on.
    fn rebuild(&mut self, before: Router, stayed: &[Option<usize>], now: Tick) {
        let mut machines: Vec<_> = before.into_machines().into_iter().map(Some).collect();
        let groups = &self.declared.groups;
        let mut router = Router::new();
        for (place, seat) in self.seats.iter().enumerate() {
            let is_in_group = groups.iter().any(|group| group.members.contains(&seat.instance.name));
            let rules = Rules::new(&seat.instance, is_in_group);
            let address = seat.sender.as_ref().map_or_else(|| unspecified(seat), |sender| sender.source);
            let earlier = stayed.get(place).copied().flatten();
            match earlier.and_then(|place| machines.get_mut(place)?.take()) {
                Some((mut machine, is_usable)) => {
                    machine.reconfigure(rules, address, now);
                    router.adopt(machine, is_usable);
                }
                None => drop(router.add(rules, address, now)),
            }
        }
        for group in groups {
            let place = |name: &String| self.seats.iter().position(|seat| seat.instance.name == *name);
            router.bind(group.members.iter().filter_map(place).map(Member).collect());
        }
        self.told = vec![None; groups.len()];
        self.router = router;
    }

    /// Sleeps until something comes or is due.
    fn wait(&mut self) {
        let due = [self.router.next_deadline(), self.announcer.next_deadline(), self.links.next_deadline()];
        let due = due.into_iter().flatten().min().map_or(self.look_at, |due| due.min(self.look_at));
        let timeout = TimeSpec::from(due - self.now());
        let mut polled = vec![
            PollFd::new(self.wakened.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.watcher.as_fd(), PollFlags::POLLIN),
        ];
        polled
            .extend(self.listeners.values().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        match ppoll(&mut polled, Some(timeout), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => {
                tracing::error!(%errno, "cannot wait for adverts");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // How often it was wakened does not matter.
        let mut bytes = [0; 64];
        while self.wakened.read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
    }

    /// True when it is to stop.
    fn take_messages(&mut self) -> bool {
        let mut has_readings = false;
        while let Ok(message) = self.receiver.try_recv() {
            match message {
                Message::Stop => return true,
                Message::Reading(watched, reading) => {
                    self.readings.insert(watched, reading);
                    has_readings = true;
                }
                Message::Reconfigure(declared, done) => {
                    self.reconfigure(&declared);
                    let _ = done.send(());
                }
            }
        }
        if has_readings {
            let now = self.now();
            self.weigh(now);
        }
        false
    }

    fn follow_host(&mut self) {
        let changes = self.watcher.update().unwrap_or_else(|error| {
            tracing::error!(%error, "the host cannot be followed");
            Changes::default()
        });
        let now = self.now();
        if changes.any() || self.links.next_deadline().is_some_and(|due| due <= now) {
            self.take_stock(now);
            self.put_back();
            self.keep_ways();
        }
    }

    /// Lets time pass, does what is to be done, and looks after what is not urgent.
    fn turn(&mut self) {
        let now = self.now();
        self.router.on_deadline(now);
        self.act(now);
        self.announcer.on_deadline(self.now());
        if now >= self.look_at {
            self.look_at = now + LOOK;
            self.hands.look_after();
            let is_forwarding = self.pulses.are_alive(now);
            if is_forwarding != self.is_forwarding {
                self.is_forwarding = is_forwarding;
                tracing::warn!(is_forwarding, "the forwarder's workers");
            }
            self.weigh(now);
            self.act(now);
            self.publish();
        }
    }

    fn publish(&self) {
        let now = self.now();
        let groups = &self.declared.groups;
        let listing = report::listing(&self.seats, &self.router, groups, &self.strangers, now);
        self.listing.store(Arc::new(listing));
    }

    /// Masters resign, and everything is taken back.
    fn end(&mut self) {
        let now = self.now();
        self.router.stop(None, now);
        self.act(now);
        self.publish();
        self.lasting.release(&mut self.hands);
        self.hands.end();
        self.watches.end();
    }
}

fn unspecified(seat: &Seat) -> std::net::IpAddr {
    if seat.instance.is_ipv6() {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    }
}
