//! `ip_vs`: services with their servers (`ip_vs_info_seq_show`).

use std::fmt::Write as _;
use std::net::IpAddr;

use super::Address;
use crate::message::{
    Family, ForwardMethod, ServerListing, ServiceId, ServiceListing, Transport, VirtualService,
};

const TITLE: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
";
/// The kernel's clock ticks in a second: it shows a persistence timeout in these.
const JIFFIES: u64 = 250;

pub(super) fn text(services: &[ServiceListing]) -> String {
    let mut text = TITLE.to_owned();
    // The kernel keeps services on marks in a table of their own, which comes second.
    let is_marked = |listing: &&ServiceListing| matches!(listing.service.id, ServiceId::Mark { .. });
    let (marked, plain): (Vec<_>, Vec<_>) = services.iter().partition(is_marked);
    for listing in plain.into_iter().chain(marked) {
        service_row(&mut text, &listing.service);
        for server in &listing.servers {
            server_row(&mut text, server);
        }
    }
    text
}

/// Every word has its blank behind it; only a row of an IPv4 address has one for the word `ops` even without it, and
/// only a row of an IPv6 address does not tell it.
fn service_row(text: &mut String, service: &VirtualService) {
    let ops = if service.one_packet { "ops " } else { "" };
    let scheduler = &service.scheduler;
    // Writing to a string cannot fail.
    let _ = match service.id {
        ServiceId::Mark { mark, .. } => write!(text, "FWM  {mark:08X} {scheduler} {ops}"),
        ServiceId::Address { transport, vip: vip @ IpAddr::V4(_), port } => {
            write!(text, "{}  {}:{port:04X} {scheduler} {ops} ", name(transport), Address(vip))
        }
        ServiceId::Address { transport, vip: vip @ IpAddr::V6(_), port } => {
            write!(text, "{}  [{}]:{port:04X} {scheduler} ", name(transport), Address(vip))
        }
    };
    let _ = match service.persistent {
        Some(seconds) => {
            writeln!(text, "persistent {} {:08X}", u64::from(seconds) * JIFFIES, netmask(service))
        }
        None => writeln!(text),
    };
}

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Sctp => "SCTP",
    }
}

/// The mask of an IPv4 service; the length of an IPv6 one's prefix, whose octets the kernel turns round.
fn netmask(service: &VirtualService) -> u32 {
    let bits = u32::from(service.netmask);
    match service.id.family() {
        Family::Ipv4 => !u32::MAX.checked_shr(bits).unwrap_or(0),
        Family::Ipv6 => bits.swap_bytes(),
    }
}

fn server_row(text: &mut String, listing: &ServerListing) {
    let server = &listing.server;
    let rip = Address(server.rip);
    let rip = if server.rip.is_ipv6() { format!("[{rip}]") } else { rip.to_string() };
    let forward = match server.method {
        ForwardMethod::Masquerade => "Masq",
        ForwardMethod::DirectRoute => "Route",
        ForwardMethod::Tunnel(_) => "Tunnel",
    };
    let _ = writeln!(
        text,
        "  -> {rip}:{:04X}      {forward:<7} {:<6} {:<10} {:<10}",
        server.port, server.weight, listing.active, listing.inactive
    );
}
