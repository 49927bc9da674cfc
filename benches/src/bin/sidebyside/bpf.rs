//! The BPF programs of the runs: loading them, and running one over live frames.

#![allow(unsafe_code, reason = "libbpf-rs cannot run a program over live frames")]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::libbpf_sys::{bpf_prog_test_run_opts, bpf_test_run_opts};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel};

use crate::failure::Failure;

/// A loaded object with one program.
#[derive(Debug)]
pub(crate) struct Loaded {
    object: Object,
}

impl Loaded {
    /// Loads an object as `benches/bpf/build.sh` makes them.
    pub(crate) fn load(object: &[u8]) -> Result<Self, Failure> {
        // What libbpf says of its own accord is of no use here; errors come back.
        libbpf_rs::set_print(Some((PrintLevel::Debug, |_, _| ())));
        let object = ObjectBuilder::default()
            .open_memory(object)
            .and_then(OpenObject::load)
            .map_err(Failure::bpf("cannot load a BPF program"))?;
        Ok(Self { object })
    }

    /// Attaches the program to an interface of the calling thread's namespace, until the link is dropped.
    pub(crate) fn attach(&self, interface: &str) -> Result<Link, Failure> {
        let index = nix::net::if_::if_nametoindex(interface)
            .map_err(|errno| Failure::system(interface)(errno.into()))?;
        let index = i32::try_from(index).unwrap_or(0);
        let program = self.object.progs_mut().next().ok_or_else(nothing)?;
        program.attach_xdp(index).map_err(Failure::bpf("cannot attach an XDP program"))
    }

    /// A map of the object's.
    pub(crate) fn map(&self, name: &str) -> Result<MapHandle, Failure> {
        let map = self.object.maps().find(|map| map.name() == OsStr::new(name)).ok_or_else(nothing)?;
        MapHandle::try_from(&map).map_err(Failure::bpf("cannot hold a map"))
    }

    /// Sets element 0 of an array.
    pub(crate) fn set(&self, map: &str, value: &[u8]) -> Result<(), Failure> {
        let zero = 0_u32.to_ne_bytes();
        self.map(map)?.update(&zero, value, MapFlags::ANY).map_err(Failure::bpf("cannot write into a map"))
    }

    /// Runs the program `frames` times over frames that go where it sends them, all on the calling thread; the
    /// nanoseconds it took for each.
    pub(crate) fn run_live(&self, frame: &[u8], frames: u32) -> Result<f64, Failure> {
        let program = self.object.progs_mut().next().ok_or_else(nothing)?;
        let failed = Failure::system("cannot run a BPF program over live frames");
        let mut options = bpf_test_run_opts {
            sz: size_of::<bpf_test_run_opts>() as libbpf_rs::libbpf_sys::size_t,
            data_in: frame.as_ptr().cast(),
            data_size_in: u32::try_from(frame.len()).unwrap_or(0),
            repeat: i32::try_from(frames).unwrap_or(i32::MAX),
            flags: LIVE_FRAMES,
            ..bpf_test_run_opts::default()
        };
        // SAFETY: `options` and the frame it points at live through the call, with the length beside it.
        let result = unsafe { bpf_prog_test_run_opts(program.as_fd().as_raw_fd(), &raw mut options) };
        if result < 0 { Err(failed(io::Error::last_os_error())) } else { Ok(f64::from(options.duration)) }
    }
}

/// `BPF_F_TEST_XDP_LIVE_FRAMES` of linux/bpf.h.
const LIVE_FRAMES: u32 = 1 << 1;

fn nothing() -> Failure {
    Failure::Wrong("a BPF object has another content than was expected".to_owned())
}
