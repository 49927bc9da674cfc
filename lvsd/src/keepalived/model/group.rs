//! `virtual_server_group`: addresses, ranges of them, and marks that share their real servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::super::reader::Word;
use super::super::source::{Found, Place};
use super::super::tree::Statement;
use super::Model;
use crate::message::Family;

/// The most addresses of one range.
const MOST: u128 = 65_536;

/// The entries of a group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) entries: Vec<Entry>,
    pub(super) place: Place,
    pub(super) is_used: bool,
}

/// An address or a mark of a group, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) what: What,
    pub(super) place: Place,
}

/// An address or a mark of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Address(IpAddr, u16),
    Mark(u32, Option<Family>),
}

impl Model<'_> {
    pub(super) fn group(&mut self, statement: &Statement) {
        let Some(name) = Self::name(statement) else { return };
        let mut entries = Vec::new();
        for item in statement.inside() {
            self.entry(item, &mut entries);
        }
        let group = Group { entries, place: name.place, is_used: false };
        if let Some(first) = self.groups.get(&name.text) {
            let found = Found::new(name.place, "two groups of one name", "again here");
            self.findings.mistake(found.also(first.place, "first here"));
            return;
        }
        self.groups.insert(name.text.clone(), group);
    }

    fn entry(&mut self, item: &Statement, entries: &mut Vec<Entry>) {
        let Some(first) = item.words.first() else { return };
        let place = item.whole();
        let most = if first.text == "fwmark" { 3 } else { 2 };
        if let Some(extra) = item.words.get(most) {
            let title = format!("`{}` is one too many", extra.text);
            self.findings.mistake(Found::new(extra.place, title, "expected `ADDRESS [PORT]` on a line"));
        }
        if first.text == "fwmark" {
            let Some(mark) = item.argument(0) else {
                let found = Found::new(first.place, "a mark without its number", "expected `fwmark NUMBER`");
                return self.findings.mistake(found);
            };
            let Some(mark) = self.findings.number(mark, "a mark", 1..=i64::from(u32::MAX)) else { return };
            let family = item.argument(1).and_then(|word| self.family(word));
            entries.push(Entry { what: What::Mark(mark, family), place });
            return;
        }
        let port = match item.argument(0) {
            Some(port) => self.findings.number(port, "a port", 1..=65_535),
            None => Some(0),
        };
        if let (Some(addresses), Some(port)) = (self.range(first), port) {
            entries.extend(addresses.map(|address| Entry { what: What::Address(address, port), place }));
        }
    }

    pub(super) fn family(&mut self, word: &Word) -> Option<Family> {
        match self.findings.choice(word, "address family", &["inet", "inet6"])? {
            "inet" => Some(Family::Ipv4),
            _ => Some(Family::Ipv6),
        }
    }

    /// `A`, `A-LAST`, `A-B` or `A/LENGTH`.
    fn range(&mut self, word: &Word) -> Option<impl Iterator<Item = IpAddr> + use<>> {
        let bounds = bounds(&word.text);
        let Some((first, last)) = bounds else {
            let title = format!("`{}` cannot be read", word.text);
            let expected = "expected an address, or a range such as 192.0.2.1-10 or 192.0.2.8/29";
            self.findings.mistake(Found::new(word.place, title, expected));
            return None;
        };
        let (from, to) = (number(first), number(last));
        if to < from || to - from >= MOST {
            let (title, expected) = if to < from {
                ("a range that ends before it begins", "expected the lower address first".to_owned())
            } else {
                ("a range of too many addresses", format!("expected up to {MOST}"))
            };
            let found = Found::new(word.place, title, expected);
            self.findings.mistake(found.help("a `fwmark` gathers any number of addresses"));
            return None;
        }
        let is_ipv6 = first.is_ipv6();
        Some((from..=to).map(move |number| address(number, is_ipv6)))
    }
}

fn bounds(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Ok(address) = text.parse() {
        return Some((address, address));
    }
    if let Some((first, last)) = text.split_once('-') {
        let first: IpAddr = first.parse().ok()?;
        let last = match (first, last.parse::<IpAddr>()) {
            (_, Ok(last)) if last.is_ipv4() == first.is_ipv4() => last,
            (_, Ok(_)) => return None,
            (IpAddr::V4(v4), Err(_)) => {
                let [a, b, c, _] = v4.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, last.parse().ok()?))
            }
            (IpAddr::V6(v6), Err(_)) => {
                let mut segments = v6.segments();
                segments[7] = u16::from_str_radix(last, 16).ok()?;
                IpAddr::V6(segments.into())
            }
        };
        return Some((first, last));
    }
    let network: IpNet = text.parse().ok()?;
    Some((network.network(), network.broadcast()))
}

const fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits() as u128,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(number: u128, is_ipv6: bool) -> IpAddr {
    if is_ipv6 {
        IpAddr::V6(Ipv6Addr::from_bits(number))
    } else {
        IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_written_in_each_of_its_ways() {
        let range = |text: &str| bounds(text).map(|(first, last)| format!("{first} {last}"));
        assert_eq!(range("192.0.2.1-10").as_deref(), Some("192.0.2.1 192.0.2.10"));
        assert_eq!(range("192.0.2.250-192.0.3.10").as_deref(), Some("192.0.2.250 192.0.3.10"));
        assert_eq!(range("192.0.2.8/29").as_deref(), Some("192.0.2.8 192.0.2.15"));
        assert_eq!(range("2001:db8::1-ff").as_deref(), Some("2001:db8::1 2001:db8::ff"));
        assert_eq!(range("192.0.2.1-2001:db8::1"), None);
        assert_eq!(range("192.0.2.1-300"), None);
    }
}
