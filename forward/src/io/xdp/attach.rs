//! Attaching an XDP program to an interface, and not to one that is taken.
//!
//! Attached by netlink, a program stays when its process ends, however it ends. What a predecessor left is
//! recognised by the program's name and replaced in one step.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use libbpf_rs::query::ProgInfoIter;
use libbpf_rs::{ErrorKind, Object, ObjectBuilder, OpenObject, PrintLevel, Xdp, XdpFlags};

use super::error::ProgramError;

/// Where in the receive path an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In the driver, before the kernel has made a packet of the frame.
    Native,
    /// In the kernel's general receive path: any interface can, but the kernel may already have joined several
    /// segments into a frame too large for a socket's buffers (GRO, TSO of a veth's peer). Such frames are counted
    /// in `rx_dropped` of the socket; `ethtool -K IF gro off lro off`, on a veth's peer `tso off gso off`, avoids
    /// them.
    Generic,
}

impl Mode {
    fn flag(self) -> XdpFlags {
        match self {
            Self::Native => XdpFlags::DRV_MODE,
            Self::Generic => XdpFlags::SKB_MODE,
        }
    }
}

/// The program that is attached to an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// Its number.
    pub id: u32,
    /// Its name, as `bpftool prog` shows it; empty where the kernel does not tell (that takes `CAP_SYS_ADMIN`).
    pub name: String,
    /// Where it runs.
    pub mode: Mode,
}

/// `XDP_ATTACHED_SKB` of `linux/if_link.h`.
const ATTACHED_SKB: u8 = 2;

/// Loads a compiled object, with libbpf's own messages going to the log.
pub(super) fn load(object: &[u8], program: &'static str) -> Result<Object, ProgramError> {
    load_with(object, program, |_| Ok(()))
}

/// Loads a compiled object whose maps `prepare` has made ready.
pub(super) fn load_with(
    object: &[u8],
    program: &'static str,
    prepare: impl FnOnce(&mut OpenObject) -> libbpf_rs::Result<()>,
) -> Result<Object, ProgramError> {
    libbpf_rs::set_print(Some((PrintLevel::Debug, log)));
    raise_locked_memory();
    ObjectBuilder::default()
        .open_memory(object)
        .and_then(|mut open| prepare(&mut open).map(|()| open))
        .and_then(OpenObject::load)
        .map_err(|source| ProgramError::Load { program, source })
}

#[allow(clippy::needless_pass_by_value, reason = "the signature is libbpf-rs's")]
fn log(level: PrintLevel, message: String) {
    let message = message.trim_end();
    match level {
        PrintLevel::Debug | PrintLevel::Info => tracing::debug!(target: "libbpf", "{message}"),
        PrintLevel::Warn => tracing::warn!(target: "libbpf", "{message}"),
    }
}

/// Lets this process lock as much memory as it may, for packet memory and, on kernels before 5.11, for maps.
pub(super) fn raise_locked_memory() {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
    if setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_ok() {
        return;
    }
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) {
        // Without CAP_SYS_RESOURCE this is as far as it goes; whoever needs more reports what is missing.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard);
    }
}

/// The interface's number, as libbpf counts.
pub(super) fn index(interface: &str) -> Result<i32, ProgramError> {
    nix::net::if_::if_nametoindex(interface)
        .map_err(io::Error::from)
        .and_then(|index| i32::try_from(index).map_err(io::Error::other))
        .map_err(|source| ProgramError::Interface { interface: interface.to_owned(), source })
}

/// The XDP program attached to interface `index`, if there is one.
pub(super) fn occupant(interface: &str, index: i32) -> Result<Option<Occupant>, ProgramError> {
    // Only a question: no program is needed to ask it.
    let nothing = std::fs::File::open("/dev/null")
        .map_err(|source| ProgramError::Interface { interface: interface.to_owned(), source })?;
    let found = Xdp::new(nothing.as_fd())
        .query(index, XdpFlags::NONE)
        .map_err(|source| ProgramError::Attach { interface: interface.to_owned(), source })?;
    let id = [found.prog_id, found.drv_prog_id, found.skb_prog_id].into_iter().find(|&id| id != 0);
    Ok(id.map(|id| Occupant {
        id,
        name: name_of(id).unwrap_or_default(),
        mode: if found.attach_mode == ATTACHED_SKB { Mode::Generic } else { Mode::Native },
    }))
}

/// `NETDEV_XDP_ACT_NDO_XMIT` of `linux/netdev.h`: frames may be redirected to the interface.
const TAKES_REDIRECTS: u64 = 1 << 2;

/// Whether frames may be redirected to interface `index` at present.
pub(super) fn takes_redirects(
    any: BorrowedFd<'_>,
    interface: &str,
    index: i32,
) -> Result<bool, ProgramError> {
    let found = Xdp::new(any)
        .query(index, XdpFlags::NONE)
        .map_err(|source| ProgramError::Attach { interface: interface.to_owned(), source })?;
    Ok(found.feature_flags & TAKES_REDIRECTS != 0)
}

fn name_of(id: u32) -> Option<String> {
    let info = ProgInfoIter::default().find(|info| info.id == id)?;
    Some(info.name.to_string_lossy().into_owned())
}

/// Attaches `program`, named `name`, to an interface: in place of one of the same name, natively if `wish` leaves
/// the choice and the driver can. Returns where it runs.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    name: &str,
    interface: &str,
    wish: Option<Mode>,
) -> Result<Mode, ProgramError> {
    let index = index(interface)?;
    let xdp = Xdp::new(program);
    let failed = |source| ProgramError::Attach { interface: interface.to_owned(), source };
    if let Some(predecessor) = occupant(interface, index)? {
        if predecessor.name != name {
            let Occupant { name, id, .. } = predecessor;
            return Err(ProgramError::Occupied { interface: interface.to_owned(), name, id });
        }
        if wish.is_none_or(|mode| mode == predecessor.mode) {
            replace(&xdp, index, &predecessor).map_err(failed)?;
            return Ok(predecessor.mode);
        }
        xdp.detach(index, predecessor.mode.flag()).map_err(failed)?;
    }
    let fresh = |mode: Mode| xdp.attach(index, mode.flag() | XdpFlags::UPDATE_IF_NOEXIST);
    let Some(mode) = wish else {
        return match fresh(Mode::Native) {
            Ok(()) => Ok(Mode::Native),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(failed(error)),
            Err(error) => {
                tracing::warn!(interface, %error, "no native XDP; generic XDP is used");
                fresh(Mode::Generic).map_err(failed)?;
                Ok(Mode::Generic)
            }
        };
    };
    fresh(mode).map_err(failed)?;
    Ok(mode)
}

fn replace(xdp: &Xdp<'_>, index: i32, predecessor: &Occupant) -> libbpf_rs::Result<()> {
    match predecessor.mode {
        Mode::Native => {
            let old = libbpf_rs::Program::fd_from_id(predecessor.id)?;
            xdp.replace(index, old.as_fd())
        }
        // libbpf-rs's replace() cannot name the mode; an attach without a condition replaces just as well.
        Mode::Generic => xdp.attach(index, XdpFlags::SKB_MODE),
    }
}

/// Whether a director's program is on an interface: a predecessor's, where no director serves it.
///
/// # Errors
/// [`ProgramError::Interface`], [`ProgramError::Attach`]
pub fn is_on(interface: &str) -> Result<bool, ProgramError> {
    let occupant = occupant(interface, index(interface)?)?;
    Ok(occupant.is_some_and(|occupant| occupant.name == super::program::NAME))
}

/// Takes a director's program off an interface that no director serves any more; false when there is none.
///
/// # Errors
/// [`ProgramError::Interface`], [`ProgramError::Attach`]
pub fn take_off(interface: &str) -> Result<bool, ProgramError> {
    // Only the kernel's own record of the program is looked at.
    let nothing = std::fs::File::open("/dev/null")
        .map_err(|source| ProgramError::Interface { interface: interface.to_owned(), source })?;
    detach(nothing.as_fd(), super::program::NAME, interface)
}

/// Takes the program named `name` off an interface; false when it was not there.
pub(super) fn detach(program: BorrowedFd<'_>, name: &str, interface: &str) -> Result<bool, ProgramError> {
    let index = index(interface)?;
    match occupant(interface, index)? {
        Some(occupant) if occupant.name == name => {
            Xdp::new(program)
                .detach(index, occupant.mode.flag())
                .map_err(|source| ProgramError::Attach { interface: interface.to_owned(), source })?;
            Ok(true)
        }
        Some(_) | None => Ok(false),
    }
}
