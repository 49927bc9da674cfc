//! Turns listings into ipvsadm's text, trailing blanks included.

mod connections;
mod rules;
mod sort;
mod sync;
mod table;

use std::net::{IpAddr, Ipv4Addr};

pub(super) use connections::connections;
pub(super) use sync::daemons;
pub(super) use table::{services, title};

use super::{command::Numbers, names::Names};
use crate::message::{Timeouts, Transport};

/// How addresses and ports are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub(super) numbers: Numbers,
    pub(super) names: Names,
}

impl Writing {
    /// `A:P` or `[A]:P`; the port's name depends on the protocol.
    fn endpoint(self, addr: IpAddr, port: u16, transport: Option<Transport>) -> String {
        let (host, service) = match self.numbers {
            Numbers::Numeric => (None, None),
            Numbers::Named => {
                (self.names.host(addr), transport.and_then(|transport| self.names.service(port, transport)))
            }
        };
        let host = host.unwrap_or_else(|| number(addr));
        let service = service.map_or_else(|| port.to_string(), str::to_owned);
        if addr.is_ipv6() { format!("[{host}]:{service}") } else { format!("{host}:{service}") }
    }
}

/// The line of `-L --timeout`.
pub(super) fn timeouts(timeouts: &Timeouts) -> String {
    format!("Timeout (tcp tcpfin udp): {} {} {}\n", timeouts.tcp, timeouts.tcp_fin, timeouts.udp)
}

/// The address as `inet_ntop` writes it: the last 32 bits of an IPv4-compatible one (`::/96`) with dots.
fn number(addr: IpAddr) -> String {
    match addr {
        IpAddr::V6(v6) if v6.to_bits() >> 32 == 0 && v6.to_bits() >> 16 != 0 => {
            let low = u32::try_from(v6.to_bits()).unwrap_or_default();
            format!("::{}", Ipv4Addr::from_bits(low))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => addr.to_string(),
    }
}

/// At most `width` bytes of a text, for the columns that are cut.
fn cut(text: &str, width: usize) -> &str {
    &text[..text.floor_char_boundary(width)]
}
