//! What routes and rules are written with: words as `ip route` and `ip rule` take them, read one after another.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Words that cannot be read: which one, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The place among the words.
    pub at: usize,
    /// What is wrong.
    pub title: String,
    /// What was expected, or is to be done.
    pub expected: String,
    /// There is such a word, and nothing for it here.
    pub is_refused: bool,
}

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Its first address.
    pub address: IpAddr,
    /// How many bits of it count.
    pub length: u8,
}

impl Prefix {
    /// All addresses of a family.
    pub const fn all(is_ipv6: bool) -> Self {
        let address = if is_ipv6 {
            IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
        };
        Self { address, length: 0 }
    }

    const fn whole(address: IpAddr) -> u8 {
        if address.is_ipv6() { 128 } else { 32 }
    }

    fn is_truncated(self) -> bool {
        let beyond =
            |bits: u128, whole: u8| bits.checked_shl(u32::from(128 - whole + self.length)).unwrap_or(0);
        match self.address {
            IpAddr::V4(v4) => beyond(u128::from(v4.to_bits()), 32) == 0,
            IpAddr::V6(v6) => beyond(v6.to_bits(), 128) == 0,
        }
    }
}

impl FromStr for Prefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a network such as 192.0.2.0/24 or 2001:db8::/32";
        let (address, length) =
            text.split_once('/').map_or((text, None), |(text, length)| (text, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
        let whole = Self::whole(address);
        let length = length.map_or(Ok(whole), str::parse).map_err(|_| EXPECTED)?;
        let prefix = Self { address, length };
        if length > whole {
            Err("expected no more than /32, or /128 for IPv6")
        } else if prefix.is_truncated() {
            Ok(prefix)
        } else {
            Err("expected nothing but zeros behind the network's own bits")
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.length == Self::whole(self.address) { Ok(()) } else { write!(f, "/{}", self.length) }
    }
}

/// Goes over words.
#[derive(Debug)]
pub(super) struct Words<'a> {
    words: &'a [&'a str],
    next: usize,
}

impl<'a> Words<'a> {
    pub(super) const fn new(words: &'a [&'a str]) -> Self {
        Self { words, next: 0 }
    }

    pub(super) fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next).copied();
        self.next += usize::from(word.is_some());
        word
    }

    /// Takes the next word if it is this one.
    pub(super) fn is_next(&mut self, word: &str) -> bool {
        let is_it = self.words.get(self.next).is_some_and(|next| *next == word);
        self.next += usize::from(is_it);
        is_it
    }

    /// Gives the word that was taken last back.
    pub(super) const fn again(&mut self) -> &mut Self {
        self.next = self.next.saturating_sub(1);
        self
    }

    /// A complaint about the word that was taken last.
    pub(super) fn wrong(&self, title: impl Into<String>, expected: impl Into<String>) -> Unread {
        let at = self.next.saturating_sub(1);
        Unread { at, title: title.into(), expected: expected.into(), is_refused: false }
    }

    /// The value behind an option.
    pub(super) fn value(&mut self, option: &str) -> Result<&'a str, Unread> {
        let complaint = self.wrong(format!("`{option}` without its value"), "expected a value behind it");
        self.next().ok_or(complaint)
    }

    /// The value as something that is written so.
    pub(super) fn parsed<T: FromStr>(&mut self, option: &str, expected: &str) -> Result<T, Unread> {
        let value = self.value(option)?;
        value.parse().map_err(|_| self.unreadable(value, expected))
    }

    /// A number in decimal, or in hexadecimal behind `0x`.
    pub(super) fn number<T: TryFrom<u32>>(&mut self, option: &str, expected: &str) -> Result<T, Unread> {
        let value = self.value(option)?;
        number(value).ok_or_else(|| self.unreadable(value, expected))
    }

    /// A number, or the name that stands for it.
    pub(super) fn named<T: TryFrom<u32>>(
        &mut self,
        option: &str,
        names: &[(&str, u32)],
        expected: &str,
    ) -> Result<T, Unread> {
        let value = self.value(option)?;
        let named =
            names.iter().find(|(name, _)| *name == value).and_then(|&(_, number)| T::try_from(number).ok());
        named.or_else(|| number(value)).ok_or_else(|| {
            let names: Vec<&str> = names.iter().map(|&(name, _)| name).collect();
            self.unreadable(value, &format!("{expected}, or one of: {}", names.join(", ")))
        })
    }

    /// A table's number. What an operator calls it stands in a file of the host's, which is not looked into.
    pub(super) fn table(&mut self, option: &str) -> Result<u32, Unread> {
        let table = self.named(option, &TABLES, "the table's number (see /etc/iproute2/rt_tables)")?;
        if table == 0 { Err(self.wrong("there is no table 0", "expected 1 or more")) } else { Ok(table) }
    }

    pub(super) fn prefix(&mut self, option: &str) -> Result<Prefix, Unread> {
        let value = self.value(option)?;
        value.parse().map_err(|expected: &str| self.wrong(format!("`{value}` cannot be read"), expected))
    }

    pub(super) fn interface(&mut self, option: &str) -> Result<String, Unread> {
        let value = self.value(option)?;
        if value.is_empty() || value.len() > 15 || value.contains('/') {
            return Err(
                self.wrong(format!("`{value}` is no interface"), "expected a name of at most 15 bytes")
            );
        }
        Ok(value.to_owned())
    }

    fn unreadable(&self, value: &str, expected: &str) -> Unread {
        self.wrong(format!("`{value}` cannot be read"), format!("expected {expected}"))
    }

    /// What is said of a word that has no meaning here.
    pub(super) fn unknown(
        &self,
        noun: &str,
        word: &str,
        known: &[&str],
        not_done: &[&str],
        way: &str,
    ) -> Unread {
        if not_done.contains(&word) {
            let expected = format!("lvsd does not do this; set it by {way}");
            return Unread { is_refused: true, ..self.wrong(format!("`{word}` cannot be had"), expected) };
        }
        let title = format!("unknown word of a {noun} `{word}`");
        self.wrong(title, format!("expected one of: {}", known.join(", ")))
    }
}

pub(super) fn number<T: TryFrom<u32>>(text: &str) -> Option<T> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    T::try_from(number?).ok()
}

/// What the table is called, or its number.
pub(super) fn table_name(number: u32) -> String {
    let named = TABLES.iter().find(|&&(_, table)| table == number);
    named.map_or_else(|| number.to_string(), |&(name, _)| name.to_owned())
}

/// The tables that have a name everywhere.
const TABLES: [(&str, u32); 3] = [("main", 254), ("default", 253), ("local", 255)];

/// keepalived's number among those who set routes and rules (`RTPROT_KEEPALIVED`).
pub const KEEPALIVED: u8 = 18;
