//! Keys with their values, to be written as lines under a header or within braces.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

/// A value as TOML writes it.
pub(super) trait Written {
    fn written(&self) -> String;
}

macro_rules! as_they_are {
    ($($kind:ty),*) => {
        $(impl Written for $kind {
            fn written(&self) -> String {
                self.to_string()
            }
        })*
    };
}

macro_rules! in_quotes {
    ($($kind:ty),*) => {
        $(impl Written for $kind {
            fn written(&self) -> String {
                quoted(&self.to_string())
            }
        })*
    };
}

as_they_are!(bool, u8, u16, u32, i16, i32, i64, usize);
in_quotes!(str, String, IpAddr, Ipv4Addr, SocketAddr, IpNet);

impl Written for Path {
    fn written(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Written for Duration {
    fn written(&self) -> String {
        let (seconds, micros) = (self.as_secs(), self.subsec_micros());
        if micros == 0 {
            return seconds.to_string();
        }
        format!("{seconds}.{micros:06}").trim_end_matches('0').to_owned()
    }
}

impl<T: Written + ?Sized> Written for &T {
    fn written(&self) -> String {
        (**self).written()
    }
}

impl<T: Written> Written for [T] {
    fn written(&self) -> String {
        let all: Vec<String> = self.iter().map(Written::written).collect();
        format!("[{}]", all.join(", "))
    }
}

impl<T: Written> Written for Vec<T> {
    fn written(&self) -> String {
        self.as_slice().written()
    }
}

impl Written for Keys {
    fn written(&self) -> String {
        let all: Vec<String> = self.0.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        if all.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", all.join(", ")) }
    }
}

/// A value of either kind.
pub(super) enum Either<A, B> {
    Short(A),
    Table(B),
}

impl<A: Written, B: Written> Written for Either<A, B> {
    fn written(&self) -> String {
        match self {
            Self::Short(short) => short.written(),
            Self::Table(table) => table.written(),
        }
    }
}

/// Keys with their values, in the order they were set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keys(Vec<(String, String)>);

impl Keys {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn set(mut self, key: &str, value: impl Written) -> Self {
        self.0.push((key.to_owned(), value.written()));
        self
    }

    pub(super) fn some(self, key: &str, value: Option<impl Written>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    /// A key that is there where something is so.
    pub(super) fn flag(self, key: &str, is_so: bool) -> Self {
        if is_so { self.set(key, true) } else { self }
    }

    /// A value, unless it is the default.
    pub(super) fn other<T: Written + PartialEq + Copy>(self, key: &str, value: T, default: T) -> Self {
        if value == default { self } else { self.set(key, value) }
    }

    /// A list, unless it is empty.
    pub(super) fn list<T: Written>(self, key: &str, list: &[T]) -> Self {
        if list.is_empty() { self } else { self.set(key, list) }
    }

    /// A table, unless it is empty.
    pub(super) fn table(self, key: &str, table: Self) -> Self {
        if table.is_empty() { self } else { self.set(key, table) }
    }

    /// A line for each.
    pub(super) fn lines(&self) -> String {
        self.0.iter().fold(String::new(), |mut lines, (key, value)| {
            let _ = writeln!(lines, "{key} = {value}");
            lines
        })
    }
}

/// A basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_again_as_it_was() {
        for text in ["", "a b", "\"quoted\" \\ back", "two\nlines\ttab\u{7f}\u{1}", "grün — ✓", "'"] {
            let table: toml::Table = toml::from_str(&format!("x = {}", text.written())).unwrap();
            assert_eq!(table["x"].as_str(), Some(text));
        }
    }

    #[test]
    fn seconds_are_written_with_what_they_have_of_a_fraction() {
        let written = |micros| Duration::from_micros(micros).written();
        assert_eq!(written(6_000_000), "6");
        assert_eq!(written(500_000), "0.5");
        assert_eq!(written(1_000_001), "1.000001");
        assert_eq!(written(0), "0");
    }
}
