//! How Octavia's agent reads `ip_vs` (`keepalivedlvs_query.py`): it looks for its listener's row, and takes the names
//! of the columns from the title.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What stands in each column of a member.
pub(crate) type Columns = BTreeMap<String, String>;

/// The members of a listener by address and port; none where the listener has no row.
pub(crate) fn members(text: &str, protocol: &str, listener: SocketAddr) -> Option<BTreeMap<String, Columns>> {
    let mut names: Vec<&str> = Vec::new();
    let mut members = None;
    for line in text.split('\n') {
        if let Some((_, columns)) = line.split_once("RemoteAddress:Port") {
            names = columns.split_whitespace().collect();
        } else if members.is_some() && line.starts_with(protocol) {
            break;
        } else if is_row_of(line, protocol, listener) {
            members = Some(BTreeMap::new());
        } else if let Some(members) = &mut members
            && !line.is_empty()
        {
            let Some((member, values)) = member(line) else { break };
            let columns = names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value));
            members.insert(member, columns.collect());
        }
    }
    members
}

/// Protocol, blanks, the address and port in hexadecimal digits, blanks, a word.
fn is_row_of(line: &str, protocol: &str, listener: SocketAddr) -> bool {
    let address = match listener.ip() {
        IpAddr::V4(addr) => format!("{:08X}", addr.to_bits()),
        IpAddr::V6(addr) => {
            format!("[{}]", addr.segments().map(|group| format!("{group:04x}")).join(":"))
        }
    };
    let wanted = format!("{address}:{:04X}", listener.port());
    let Some(rest) = line.strip_prefix(protocol).map(str::trim_start) else { return false };
    let Some(rest) = rest.strip_prefix(&wanted) else { return false };
    rest.starts_with(' ') && rest.trim_start().starts_with(|c: char| c.is_alphanumeric())
}

/// A member's address and port, and the values behind them.
fn member(line: &str) -> Option<(String, Vec<String>)> {
    let mut words = line.split_whitespace().skip_while(|word| *word == "->");
    let (address, port) = words.next()?.rsplit_once(':')?;
    let address: IpAddr = match address.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok()?,
        None if address.len() == 8 => IpAddr::V4(u32::from_str_radix(address, 16).ok()?.into()),
        None => return None,
    };
    let port = u16::from_str_radix(port, 16).ok().filter(|_| port.len() == 4)?;
    Some((SocketAddr::new(address, port).to_string(), words.map(Into::into).collect()))
}
