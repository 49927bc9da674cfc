//! How `node_exporter` reads the files (the package procfs, `ipvs.go`): fields between blanks; addresses by the length
//! of the field.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A server with its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) proto: String,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) mark: String,
    pub(crate) remote: SocketAddr,
    pub(crate) weight: u64,
    pub(crate) active: u64,
    pub(crate) inactive: u64,
}

/// The servers in `ip_vs`; what could not be read.
pub(crate) fn backends(text: &str) -> Result<Vec<Backend>, String> {
    let mut backends = Vec::new();
    let (mut proto, mut mark, mut local) = (String::new(), String::new(), None);
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [] | ["IP" | "Prot", ..] | [_, "RemoteAddress:Port", ..] => {}
            [name @ ("TCP" | "UDP"), endpoint, ..] => {
                (proto, mark, local) = ((*name).to_owned(), String::new(), Some(read_endpoint(endpoint)?));
            }
            ["FWM", number, ..] => {
                (proto, mark, local) = ("FWM".to_owned(), (*number).to_owned(), None);
            }
            ["->", endpoint, _, weight, active, inactive, ..] => backends.push(Backend {
                proto: proto.clone(),
                local,
                mark: mark.clone(),
                remote: read_endpoint(endpoint)?,
                weight: number(weight, 10)?,
                active: number(active, 10)?,
                inactive: number(inactive, 10)?,
            }),
            _ => {}
        }
    }
    Ok(backends)
}

/// Connections, packets and bytes in `ip_vs_stats`: the third line.
pub(crate) fn counters(text: &str) -> Result<[u64; 5], String> {
    let lines: Vec<&str> = text.splitn(4, '\n').collect();
    let [_, _, counters, _] = lines.as_slice() else { return Err("too short".to_owned()) };
    let fields: Vec<&str> = counters.split_whitespace().collect();
    let fields: [&str; 5] =
        fields.try_into().map_err(|fields: Vec<&str>| format!("{} fields", fields.len()))?;
    let mut read = [0; 5];
    for (value, field) in read.iter_mut().zip(fields) {
        *value = number(field, 16)?;
    }
    Ok(read)
}

fn read_endpoint(text: &str) -> Result<SocketAddr, String> {
    let address = match text.len() {
        13 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number(&text[..8], 16)?).unwrap())),
        46 => IpAddr::V6(text[1..40].parse::<Ipv6Addr>().map_err(|error| format!("{text}: {error}"))?),
        _ => return Err(format!("unexpected endpoint {text}")),
    };
    let port = number(&text[text.len() - 4..], 16)?;
    Ok(SocketAddr::new(address, u16::try_from(port).unwrap()))
}

fn number(text: &str, radix: u32) -> Result<u64, String> {
    u64::from_str_radix(text, radix).map_err(|error| format!("{text}: {error}"))
}
