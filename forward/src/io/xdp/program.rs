//! The XDP program `lvsd_xdp`: loading it, attaching it, telling it which packets are the director's.
//!
//! The source is `forward/bpf/lvsd_xdp.bpf.c`. One program with one set of maps serves all interfaces of a network
//! namespace. It follows IPv6 extension headers up to six and VLAN tags up to two; a packet to a service's address
//! with more extension headers goes to the director, which drops it by name.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd, RawFd};

use libbpf_rs::{MapCore, MapHandle, Object};
use parking_lot::Mutex;

use super::attach::{self, Mode};
use super::claim_maps::{ClaimMaps, update};
use super::claims::Claims;
use super::counted::Counts;
use super::error::ProgramError;
use super::flows::{Flows, VERSION};
use super::heritage::{Heritage, LASTING};
use super::interfaces::{Interface, Interfaces};
use super::pins::Pins;
use super::server::Egress;
use super::sizes::{Families, Sizes};
use crate::io::sys;
use crate::wire::ethernet::Mac;

/// The compiled program, as `forward/bpf/build.sh` makes it.
const OBJECT: &[u8] = include_bytes!("../../../bpf/lvsd_xdp.bpf.o");

/// The program's name, as `bpftool prog` shows it.
pub const NAME: &str = "lvsd_xdp";

/// The most queues an interface may have.
const QUEUES: u32 = 64;
/// The most interfaces: `lvsd_xsk` has room for so many times `QUEUES` sockets.
const INTERFACES: u32 = 64;

/// Why the program cannot send frames out of an interface by itself. The director's sockets can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEgress {
    /// It runs in the general receive path, where frames are packets of the kernel's already.
    #[error("generic XDP")]
    Generic,
    /// The driver takes no redirected frames; a veth only while its peer has an XDP program or GRO.
    #[error("it takes no redirected frames (on a veth: ethtool -K PEER gro on)")]
    NoRedirect,
}

/// An interface the program is attached to.
#[derive(Debug, Clone, Copy)]
struct Attachment {
    /// The interface's number.
    index: u32,
    mode: Mode,
    /// Where its queues begin in `lvsd_xsk`.
    base: u32,
}

/// The loaded program. It can be shared by the workers and the thread that configures them.
///
/// Dropping this leaves the program where it is attached, on purpose: after a crash it goes on dropping the services'
/// packets and passing all else, until the next director replaces it. A graceful stop calls [`Program::detach`].
#[derive(Debug)]
pub struct Program {
    code: OwnedFd,
    sockets: MapHandle,
    interfaces: Mutex<Interfaces>,
    counts: MapHandle,
    devices: MapHandle,
    flows: Flows,
    /// The maps that outlive this, by their names.
    lasting: Vec<(&'static str, MapHandle)>,
    claims: Mutex<ClaimMaps>,
    attachments: Mutex<BTreeMap<String, Attachment>>,
    /// The interfaces' places that the flows of a predecessor refer to.
    inherited: Option<BTreeMap<u32, u32>>,
}

impl Program {
    /// Loads the program with empty maps: it passes every packet. There is no room for flows.
    ///
    /// # Errors
    /// [`ProgramError::Load`], which names the capability when one is missing.
    pub fn load() -> Result<Self, ProgramError> {
        Self::load_with_flows(Families::both(1))
    }

    /// Loads the program with empty maps, and room for so many flows, at least one of each family.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub fn load_with_flows(flows: Families) -> Result<Self, ProgramError> {
        Self::load_after(None, flows)
    }

    /// As [`load_with_flows`](Self::load_with_flows), with the flows that a predecessor's program on these
    /// interfaces knows, where there is one: it goes on forwarding them, and this one does so from its
    /// [`attach`](Self::attach) on. [`has_taken_over`](Self::has_taken_over) tells.
    ///
    /// `pins` is where the predecessor may have given its maps names.
    ///
    /// # Errors
    /// As [`Program::load`], and [`ProgramError::OtherVersion`] for flows that cannot be read here: they go on being
    /// forwarded, and nothing is changed.
    pub fn take_over(
        interfaces: &[String],
        flows: Families,
        pins: Option<&Pins>,
    ) -> Result<Self, ProgramError> {
        Self::load_after(Heritage::find(interfaces, NAME, pins)?, flows)
    }

    /// Gives the program and the maps that outlive it names, by which a successor finds them.
    ///
    /// # Errors
    /// [`ProgramError::Pin`], [`ProgramError::Map`]
    pub fn pin(&self, pins: &Pins) -> Result<(), ProgramError> {
        pins.put(&self.code, &self.lasting, VERSION)
    }

    fn load_after(heritage: Option<Heritage>, flows: Families) -> Result<Self, ProgramError> {
        let sizes = Sizes::of(flows);
        let object = attach::load_with(OBJECT, NAME, |open| {
            if let Some(heritage) = &heritage {
                return heritage.put_into(open);
            }
            for mut map in open.maps_mut() {
                match map.name().to_string_lossy().as_ref() {
                    "lvsd_flow4" => map.set_max_entries(sizes.values().v4)?,
                    "lvsd_flow6" => map.set_max_entries(sizes.values().v6)?,
                    _ => {}
                }
            }
            Ok(())
        })?;
        let map = |name| map(&object, name);
        let lasting = LASTING.iter().map(|&name| Ok((name, map(name)?)));
        Ok(Self {
            code: program(&object, NAME)?,
            lasting: lasting.collect::<Result<_, ProgramError>>()?,
            sockets: map("lvsd_xsk")?,
            interfaces: Mutex::new(Interfaces::of(&object)?),
            counts: map("lvsd_count")?,
            devices: map("lvsd_device")?,
            flows: Flows::of(&object, heritage.is_none().then_some(sizes))?,
            claims: Mutex::new(ClaimMaps::of(&object)?),
            attachments: Mutex::new(BTreeMap::new()),
            inherited: heritage.map(|heritage| heritage.devices),
        })
    }

    /// True where the flows are a predecessor's.
    pub const fn has_taken_over(&self) -> bool {
        self.inherited.is_some()
    }

    /// Makes `claims` the packets that go to the director. Packets that were and stay the director's are so
    /// throughout. To be called before the first [`Program::attach`], so that none is the host's in between.
    ///
    /// # Errors
    /// [`ProgramError::Map`]; the next call goes on from where this one stopped.
    pub fn claim(&self, claims: &Claims) -> Result<(), ProgramError> {
        self.claims.lock().follow(claims)
    }

    /// Attaches the program to an interface, natively where the driver can unless `wish` says otherwise, and in
    /// place of a predecessor's `lvsd_xdp` where one is left. Returns where it runs.
    ///
    /// # Errors
    /// [`ProgramError::Occupied`] when another XDP program is there.
    pub fn attach(&self, interface: &str, wish: Option<Mode>) -> Result<Mode, ProgramError> {
        let index = attach::index(interface)?;
        let mut attachments = self.attachments.lock();
        let taken = |base| attachments.values().any(|attachment: &Attachment| attachment.base == base);
        let base = match attachments.get(interface) {
            Some(attachment) => Some(attachment.base),
            None => self
                .inherited_place(index)
                .or_else(|| {
                    let is_free = |&slot: &u32| !taken(slot * QUEUES) && !self.is_inherited(slot);
                    (0..INTERFACES).find(is_free)
                })
                .map(|slot| slot * QUEUES),
        };
        let Some(base) = base else {
            let interface = interface.to_owned();
            return Err(ProgramError::TooManyQueues { interface, most: INTERFACES, queues: QUEUES });
        };
        let mac = sys::mac(interface)
            .map_err(|source| ProgramError::Interface { interface: interface.to_owned(), source })?;
        let number = index.unsigned_abs();
        self.interfaces.lock().put(Interface { index: number, base, mac: Mac(mac) })?;
        let mode = attach::attach(self.code.as_fd(), NAME, interface, wish)?;
        attachments.insert(interface.to_owned(), Attachment { index: number, mode, base });
        if mode == Mode::Native {
            update(&self.devices, &(base / QUEUES).to_ne_bytes(), &index.to_ne_bytes())?;
        }
        Ok(mode)
    }

    fn inherited_place(&self, index: i32) -> Option<u32> {
        let index = u32::try_from(index).ok()?;
        self.inherited.as_ref()?.get(&index).copied()
    }

    fn is_inherited(&self, slot: u32) -> bool {
        self.inherited.as_ref().is_some_and(|places| places.values().any(|&place| place == slot))
    }

    /// The flows the program forwards by itself.
    pub const fn flows(&self) -> &Flows {
        &self.flows
    }

    /// The way out of `interface` for frames that the program forwards itself, or why there is none at present.
    ///
    /// # Errors
    /// [`ProgramError::NotAttached`], and what the kernel says when it is asked.
    pub fn egress(&self, interface: &str) -> Result<Result<Egress, NoEgress>, ProgramError> {
        let Attachment { mode, base, .. } = self.attachment(interface)?;
        if mode == Mode::Generic {
            return Ok(Err(NoEgress::Generic));
        }
        let index = attach::index(interface)?;
        if !attach::takes_redirects(self.code.as_fd(), interface, index)? {
            return Ok(Err(NoEgress::NoRedirect));
        }
        let ifindex = u32::try_from(index).unwrap_or(0);
        let driver = sys::driver(interface)
            .map_err(|source| ProgramError::Interface { interface: interface.to_owned(), source })?;
        Ok(Ok(Egress { ifindex, device: base / QUEUES, transmits: driver != "veth" }))
    }

    pub(super) const fn code(&self) -> &OwnedFd {
        &self.code
    }

    /// Takes the program off an interface: from now on the host gets every packet. Nothing happens where it is
    /// not attached.
    ///
    /// # Errors
    /// [`ProgramError::Interface`] when the interface is gone.
    pub fn detach(&self, interface: &str) -> Result<(), ProgramError> {
        let attachment = self.attachments.lock().remove(interface);
        if let Some(Attachment { base, .. }) = attachment {
            // It may have none, in the general path.
            let _ = self.devices.delete(&(base / QUEUES).to_ne_bytes());
        }
        let detached = attach::detach(self.code.as_fd(), NAME, interface);
        // Not before: until then its packets are the director's.
        if let Some(Attachment { index, .. }) = attachment {
            self.interfaces.lock().remove(index)?;
        }
        detached.map(drop)
    }

    /// Makes `own` and `others` the addresses by which frames reach an interface: its own, and those of interfaces
    /// that are stacked on it. Frames to others are left to the host. What is said before an
    /// [`attach`](Self::attach) holds from then on, but for `own`, which is looked up then.
    ///
    /// # Errors
    /// [`ProgramError::Interface`] when the interface is gone, [`ProgramError::Map`].
    pub fn address(&self, interface: &str, own: Mac, others: &BTreeSet<Mac>) -> Result<(), ProgramError> {
        let index = attach::index(interface)?.unsigned_abs();
        self.interfaces.lock().address(index, own, others)
    }

    /// The interfaces the program was attached to here, and where it runs.
    pub fn attached(&self) -> Vec<(String, Mode)> {
        self.attachments.lock().iter().map(|(name, attachment)| (name.clone(), attachment.mode)).collect()
    }

    /// What the program did with packets so far, on all interfaces.
    ///
    /// # Errors
    /// [`ProgramError::Map`].
    pub fn counts(&self) -> Result<Counts, ProgramError> {
        Counts::read(&self.counts)
    }

    /// Where the program runs on `interface`.
    pub(super) fn mode(&self, interface: &str) -> Result<Mode, ProgramError> {
        self.attachment(interface).map(|attachment| attachment.mode)
    }

    /// Sends the packets of an interface's queue to a socket. The entry empties itself when the socket closes.
    pub(super) fn insert_socket(
        &self,
        interface: &str,
        queue: u32,
        socket: RawFd,
    ) -> Result<(), ProgramError> {
        let base = self.attachment(interface)?.base;
        if queue >= QUEUES {
            let interface = interface.to_owned();
            return Err(ProgramError::TooManyQueues { interface, most: INTERFACES, queues: QUEUES });
        }
        update(&self.sockets, &(base + queue).to_ne_bytes(), &socket.to_ne_bytes())
    }

    fn attachment(&self, interface: &str) -> Result<Attachment, ProgramError> {
        let attachments = self.attachments.lock();
        attachments.get(interface).copied().ok_or_else(|| ProgramError::NotAttached(interface.to_owned()))
    }
}

/// A map of a loaded object.
pub(super) fn map(object: &Object, name: &'static str) -> Result<MapHandle, ProgramError> {
    let map = object.maps().find(|map| map.name() == name).ok_or(ProgramError::Missing(name))?;
    MapHandle::try_from(&map).map_err(|source| ProgramError::Map { map: name.to_owned(), source })
}

/// A handle on a program of a loaded object.
pub(super) fn program(object: &Object, name: &'static str) -> Result<OwnedFd, ProgramError> {
    let program = object.progs().find(|program| program.name() == name).ok_or(ProgramError::Missing(name))?;
    program
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| ProgramError::Load { program: name, source: error.into() })
}
