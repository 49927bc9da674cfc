//! Running the program over a frame that came from nowhere (`BPF_PROG_RUN`), to see what it would do.

#![allow(unsafe_code, reason = "libbpf-rs runs only programs of an object it holds itself")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::libbpf_sys::{bpf_prog_test_run_opts, bpf_test_run_opts, xdp_md};
use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};

use super::program::Program;

/// What the program did with a frame: `enum xdp_action` of `linux/bpf.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It failed.
    Aborted,
    /// The frame was dropped.
    Drop,
    /// It is the host's.
    Pass,
    /// It leaves where it came in.
    Transmit,
    /// It leaves through another interface, or goes to a socket.
    Redirect,
}

/// The outcome of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What the program did.
    pub action: Action,
    /// The frame as it was then.
    pub frame: Vec<u8>,
}

impl Program {
    /// Runs the program once over a frame as if it had come in at the interface with number `ifindex`, which is of
    /// the calling thread's network namespace. The maps change as they do for any frame; the frame goes nowhere.
    ///
    /// # Errors
    /// The kernel's: `EINVAL` for a frame shorter than an Ethernet header, `ENODEV` without such an interface.
    pub fn try_frame(&self, frame: &[u8], ifindex: u32) -> io::Result<Trial> {
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let mut context = xdp_md { data_end: length, ingress_ifindex: ifindex, ..xdp_md::default() };
        let mut out = vec![0; frame.len() + 256];
        let mut options = bpf_test_run_opts {
            sz: size_of::<bpf_test_run_opts>() as libbpf_rs::libbpf_sys::size_t,
            data_in: frame.as_ptr().cast(),
            data_size_in: length,
            data_out: out.as_mut_ptr().cast(),
            data_size_out: u32::try_from(out.len()).map_err(io::Error::other)?,
            ctx_in: std::ptr::from_mut(&mut context).cast(),
            ctx_size_in: u32::try_from(size_of::<xdp_md>()).map_err(io::Error::other)?,
            repeat: 1,
            ..bpf_test_run_opts::default()
        };
        // SAFETY: every pointer in `options` is of a buffer that outlives the call, with its length beside it.
        let result = unsafe { bpf_prog_test_run_opts(self.code().as_raw_fd(), &raw mut options) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        out.truncate(options.data_size_out as usize);
        let action = match options.retval {
            1 => Action::Drop,
            2 => Action::Pass,
            3 => Action::Transmit,
            4 => Action::Redirect,
            _ => Action::Aborted,
        };
        Ok(Trial { action, frame: out })
    }

    /// How many instructions the program has as the kernel runs it.
    pub fn instructions(&self) -> Option<usize> {
        let id = libbpf_rs::Program::id_from_fd(self.code().as_fd()).ok()?;
        let options = ProgInfoQueryOptions::default().include_xlated_prog_insns(true);
        let info = ProgInfoIter::with_query_opts(options).find(|info| info.id == id)?;
        // Each takes eight octets.
        Some(info.xlated_prog_insns.len() / 8)
    }
}
