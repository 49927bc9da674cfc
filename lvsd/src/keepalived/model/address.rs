//! `virtual_ipaddress`: an address with what `ip address add` may be told of it.

use std::net::IpAddr;

use lvs_vrrp::declared::{Flag, Peer, Scope, VirtualAddress};

use super::super::reader::Word;
use super::super::source::Found;
use super::super::tree::Statement;
use super::Model;

const OPTIONS: [&str; 15] = [
    "brd",
    "broadcast",
    "dev",
    "scope",
    "label",
    "peer",
    "home",
    "-nodad",
    "mngtmpaddr",
    "noprefixroute",
    "autojoin",
    "no_track",
    "preferred_lft",
    "use_vmac",
    "track_group",
];
const SCOPES: [(&str, Scope); 5] = [
    ("global", Scope::Global),
    ("site", Scope::Site),
    ("link", Scope::Link),
    ("host", Scope::Host),
    ("nowhere", Scope::Nowhere),
];

impl Model<'_> {
    /// The addresses of a block, one a line; several on a line where nothing but addresses is on it.
    pub(super) fn addresses(&mut self, block: &Statement) -> Vec<VirtualAddress> {
        let mut done = Vec::new();
        for item in block.inside() {
            let is_list = item.words.iter().all(|word| looks_like_address(&word.text));
            if is_list {
                for word in &item.words {
                    done.extend(self.virtual_address(std::slice::from_ref(word)));
                }
            } else {
                done.extend(self.virtual_address(&item.words));
            }
        }
        done
    }

    pub(super) fn virtual_address(&mut self, words: &[Word]) -> Option<VirtualAddress> {
        let (first, options) = words.split_first()?;
        let mut address = self.with_prefix(first)?;
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let name = self.findings.choice(option, "option of an address", &OPTIONS)?;
            match name {
                "home" => drop(address.flags.insert(Flag::Home)),
                "-nodad" => drop(address.flags.insert(Flag::DetectDuplicates)),
                "mngtmpaddr" => drop(address.flags.insert(Flag::ManageTemporary)),
                "noprefixroute" => drop(address.flags.insert(Flag::NoPrefixRoute)),
                "autojoin" => drop(address.flags.insert(Flag::AutoJoin)),
                "no_track" => address.is_untracked = true,
                "use_vmac" => {
                    let found =
                        Found::new(option.place, "an address with a virtual MAC of its own", "cannot be had");
                    self.findings.mistake(found.help("give the other interface an instance of its own"));
                }
                _ => {
                    let Some(value) = options.next() else {
                        let title = format!("`{name}` without its value");
                        self.findings.mistake(Found::new(option.place, title, "expected a value behind it"));
                        return None;
                    };
                    self.address_option(name, value, &mut address);
                }
            }
        }
        Some(address)
    }

    fn address_option(&mut self, name: &str, value: &Word, address: &mut VirtualAddress) {
        match name {
            "dev" => address.interface = self.findings.interface(value),
            "label" => address.label = Some(value.text.clone()),
            "peer" => address.peer = self.peer_address(value),
            "brd" | "broadcast" => {
                address.broadcast = match (value.text.as_str(), address.address) {
                    ("+", IpAddr::V4(v4)) => Some((v4.to_bits() | host_bits(address.prefix)).into()),
                    ("-", IpAddr::V4(v4)) => Some((v4.to_bits() & !host_bits(address.prefix)).into()),
                    _ => self.findings.parsed(value, "an IPv4 address, `+` or `-`"),
                }
            }
            "scope" => {
                let named = SCOPES.iter().find(|(name, _)| *name == value.text).map(|&(_, scope)| scope);
                let number = || {
                    let number = value.text.parse().ok()?;
                    let named = SCOPES.iter().map(|&(_, scope)| scope).find(|scope| scope.number() == number);
                    Some(named.unwrap_or(Scope::Number(number)))
                };
                match named.or_else(number) {
                    Some(scope) => address.scope = scope,
                    None => drop(self.findings.choice(value, "scope", &SCOPES.map(|(name, _)| name))),
                }
            }
            "preferred_lft" => {
                address.preferred_lifetime = if value.text == "forever" {
                    None
                } else {
                    self.findings.number(value, "seconds, or `forever`", 0..=i64::from(u32::MAX) - 1)
                }
            }
            _ => {
                let title = "`track_group` is for static addresses";
                self.findings.mistake(Found::new(value.place, title, "expected nothing of it here"));
            }
        }
    }

    fn peer_address(&mut self, value: &Word) -> Option<IpAddr> {
        if value.text.contains('/') {
            let found = Found::new(value.place, "a peer with a prefix", "expected an address alone");
            self.findings.mistake(found.help("write the prefix behind the address itself"));
            return None;
        }
        self.findings.address(value)
    }

    fn with_prefix(&mut self, word: &Word) -> Option<VirtualAddress> {
        let (text, prefix) = match word.text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (word.text.as_str(), None),
        };
        let address: Option<IpAddr> = text.parse().ok();
        let length = prefix.map(str::parse::<u8>);
        let (Some(address), Some(Ok(_)) | None) = (address, &length) else {
            let title = format!("`{}` cannot be read", word.text);
            let expected = "expected an address such as 192.0.2.10 or 192.0.2.10/24";
            self.findings.mistake(Found::new(word.place, title, expected));
            return None;
        };
        let mut done = VirtualAddress::new(address);
        if let Some(Ok(length)) = length {
            let whole = if address.is_ipv6() { 128 } else { 32 };
            done.prefix = length;
            if address.is_ipv6() && length != whole {
                done.preferred_lifetime = None;
            }
        }
        Some(done)
    }

    /// `ADDRESS [min_ttl NUMBER] [max_ttl NUMBER]`
    pub(super) fn peer(&mut self, item: &Statement) -> Option<Peer> {
        let (first, options) = item.words.split_first()?;
        let mut peer = Peer { address: self.findings.address(first)?, min_ttl: None, max_ttl: None };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let name = self.findings.choice(option, "option", &["min_ttl", "max_ttl"])?;
            let Some(value) = options.next() else {
                let title = format!("`{name}` without its number");
                self.findings.mistake(Found::new(option.place, title, "expected 0 to 255 behind it"));
                return None;
            };
            let value = self.findings.number(value, "a TTL", 0..=255);
            if name == "min_ttl" { peer.min_ttl = value } else { peer.max_ttl = value }
        }
        Some(peer)
    }
}

fn looks_like_address(text: &str) -> bool {
    text.split('/').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
}

const fn host_bits(prefix: u8) -> u32 {
    if prefix >= 32 { 0 } else { u32::MAX >> prefix }
}
