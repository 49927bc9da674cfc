//! The table of `-L`: a title, then every service with its real servers.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::{Writing, cut, rules, sort};
use crate::adm::{
    command::{Columns, Digits, Format, Order},
    flags,
};
use crate::message::{
    Family, ForwardMethod, ServerListing, ServiceId, ServiceListing, Stats, Transport, TunnelChecksum,
    TunnelKind, VirtualService,
};

/// Slots of the kernel's connection table. lvsd's has no fixed number of them; scripts compare this line.
const CONNECTION_TABLE_SIZE: u32 = 4096;

/// The first line of a list of all services.
pub(in crate::adm) fn title() -> String {
    format!("IP Virtual Server version 1.2.1 (size={CONNECTION_TABLE_SIZE})\n")
}

/// The columns' names and the rows.
pub(in crate::adm) fn services(mut listing: Vec<ServiceListing>, format: Format, writing: Writing) -> String {
    let mut text = columns_title(format.columns);
    if format.order == Order::Sorted {
        sort::services(&mut listing);
    }
    for service in &mut listing {
        if format.order == Order::Sorted {
            sort::servers(&mut service.servers);
        }
        if format.columns == Columns::Rules {
            rules::service(&mut text, service, writing);
        } else {
            service_row(&mut text, service, format, writing);
            for server in &service.servers {
                server_row(&mut text, server, transport(&service.service.id), format, writing);
            }
        }
    }
    text
}

fn columns_title(columns: Columns) -> String {
    let name = "Prot LocalAddress:Port";
    let second = "  -> RemoteAddress:Port";
    let plain = "Prot LocalAddress:Port Scheduler Flags";
    let counters = |names: [&str; 5]| {
        let names = names.map(|name| format!(" {name:>8}")).concat();
        format!("{name:<33}{names}\n{second}\n")
    };
    match columns {
        Columns::Rules => String::new(),
        Columns::Stats => counters(["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"]),
        Columns::Rate => counters(["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"]),
        Columns::Thresholds => {
            let (upper, lower) = ("Uthreshold", "Lthreshold");
            format!("{name:<33} {upper:<10} {lower:<10} {:<10} {:<10}\n{second}\n", "ActiveConn", "InActConn")
        }
        Columns::PersistentConn => {
            let (weight, templates) = ("Weight", "PersistConn");
            format!(
                "{name:<33} {weight:<9} {templates:<11} {:<10} {:<10}\n{second}\n",
                "ActiveConn", "InActConn"
            )
        }
        Columns::TunnelInfo => {
            format!("{plain}\n{second}           Forward TunnelInfo    Weight ActiveConn InActConn\n")
        }
        Columns::Plain => format!("{plain}\n{second}           Forward Weight ActiveConn InActConn\n"),
    }
}

fn service_row(text: &mut String, listing: &ServiceListing, format: Format, writing: Writing) {
    let service = &listing.service;
    let name = service_name(&service.id, writing);
    match format.columns {
        Columns::Stats => {
            let _ = writeln!(text, "{name:<33}{}", counters(&listing.stats, format.digits));
        }
        Columns::Rate => {
            let s = &listing.stats;
            let rates = [s.cps, s.in_pps, s.out_pps, s.in_bps, s.out_bps];
            let _ = writeln!(text, "{name:<33}{}", rates.map(|n| large(n, format.digits)).concat());
        }
        Columns::Rules
        | Columns::Thresholds
        | Columns::PersistentConn
        | Columns::TunnelInfo
        | Columns::Plain => {
            let _ = writeln!(text, "{name} {}", service_flags(service));
        }
    }
}

fn service_name(id: &ServiceId, writing: Writing) -> String {
    match *id {
        // ipvsadm prints the mark as a signed number
        ServiceId::Mark { mark, family: Family::Ipv4 } => format!("FWM  {}", mark.cast_signed()),
        ServiceId::Mark { mark, family: Family::Ipv6 } => format!("FWM  {} IPv6", mark.cast_signed()),
        ServiceId::Address { transport, vip, port } => {
            let protocol = match transport {
                Transport::Tcp => "TCP",
                Transport::Udp => "UDP",
                Transport::Sctp => "SCTP",
            };
            let name = format!("{protocol:<4} {}", writing.endpoint(vip, port, Some(transport)));
            if vip.is_ipv6() { name } else { cut(&name, 33).to_owned() }
        }
    }
}

fn service_flags(service: &VirtualService) -> String {
    let mut text = service.scheduler.clone();
    let flags = flags::names(&service.scheduler, service.flags);
    if !flags.is_empty() {
        let _ = write!(text, " ({flags})");
    }
    if let Some(seconds) = service.persistent {
        let _ = write!(text, " persistent {seconds}");
        if let Some(mask) = mask(service) {
            let _ = write!(text, " mask {mask}");
        }
        if let Some(engine) = &service.persistence_engine {
            let _ = write!(text, " pe {engine}");
        }
    }
    if service.one_packet {
        text.push_str(" ops");
    }
    text
}

/// The persistence mask, unless it is the whole address.
pub(super) fn mask(service: &VirtualService) -> Option<String> {
    match (service.id.family(), service.netmask) {
        (Family::Ipv4, 32..) | (Family::Ipv6, 128..) => None,
        (Family::Ipv4, bits) => {
            Some(Ipv4Addr::from_bits(!u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0)).to_string())
        }
        (Family::Ipv6, bits) => Some(bits.to_string()),
    }
}

/// The protocol that gives ports their names; a mark has none.
pub(super) const fn transport(id: &ServiceId) -> Option<Transport> {
    match id {
        ServiceId::Mark { .. } => None,
        ServiceId::Address { transport, .. } => Some(*transport),
    }
}

fn server_row(
    text: &mut String,
    listing: &ServerListing,
    transport: Option<Transport>,
    format: Format,
    writing: Writing,
) {
    let server = &listing.server;
    let (active, inactive) = (listing.active, listing.inactive);
    let mut name = writing.endpoint(server.rip, server.port, transport);
    if server.rip.is_ipv4() {
        name.truncate(cut(&name, 28).len());
    }
    let forward = forward(server.method);
    let weight = server.weight;
    let row = match format.columns {
        Columns::Stats => counters(&listing.stats, format.digits),
        Columns::Rate => {
            let s = &listing.stats;
            let bytes = [s.in_bps, s.out_bps].map(|n| large(n, format.digits)).concat();
            format!(" {:>8} {:>8} {:>8}{bytes}", s.cps, s.in_pps, s.out_pps)
        }
        Columns::Thresholds => {
            let (upper, lower) = (server.upper_threshold, server.lower_threshold);
            format!(" {upper:<10} {lower:<10} {active:<10} {inactive:<10}")
        }
        Columns::PersistentConn => {
            format!(" {weight:<9} {:<11} {active:<10} {inactive:<10}", listing.persistent)
        }
        Columns::TunnelInfo => {
            let tunnel = tunnel(server.method);
            format!(" {forward:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}")
        }
        Columns::Plain | Columns::Rules => {
            format!(" {forward:<7} {weight:<6} {active:<10} {inactive:<10}")
        }
    };
    let _ = writeln!(text, "  -> {name:<28}{row}");
}

/// The method as declared: the kernel says so too of a server that is an address of its own.
const fn forward(method: ForwardMethod) -> &'static str {
    match method {
        ForwardMethod::Masquerade => "Masq",
        ForwardMethod::DirectRoute => "Route",
        ForwardMethod::Tunnel(_) => "Tunnel",
    }
}

fn tunnel(method: ForwardMethod) -> String {
    let sign = |checksum| match checksum {
        TunnelChecksum::None => "-c",
        TunnelChecksum::Full => "+c",
        TunnelChecksum::Remote => "r+c",
    };
    match method {
        ForwardMethod::Masquerade | ForwardMethod::DirectRoute => "n/a".to_owned(),
        ForwardMethod::Tunnel(TunnelKind::Ipip) => "ipip".to_owned(),
        ForwardMethod::Tunnel(TunnelKind::Gue { port, checksum }) => format!("gue:{port}:{}", sign(checksum)),
        ForwardMethod::Tunnel(TunnelKind::Gre { checksum }) => format!("gre:{}", sign(checksum)),
    }
}

fn counters(s: &Stats, digits: Digits) -> String {
    let counters = [s.conns, s.in_packets, s.out_packets, s.in_bytes, s.out_bytes];
    counters.map(|number| large(number, digits)).concat()
}

/// A counter in nine columns: with a unit once it is too long, or in full and as wide as it must be.
fn large(number: u64, digits: Digits) -> String {
    match (digits, number) {
        (Digits::Exact, _) => {
            let text = number.to_string();
            format!("{text:>width$}", width = (text.len() + 1).max(9))
        }
        (Digits::Short, ..100_000_000) => format!("{number:>9}"),
        (Digits::Short, ..1_000_000_000) => format!("{:>8}K", number / 1_000),
        (Digits::Short, ..100_000_000_000) => format!("{:>8}M", number / 1_000_000),
        (Digits::Short, ..100_000_000_000_000) => format!("{:>8}G", number / 1_000_000_000),
        (Digits::Short, _) => format!("{:>8}T", number / 1_000_000_000_000),
    }
}
