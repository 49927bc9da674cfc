//! `ip_vs_conn` and `ip_vs_conn_sync`: connections and templates (`ip_vs_conn_seq_show`).

use std::fmt::Write as _;

use super::Address;
use crate::message::ConnectionListing;

const TITLE: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";
const SYNC_TITLE: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n";

pub(super) fn text(connections: &[ConnectionListing]) -> String {
    let mut text = TITLE.to_owned();
    for conn in connections {
        ends(&mut text, conn);
        let _ = write!(text, " {:<11} {:>7}", conn.state, conn.expires);
        if let Some((engine, kept)) = &conn.persistence {
            let _ = write!(text, " {engine} {kept}");
        }
        text.push('\n');
    }
    text
}

/// All connections began here: none came from another director.
pub(super) fn sync_text(connections: &[ConnectionListing]) -> String {
    let mut text = SYNC_TITLE.to_owned();
    for conn in connections {
        ends(&mut text, conn);
        let _ = writeln!(text, " {:<11} {:<6} {:>7}", conn.state, "LOCAL", conn.expires);
    }
    text
}

/// Protocol, client, service and server.
fn ends(text: &mut String, conn: &ConnectionListing) {
    let (cip, vip, rip) = (Address(conn.cip), Address(conn.vip), Address(conn.rip));
    let _ = write!(
        text,
        "{:<3} {cip} {:04X} {vip} {:04X} {rip} {:04X}",
        protocol(conn.proto),
        conn.client_port,
        conn.service_port,
        conn.server_port
    );
}

/// The protocol's name (`ip_vs_proto_name`).
fn protocol(number: u8) -> String {
    match number {
        0 => "IP".to_owned(),
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        58 => "ICMPv6".to_owned(),
        132 => "SCTP".to_owned(),
        other => format!("IP_{other}"),
    }
}
