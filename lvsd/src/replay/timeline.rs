//! The lines of a timeline, as far as a replay needs them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use super::topology::Way;
use crate::mark::{MarkRule, PortRange};
use crate::message::Transport;

/// The first line: the set-up.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Case {
    #[serde(default)]
    pub(super) sysctl: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(super) vips: Vec<IpAddr>,
    #[serde(default)]
    marks: Vec<Mark>,
    #[serde(default)]
    pub(super) mtu: BTreeMap<String, u16>,
    #[serde(default)]
    pub(super) local: Vec<IpNet>,
    /// What a rule of the host's routing takes in for its mark's sake.
    #[serde(default)]
    pub(super) taken_in: Vec<Policy>,
    /// Routes besides the topology's.
    #[serde(default)]
    pub(super) routes: Vec<Way>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Policy {
    pub(super) mark: u32,
    pub(super) dst: IpNet,
}

#[derive(Debug, Clone, Deserialize)]
struct Mark {
    dst: IpNet,
    proto: Option<String>,
    #[serde(default)]
    dports: Vec<u16>,
    #[serde(rename = "mark")]
    number: u32,
}

/// Any later line; what it does not have is empty.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Step {
    pub(super) op: String,
    /// Seconds since the case began.
    #[serde(default)]
    pub(super) t: f64,
    #[serde(default)]
    pub(super) args: String,
    #[serde(default)]
    pub(super) n: u64,
    #[serde(default, rename = "if")]
    pub(super) interface: String,
    #[serde(default)]
    pub(super) frame: String,
    #[serde(default)]
    pub(super) set: String,
}

impl Case {
    /// Which packets carry which mark. In the firewall that recorded the case the last rule that fits counts, here
    /// the first does.
    pub(super) fn marks(&self) -> Result<Vec<MarkRule>, String> {
        self.marks.iter().rev().filter_map(|mark| mark.rule().transpose()).collect()
    }
}

impl Mark {
    /// None for a rule that fits nothing a service could be asked for.
    fn rule(&self) -> Result<Option<MarkRule>, String> {
        let protocol = match self.proto.as_deref() {
            None => None,
            Some("tcp") => Some(Transport::Tcp),
            Some("udp") => Some(Transport::Udp),
            Some("sctp") => Some(Transport::Sctp),
            Some("icmp") => return Ok(None),
            Some(other) => return Err(format!("{other}: a protocol without a number")),
        };
        Ok(Some(MarkRule {
            mark: self.number,
            destination: Some(self.dst),
            source: None,
            protocol,
            ports: self.dports.iter().copied().map(PortRange::single).collect(),
            source_ports: Vec::new(),
            interface: None,
        }))
    }
}

/// A frame from its hexadecimal digits.
pub(super) fn decode(hex: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    hex.as_bytes().chunks(2).map(pair).collect()
}

/// The hexadecimal digits of a frame.
pub(super) fn encode(frame: &[u8]) -> String {
    use std::fmt::Write;
    frame.iter().fold(String::with_capacity(frame.len() * 2), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// The words of a command line; quotes keep blanks together.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_go_both_ways() {
        assert_eq!(decode("00ff10"), Some(vec![0, 255, 16]));
        assert_eq!(encode(&[0, 255, 16]), "00ff10");
        assert_eq!(decode("0"), None);
        assert_eq!(decode("0g"), None);
    }

    #[test]
    fn quotes_keep_blanks_together() {
        assert_eq!(words("-A  -t 10.0.0.1:80"), ["-A", "-t", "10.0.0.1:80"]);
        assert_eq!(words("-s 'a b' \"\""), ["-s", "a b", ""]);
    }
}
