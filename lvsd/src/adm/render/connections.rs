//! The table of `-L -c`.

use super::Writing;
use crate::adm::command::Columns;
use crate::message::{ConnectionListing, Transport};

const TITLE: &str = "pro expire state       source             virtual            destination\n";
const TITLE_WITH_ENGINE: &str = "pro expire state       source             virtual            \
    destination        pe name          pe_data\n";

/// The connections, in the order they come; their engines' data with `--persistent-conn`.
pub(in crate::adm) fn connections(
    connections: &[ConnectionListing],
    columns: Columns,
    writing: Writing,
) -> String {
    let with_engine = columns == Columns::PersistentConn;
    let mut text = String::from("IPVS connection entries\n");
    text.push_str(if with_engine { TITLE_WITH_ENGINE } else { TITLE });
    for connection in connections {
        text.push_str(&row(connection, with_engine, writing));
    }
    text
}

fn row(connection: &ConnectionListing, with_engine: bool, writing: Writing) -> String {
    let c = connection;
    let (protocol, transport) = match c.proto {
        0 => ("IP".to_owned(), None),
        6 => ("TCP".to_owned(), Some(Transport::Tcp)),
        17 => ("UDP".to_owned(), Some(Transport::Udp)),
        132 => ("SCTP".to_owned(), Some(Transport::Sctp)),
        50 => ("ESP".to_owned(), None),
        51 => ("AH".to_owned(), None),
        other => (format!("IP_{other}"), None),
    };
    let expire = format!("{:02}:{:02}", c.expires / 60, c.expires % 60);
    let source = writing.endpoint(c.cip, c.client_port, transport);
    let virt = writing.endpoint(c.vip, c.service_port, transport);
    let destination = writing.endpoint(c.rip, c.server_port, transport);
    let head = format!("{protocol:<3} {expire:<6} {:<11} {source:<18} {virt:<18}", c.state);
    match &c.persistence {
        Some((engine, data)) if with_engine => format!("{head} {destination:<16} {engine:<18} {data}\n"),
        _ => format!("{head} {destination}\n"),
    }
}
