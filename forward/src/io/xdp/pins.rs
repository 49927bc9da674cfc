//! A `bpf` file system of the director's own, in which the program and the maps that outlive it have names.
//!
//! ```text
//! DIRECTORY/mark         what layout the rest has; written last, removed first
//! DIRECTORY/lvsd_xdp     the program
//! DIRECTORY/lvsd_flow4   .. and the other maps
//! ```
//!
//! The program stays attached when its process ends, and keeps its maps; a name finds them also where the kernel may
//! not be asked for them by number (that takes `CAP_SYS_ADMIN`) and after somebody took the program off. A host need
//! not have such a file system mounted, and `ip netns exec` hides the host's: this one is mounted where the first
//! process of the host sees it, if that may be done.

#![allow(unsafe_code, reason = "libbpf-rs pins only programs of an object it holds itself")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;

use libbpf_rs::libbpf_sys::{bpf_map_create_opts, bpf_obj_pin};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use super::error::ProgramError;
use super::program::NAME;
use super::record::{Reader, Record};

/// `BPF_FS_MAGIC` of linux/magic.h.
const BPF_FS: u64 = 0xcafe_4a11;
/// The name of the map that says what the others are.
const MARK: &str = "mark";
/// What the mark begins with: "lvsd".
const MAGIC: u32 = 0x6c76_7364;
/// Octets of the mark.
const MARK_SIZE: u32 = 64;
/// The first process of the host.
const FIRST: &str = "/proc/1/ns/mnt";
const OWN: &str = "/proc/thread-self/ns/mnt";

/// The file system, mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    directory: PathBuf,
}

impl Pins {
    /// The file system at a directory, which is made and mounted where it is not there.
    ///
    /// # Errors
    /// The kernel's: `EPERM` without `CAP_SYS_ADMIN`.
    pub fn mount(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let pins = Self { directory: directory.to_owned() };
        if pins.is_mounted() {
            return Ok(pins);
        }
        // In the namespace of the first process it outlives those of all others. What is mounted there shows here,
        // unless the mounts were made private.
        let place = directory.to_owned();
        if let Err(error) = at_first(move || mount_at(&place)) {
            tracing::debug!(%error, "the bpf file system is mounted in this mount namespace alone");
        }
        if !pins.is_mounted() {
            mount_at(directory)?;
        }
        Ok(pins)
    }

    /// The file system at a directory, if it is mounted there.
    pub fn find(directory: &Path) -> Option<Self> {
        Some(Self { directory: directory.to_owned() }).filter(Self::is_mounted)
    }

    /// Where it is mounted.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes every name away, the file system and its directory. What is attached stays so.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(self) -> io::Result<()> {
        for name in fs::read_dir(&self.directory)? {
            let path = name?.path();
            // The kernel puts `progs.debug` and `maps.debug` there, which go with the file system.
            if path.extension().is_none() {
                fs::remove_file(path)?;
            }
        }
        let place = self.directory.clone();
        // It may be mounted in both namespaces, and then shows here twice.
        let _ = at_first(move || umount2(&place, MntFlags::MNT_DETACH).map_err(io::Error::from));
        while self.is_mounted() {
            umount2(&self.directory, MntFlags::MNT_DETACH)?;
        }
        fs::remove_dir(&self.directory)
    }

    fn is_mounted(&self) -> bool {
        let Ok(path) = CString::new(self.directory.as_os_str().as_bytes()) else { return false };
        // SAFETY: every field of statfs may be all zeroes.
        let mut found: libc::statfs = unsafe { std::mem::zeroed() };
        // SAFETY: the path ends with a zero, and the structure is there to be written.
        let result = unsafe { libc::statfs(path.as_ptr(), &raw mut found) };
        result == 0 && u64::try_from(found.f_type).is_ok_and(|kind| kind == BPF_FS)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What layout the maps have: the version, and the octets of their values. Nothing where there are none.
    pub(super) fn mark(&self) -> Option<(u32, Vec<u32>)> {
        let map = MapHandle::from_pinned_path(self.path(MARK)).ok()?;
        let value = map.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).ok()??;
        let mut reader = Reader::new(&value);
        let (magic, version, count) = (reader.u32(), reader.u32(), reader.u32());
        (magic == MAGIC).then(|| (version, (0..count.min(12)).map(|_| reader.u32()).collect()))
    }

    /// The map with a name.
    pub(super) fn map(&self, name: &str) -> Option<MapHandle> {
        MapHandle::from_pinned_path(self.path(name)).ok()
    }

    /// The number of the program.
    pub fn program(&self) -> Option<u32> {
        let code = libbpf_rs::Program::fd_from_pinned_path(self.path(NAME)).ok()?;
        libbpf_rs::Program::id_from_fd(code.as_fd()).ok()
    }

    /// Gives the program and the maps their names, instead of what had them.
    pub(super) fn put(
        &self,
        code: &OwnedFd,
        maps: &[(&str, MapHandle)],
        version: u32,
    ) -> Result<(), ProgramError> {
        let failed = |source| ProgramError::Pin { directory: self.directory.clone(), source };
        self.clear(MARK).map_err(failed)?;
        for (name, map) in maps {
            self.clear(name).map_err(failed)?;
            self.pin(name, map.as_fd()).map_err(failed)?;
        }
        self.clear(NAME).map_err(failed)?;
        self.pin(NAME, code.as_fd()).map_err(failed)?;
        let mut record = Record::<{ MARK_SIZE as usize }>::new().u32(MAGIC).u32(version);
        record = record.u32(u32::try_from(maps.len()).unwrap_or(0));
        for (_, map) in maps {
            record = record.u32(map.value_size());
        }
        self.put_mark(record.octets()).map_err(|source| ProgramError::Map { map: MARK.to_owned(), source })
    }

    fn put_mark(&self, octets: &[u8]) -> libbpf_rs::Result<()> {
        let options = bpf_map_create_opts {
            sz: size_of::<bpf_map_create_opts>() as libbpf_rs::libbpf_sys::size_t,
            ..bpf_map_create_opts::default()
        };
        let mut mark = MapHandle::create(MapType::Array, Some("lvsd_mark"), 4, MARK_SIZE, 1, &options)?;
        mark.update(&0_u32.to_ne_bytes(), octets, MapFlags::ANY)?;
        mark.pin(self.path(MARK))
    }

    fn pin(&self, name: &str, object: BorrowedFd<'_>) -> io::Result<()> {
        let path = CString::new(self.path(name).as_os_str().as_bytes())?;
        // SAFETY: the path ends with a zero, and the descriptor is open.
        let result = unsafe { bpf_obj_pin(object.as_raw_fd(), path.as_ptr()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn clear(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn mount_at(directory: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("lvsd"), directory, Some("bpf"), flags, Some("mode=0700"))?)
}

/// Runs `work` in the mount namespace of the host's first process, where that is another one than ours.
fn at_first(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let (first, own) = (fs::read_link(FIRST)?, fs::read_link(OWN)?);
    if first == own {
        return Err(io::Error::other("it is ours"));
    }
    let namespace = fs::File::open(FIRST)?;
    let entering = move || {
        // A thread that changes its namespace must not share its directories with others.
        unshare(CloneFlags::CLONE_FS)?;
        setns(namespace, CloneFlags::CLONE_NEWNS)?;
        work()
    };
    thread::spawn(entering).join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
}
