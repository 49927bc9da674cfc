//! The seam to whoever takes the outer header off tunnelled packets on a real server.

use std::io;
use std::net::IpAddr;

/// Takes the outer header off packets that a director tunnelled here, before the kernel sees them.
///
/// For a kernel without an ipip device. What is attached must outlive the process, and
/// [`detach`](Self::detach) must work from another process: it may be a later *revert*.
pub trait Decapsulator {
    /// Starts on `interface`: tunnelled packets to one of the host's `own` addresses there whose
    /// inner destination is one of `vips` lose their outer header. Attaching again replaces.
    fn attach(&mut self, interface: &str, vips: &[IpAddr], own: &[IpAddr]) -> io::Result<()>;

    /// Stops on `interface`; no error when nothing was attached.
    fn detach(&mut self, interface: &str) -> io::Result<()>;

    /// Whether it works on `interface`.
    fn is_attached(&self, interface: &str) -> io::Result<bool>;
}
