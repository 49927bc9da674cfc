//! The configuration file's keys and the kinds of their values, as TOML; what the values mean is for later.

pub(super) mod brief;
pub(super) mod health;
pub(super) mod vrrp;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::XdpMode;
use super::mistake::Mistake;

/// A text with its place in the file.
pub(super) type Text = Spanned<String>;
/// A number with its place in the file.
pub(super) type Number = Spanned<i64>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    #[serde(default)]
    pub(super) interfaces: Vec<Text>,
    #[serde(default)]
    pub(super) mode: XdpMode,
    pub(super) queues: Option<Number>,
    pub(super) socket: Option<Text>,
    pub(super) log: Option<Text>,
    #[serde(default)]
    pub(super) limits: Limits,
    pub(super) timeouts: Option<Timeouts>,
    #[serde(default)]
    pub(super) cache: Cache,
    #[serde(default)]
    pub(super) vs: BTreeMap<Text, Spanned<toml::Value>>,
    #[serde(default)]
    pub(super) proc: Proc,
    #[serde(default)]
    pub(super) host: Host,
    #[serde(default)]
    pub(super) health: health::Health,
    #[serde(default)]
    pub(super) vrrp: vrrp::Vrrp,
    #[serde(default)]
    pub(super) mark: Vec<Spanned<Mark>>,
    #[serde(default)]
    pub(super) service: Vec<Spanned<Service>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Mark {
    pub(super) value: Number,
    pub(super) destination: Option<Text>,
    pub(super) source: Option<Text>,
    pub(super) protocol: Option<Text>,
    #[serde(default)]
    pub(super) ports: Vec<Spanned<Ports>>,
    #[serde(default)]
    pub(super) source_ports: Vec<Spanned<Ports>>,
    pub(super) interface: Option<Text>,
}

/// A port as a number, or a range of them as a text.
#[derive(Debug)]
pub(super) struct Ports(pub(super) String);

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port, or a range such as \"8000-8100\"")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Ports, E> {
                Ok(Ports(number.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Ports, E> {
                Ok(Ports(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Limits {
    pub(super) connections: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Cache {
    pub(super) enabled: Option<bool>,
    pub(super) flows: Option<Number>,
    pub(super) ipv6_flows: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Timeouts {
    pub(super) tcp: Option<Number>,
    pub(super) tcp_fin: Option<Number>,
    pub(super) udp: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Proc {
    pub(super) directory: Option<Text>,
    pub(super) interval: Option<Number>,
    pub(super) connections: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Host {
    #[serde(default)]
    pub(super) vip: Vec<Vip>,
    #[serde(default)]
    pub(super) source_nat: Vec<SourceNat>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Vip {
    pub(super) address: Text,
    pub(super) interface: Text,
    pub(super) label: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SourceNat {
    pub(super) from: Text,
    pub(super) out: Option<Text>,
    pub(super) to: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Service {
    pub(super) protocol: Option<Text>,
    pub(super) address: Option<Text>,
    pub(super) mark: Option<Number>,
    pub(super) family: Option<Text>,
    pub(super) scheduler: Option<Text>,
    #[serde(default)]
    pub(super) scheduler_flags: Vec<Text>,
    pub(super) persistent: Option<Number>,
    pub(super) persistent_netmask: Option<Number>,
    pub(super) persistence_engine: Option<Text>,
    #[serde(default)]
    pub(super) one_packet: bool,
    pub(super) health: Option<health::Policy>,
    /// The name of a service before this one, whose servers serve this one as well.
    pub(super) follows: Option<Text>,
    #[serde(default)]
    pub(super) check: Vec<Spanned<health::Check>>,
    #[serde(default)]
    pub(super) server: Vec<Spanned<Server>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Server {
    pub(super) address: Text,
    pub(super) method: Option<Text>,
    pub(super) weight: Option<Number>,
    pub(super) upper_threshold: Option<Number>,
    pub(super) lower_threshold: Option<Number>,
    pub(super) tunnel: Option<Spanned<Tunnel>>,
    pub(super) inhibit_on_failure: Option<bool>,
    pub(super) notify_up: Option<Spanned<brief::Brief<brief::Program>>>,
    pub(super) notify_down: Option<Spanned<brief::Brief<brief::Program>>>,
    /// Instead of the service's own.
    pub(super) check: Option<Vec<Spanned<health::Check>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Tunnel {
    #[serde(rename = "type")]
    pub(super) kind: Text,
    pub(super) port: Option<Number>,
    pub(super) checksum: Option<Text>,
}

/// Reads the file's text; the first thing that is no TOML, no key of ours or no value of its kind is the mistake.
pub(super) fn parse(source: &str) -> Result<File, Mistake> {
    toml::from_str(source).map_err(|error| mistake(source, &earliest(source, error)))
}

/// One slip of the pen makes the reader stumble on several lines: the first of them is where it stands.
fn earliest(source: &str, error: toml::de::Error) -> toml::de::Error {
    let (_, errors) = toml::de::DeTable::parse_recoverable(source);
    let start = |error: &toml::de::Error| error.span().map_or(usize::MAX, |span| span.start);
    errors.into_iter().min_by_key(start).unwrap_or(error)
}

fn mistake(source: &str, error: &toml::de::Error) -> Mistake {
    let span = error.span().unwrap_or(source.len()..source.len());
    let message = error.message();
    for (prefix, noun) in [("unknown field ", "key"), ("unknown variant ", "value")] {
        if let Some((written, known)) = unknown(message, prefix) {
            let expected = format!("expected one of: {}", known.join(", "));
            return Mistake::new(span, format!("unknown {noun} `{written}`"), expected)
                .suggesting(written, known);
        }
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return Mistake::new(
            span,
            format!("the key {key} is missing"),
            format!("expected {key} in this table"),
        );
    }
    match message.split_once(", expected ") {
        Some((found, expected)) => Mistake::new(span, found, format!("expected {}", plain(expected))),
        None if message == "duplicate key" => Mistake::new(span, message, "it stands above already"),
        None => Mistake::new(span, message, "here"),
    }
}

/// The kind of a value in the words of the file instead of the program's.
fn plain(expected: &str) -> &str {
    match expected {
        "i64" => "a whole number, without quotes",
        "u8" => "a whole number, 0 to 255",
        "i16" => "a whole number, -32768 to 32767",
        "u32" => "a whole number, 0 to 4294967295",
        "a sequence" => "a list, such as [\"a\", \"b\"]",
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "a map" => "a table",
        other => other,
    }
}

/// The name that is not known, and those that are, out of serde's sentence.
fn unknown<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let mut quoted = message.strip_prefix(prefix)?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}
