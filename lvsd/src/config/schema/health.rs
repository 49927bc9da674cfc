//! The keys that speak of checks.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::brief::{Brief, Program};
use super::vrrp::Fifo;
use super::{Number, Text, Tunnel};

/// Seconds, with a fraction or without.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Seconds(pub(in crate::config) f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds, such as 6 or 0.5")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Seconds, E> {
                let number = i32::try_from(number).map_err(|_| E::custom("too many seconds"))?;
                Ok(Seconds(number.into()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Seconds, E> {
                Ok(Seconds(number))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// `[health]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Health {
    pub(in crate::config) script_user: Option<Text>,
    #[serde(default)]
    pub(in crate::config) script_security: bool,
    #[serde(default)]
    pub(in crate::config) rs_init_notifies: bool,
    pub(in crate::config) notify_fifo: Option<Text>,
    #[serde(default)]
    pub(in crate::config) fifo: Vec<Brief<Fifo>>,
    #[serde(default)]
    pub(in crate::config) tls: Tls,
}

/// `[health.tls]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Tls {
    pub(in crate::config) ca: Option<Text>,
    pub(in crate::config) certificate: Option<Text>,
    pub(in crate::config) key: Option<Text>,
}

/// `[service.health]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Policy {
    /// What it is called in logs and notifications; by its address when absent.
    pub(in crate::config) name: Option<Text>,
    pub(in crate::config) quorum: Option<Number>,
    pub(in crate::config) hysteresis: Option<Number>,
    #[serde(default)]
    pub(in crate::config) omega: bool,
    #[serde(default)]
    pub(in crate::config) ha_suspend: bool,
    #[serde(default)]
    pub(in crate::config) inhibit_on_failure: bool,
    pub(in crate::config) sorry_server: Option<Sorry>,
    pub(in crate::config) quorum_up: Option<Spanned<Brief<Program>>>,
    pub(in crate::config) quorum_down: Option<Spanned<Brief<Program>>>,
    pub(in crate::config) notify_up: Option<Spanned<Brief<Program>>>,
    pub(in crate::config) notify_down: Option<Spanned<Brief<Program>>>,
}

/// `sorry-server`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Sorry {
    pub(in crate::config) address: Text,
    pub(in crate::config) method: Option<Text>,
    pub(in crate::config) tunnel: Option<Spanned<Tunnel>>,
    #[serde(default)]
    pub(in crate::config) inhibit: bool,
}

/// `[[service.check]]`, `[[service.server.check]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Check {
    #[serde(rename = "type")]
    pub(in crate::config) kind: Text,
    // Whom, which way, and from where.
    #[serde(rename = "check-path")]
    pub(in crate::config) path: Option<Text>,
    pub(in crate::config) connect_address: Option<Text>,
    pub(in crate::config) connect_port: Option<Number>,
    pub(in crate::config) bind_address: Option<Text>,
    pub(in crate::config) bind_interface: Option<Text>,
    pub(in crate::config) bind_port: Option<Number>,
    pub(in crate::config) mark: Option<Number>,
    // How often.
    pub(in crate::config) connect_timeout: Option<Spanned<Seconds>>,
    pub(in crate::config) retry: Option<Number>,
    pub(in crate::config) delay_before_retry: Option<Spanned<Seconds>>,
    pub(in crate::config) delay_loop: Option<Spanned<Seconds>>,
    pub(in crate::config) warmup: Option<Spanned<Seconds>>,
    pub(in crate::config) alpha: Option<bool>,
    pub(in crate::config) log_all_failures: Option<bool>,
    // http, https
    pub(in crate::config) protocol: Option<Text>,
    pub(in crate::config) fast_recovery: Option<Spanned<bool>>,
    pub(in crate::config) sni: Option<Spanned<bool>>,
    pub(in crate::config) sni_name: Option<Text>,
    #[serde(default)]
    pub(in crate::config) url: Vec<Spanned<Url>>,
    // smtp
    pub(in crate::config) helo_name: Option<Text>,
    // dns
    pub(in crate::config) query: Option<Text>,
    pub(in crate::config) name: Option<Text>,
    // udp
    pub(in crate::config) payload: Option<Text>,
    pub(in crate::config) reply: Option<Text>,
    pub(in crate::config) min_reply_length: Option<Number>,
    pub(in crate::config) max_reply_length: Option<Number>,
    // program
    pub(in crate::config) command: Option<Spanned<Vec<String>>>,
    pub(in crate::config) timeout: Option<Spanned<Seconds>>,
    pub(in crate::config) user: Option<Text>,
    // program, file
    pub(in crate::config) dynamic: Option<Spanned<bool>>,
    // file
    pub(in crate::config) file: Option<Text>,
    pub(in crate::config) weight: Option<Number>,
    pub(in crate::config) reverse: Option<Spanned<bool>>,
}

/// `[[service.check.url]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Url {
    pub(in crate::config) path: Text,
    #[serde(default)]
    pub(in crate::config) status: Vec<Spanned<super::Ports>>,
    pub(in crate::config) digest: Option<Text>,
    pub(in crate::config) virtualhost: Option<Text>,
    pub(in crate::config) regex: Option<Text>,
    #[serde(default)]
    pub(in crate::config) regex_no_match: bool,
    #[serde(default)]
    pub(in crate::config) regex_options: Vec<Text>,
    pub(in crate::config) regex_min_offset: Option<Number>,
    pub(in crate::config) regex_max_offset: Option<Number>,
}
