//! From the file's values to what they mean; gathers every mistake instead of stopping at the first.

mod check;
mod health;
mod mark;
mod server;
mod service;
mod sysctl;
mod url;
mod vrrp;
mod way;

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;
use toml::Spanned;

pub(in crate::config) use service::follower_servers;
pub(in crate::config) use vrrp::plain_address;

use super::mistake::Mistake;
use super::schema::{self, Number, Text};
use super::{Config, FlowCache, HostConfig, ProcConfig, SourceNatConfig, VipConfig};
use crate::message::Timeouts;

const MAX_INT: i64 = i32::MAX as i64;

/// Gives the file's values their meaning.
///
/// # Errors
/// Every mistake that was found.
pub(super) fn config(file: schema::File) -> Result<Config, Vec<Mistake>> {
    let mut check = Check { mistakes: Vec::new() };
    let config = check.config(file);
    if check.mistakes.is_empty() { Ok(config) } else { Err(check.mistakes) }
}

struct Check {
    mistakes: Vec<Mistake>,
}

impl Check {
    fn config(&mut self, file: schema::File) -> Config {
        self.interfaces(&file.interfaces);
        let host = self.host(file.host);
        let marks = self.marks(&file.mark, &file.interfaces);
        let (services, checked) = self.services(&file.service);
        Config {
            interfaces: file.interfaces.into_iter().map(Spanned::into_inner).collect(),
            mode: file.mode,
            queues: self.optional(file.queues.as_ref(), "a number of queues", 1..=64),
            socket: file.socket.map(|path| path.into_inner().into()),
            log: file.log.map(Spanned::into_inner),
            connection_limit: self.optional(
                file.limits.connections.as_ref(),
                "a number of connections",
                1..=MAX_INT,
            ),
            flow_cache: self.flow_cache(&file.cache),
            timeouts: file.timeouts.map(|timeouts| self.timeouts(&timeouts)),
            sysctls: file.vs.iter().filter_map(|(name, value)| self.sysctl(name, value)).collect(),
            proc: self.proc_files(file.proc),
            host,
            vrrp: self.vrrp(&file.vrrp),
            marks,
            services,
            health: self.globals(file.health),
            checked,
        }
    }

    fn flow_cache(&mut self, cache: &schema::Cache) -> Option<FlowCache> {
        let flows = self.optional(cache.flows.as_ref(), "a number of flows", 1..=1 << 26);
        let ipv6 = self.optional(cache.ipv6_flows.as_ref(), "a number of flows", 1..=1 << 26);
        match (cache.enabled, flows, ipv6) {
            (Some(false), ..) => Some(FlowCache::Off),
            (_, Some(flows), ipv6) => Some(FlowCache::Flows(flows, ipv6)),
            (_, None, Some(ipv6)) => Some(FlowCache::Flows(FlowCache::FLOWS.v4, Some(ipv6))),
            (Some(true), None, None) => Some(FlowCache::On),
            (None, None, None) => None,
        }
    }

    fn interfaces(&mut self, names: &[Text]) {
        for (index, name) in names.iter().enumerate() {
            self.interface(name);
            if let Some(first) = names.iter().take(index).find(|other| other.as_ref() == name.as_ref()) {
                self.mistakes.push(
                    Mistake::new(name.span(), "an interface is listed twice", "listed again here")
                        .with_also(first.span(), "first listed here"),
                );
            }
        }
    }

    fn interface(&mut self, name: &Text) -> String {
        let text = name.as_ref();
        let is_name =
            !text.is_empty() && text.len() < 16 && !text.contains(|c: char| c == '/' || c.is_whitespace());
        if !is_name {
            self.mistakes.push(Mistake::new(
                name.span(),
                format!("`{text}` is no name of an interface"),
                "expected 1 to 15 characters without spaces or slashes",
            ));
        }
        text.clone()
    }

    fn timeouts(&mut self, timeouts: &schema::Timeouts) -> Timeouts {
        let mut seconds = |value: &Option<Number>| {
            self.optional(value.as_ref(), "seconds, 0 to keep the default", 0..=MAX_INT).unwrap_or_default()
        };
        Timeouts {
            tcp: seconds(&timeouts.tcp),
            tcp_fin: seconds(&timeouts.tcp_fin),
            udp: seconds(&timeouts.udp),
        }
    }

    fn proc_files(&mut self, proc: schema::Proc) -> ProcConfig {
        let default = ProcConfig::default();
        if let Some(directory) = &proc.directory
            && !directory.as_ref().starts_with('/')
        {
            self.mistakes.push(Mistake::new(
                directory.span(),
                format!("`{}` is no whole path", directory.as_ref()),
                "expected a directory such as \"/run/lvsd/proc\"",
            ));
        }
        let seconds = self.optional(proc.interval.as_ref(), "seconds, 0 for no files", 0..=3600);
        let most = self.optional(proc.connections.as_ref(), "a number of connections", 0..=MAX_INT);
        ProcConfig {
            directory: proc.directory.map(|path| path.into_inner().into()),
            interval: seconds.unwrap_or(default.interval),
            connections: most.unwrap_or(default.connections),
        }
    }

    fn host(&mut self, host: schema::Host) -> HostConfig {
        HostConfig {
            vips: host.vip.into_iter().filter_map(|vip| self.vip(vip)).collect(),
            source_nat: host.source_nat.into_iter().filter_map(|nat| self.source_nat(nat)).collect(),
        }
    }

    fn vip(&mut self, vip: schema::Vip) -> Option<VipConfig> {
        let interface = self.interface(&vip.interface);
        if let Some(label) = &vip.label
            && label.as_ref().split_once(':').is_none_or(|(name, _)| name != interface)
        {
            self.mistakes.push(
                Mistake::new(
                    label.span(),
                    format!("`{}` is no label on {interface}", label.as_ref()),
                    "expected the interface's name, a colon and a number",
                )
                .with_help(format!("write `{interface}:0`")),
            );
        }
        let address = self.parsed(&vip.address, "an address such as 192.0.2.10 or 2001:db8::10")?;
        Some(VipConfig { address, interface, label: vip.label.map(Spanned::into_inner) })
    }

    fn source_nat(&mut self, nat: schema::SourceNat) -> Option<SourceNatConfig> {
        let out = nat.out.map(|name| self.interface(&name));
        let to_span = nat.to.as_ref().map(Spanned::span);
        let to: Option<IpAddr> = match &nat.to {
            Some(to) => Some(self.parsed(to, "an address such as 192.0.2.1")?),
            None => None,
        };
        let from: IpNet = self.parsed(&nat.from, "a network such as 10.0.0.0/24")?;
        if let (Some(to), Some(span)) = (to, to_span)
            && to.is_ipv4() != from.addr().is_ipv4()
        {
            self.mistakes.push(
                Mistake::new(span, "two address families in one rule", "this is of another family")
                    .with_also(nat.from.span(), "than this"),
            );
        }
        Some(SourceNatConfig { from, out, to })
    }

    fn parsed<T: FromStr>(&mut self, text: &Text, expected: &str) -> Option<T> {
        let parsed = text.as_ref().parse().ok();
        if parsed.is_none() {
            let title = format!("`{}` cannot be read", text.as_ref());
            self.mistakes.push(Mistake::new(text.span(), title, format!("expected {expected}")));
        }
        parsed
    }

    fn one_of<'a>(&mut self, name: &Text, noun: &str, known: &[&'a str]) -> Option<&'a str> {
        let written = name.as_ref();
        let found = known.iter().find(|candidate| *candidate == written).copied();
        if found.is_none() {
            let expected = format!("expected one of: {}", known.join(", "));
            let mistake = Mistake::new(name.span(), format!("unknown {noun} `{written}`"), expected);
            self.mistakes.push(mistake.suggesting(written, known.iter().copied()));
        }
        found
    }

    fn optional<T>(&mut self, value: Option<&Number>, noun: &str, range: RangeInclusive<i64>) -> Option<T>
    where
        T: TryFrom<i64>,
    {
        value.and_then(|value| self.number(value, noun, range))
    }

    fn number<T>(&mut self, value: &Number, noun: &str, range: RangeInclusive<i64>) -> Option<T>
    where
        T: TryFrom<i64>,
    {
        let number = *value.as_ref();
        if range.contains(&number)
            && let Ok(number) = T::try_from(number)
        {
            return Some(number);
        }
        self.mistakes.push(out_of_range(value, noun, &range));
        None
    }
}

fn out_of_range(value: &Number, noun: &str, range: &RangeInclusive<impl Display>) -> Mistake {
    let (least, most) = (range.start(), range.end());
    Mistake::new(
        value.span(),
        format!("{} is out of range", value.as_ref()),
        format!("expected {noun}, {least} to {most}"),
    )
}
