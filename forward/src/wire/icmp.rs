//! ICMP (RFC 792) and ICMPv6 (RFC 4443) messages.
//!
//! ```text
//!  0 type | 1 code | 2 checksum | 4 what the type makes of it | 8 the quoted packet, in an error
//! ```

/// Octets before the quoted packet.
pub const HEADER: usize = 8;

pub(crate) const CHECKSUM: usize = 2;

/// ICMP: destination unreachable.
pub const V4_UNREACHABLE: u8 = 3;
/// ICMP: source quench, which nobody heeds any more (RFC 6633).
pub const V4_SOURCE_QUENCH: u8 = 4;
/// ICMP: redirect.
pub const V4_REDIRECT: u8 = 5;
/// ICMP: echo request.
pub const V4_ECHO: u8 = 8;
/// ICMP: time exceeded.
pub const V4_TIME_EXCEEDED: u8 = 11;
/// ICMP: parameter problem.
pub const V4_PARAMETER_PROBLEM: u8 = 12;
/// Code of [`V4_UNREACHABLE`]: nobody listens on the port.
pub const V4_PORT: u8 = 3;
/// Code of [`V4_UNREACHABLE`]: larger than the next link takes, and not to be fragmented.
pub const V4_FRAGMENTATION_NEEDED: u8 = 4;

/// ICMPv6: destination unreachable.
pub const V6_UNREACHABLE: u8 = 1;
/// ICMPv6: larger than the next link takes.
pub const V6_PACKET_TOO_BIG: u8 = 2;
/// ICMPv6: time exceeded.
pub const V6_TIME_EXCEEDED: u8 = 3;
/// ICMPv6: echo request.
pub const V6_ECHO: u8 = 128;
/// Code of [`V6_UNREACHABLE`]: nobody listens on the port.
pub const V6_PORT: u8 = 4;
/// ICMPv6: types below this are errors (RFC 4443, 2.1).
pub const V6_INFORMATIONAL: u8 = 128;
