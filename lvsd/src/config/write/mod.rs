//! A configuration as the text of an lvsd.toml: read again it is the same.

mod check;
mod keys;
mod service;
mod vrrp;

use std::fmt::Write as _;

use lvs_health::declared::{Fifo, Globals, User};

use super::{Config, FlowCache, HostConfig, ProcConfig, XdpMode};
use crate::mark::MarkRule;
use keys::Keys;

impl Config {
    /// The file that says this; every default is left out.
    pub fn to_toml(&self) -> String {
        let mut page = Page::default();
        page.top(&self.top());
        page.table("[limits]", &Keys::default().some("connections", self.connection_limit));
        page.table("[timeouts]", &self.timeouts_keys());
        page.table("[cache]", &self.cache_keys());
        let vs = self.sysctls.iter().fold(Keys::default(), |keys, (name, value)| keys.set(name, value));
        page.table("[vs]", &vs);
        page.table("[proc]", &proc_keys(&self.proc));
        page.host(&self.host);
        page.table("[health]", &health_keys(&self.health));
        vrrp::write(&self.vrrp, &mut page);
        for mark in &self.marks {
            page.header("[[mark]]", &mark_keys(mark));
        }
        service::write(&self.services, &self.checked, &mut page);
        page.text
    }

    fn top(&self) -> Keys {
        let mode = match self.mode {
            XdpMode::Auto => None,
            XdpMode::Native => Some("native"),
            XdpMode::Generic => Some("generic"),
        };
        Keys::default()
            .list("interfaces", &self.interfaces)
            .some("mode", mode)
            .some("queues", self.queues)
            .some("socket", self.socket.as_deref())
            .some("log", self.log.as_ref())
    }

    fn timeouts_keys(&self) -> Keys {
        let Some(timeouts) = self.timeouts else { return Keys::default() };
        // 0 keeps what there is, as does a key that is not there.
        let set = |seconds: u32| (seconds != 0).then_some(seconds);
        Keys::default()
            .some("tcp", set(timeouts.tcp))
            .some("tcp-fin", set(timeouts.tcp_fin))
            .some("udp", set(timeouts.udp))
    }

    fn cache_keys(&self) -> Keys {
        match self.flow_cache {
            None => Keys::default(),
            Some(FlowCache::Off) => Keys::default().set("enabled", false),
            Some(FlowCache::On) => Keys::default().set("enabled", true),
            Some(FlowCache::Flows(flows, ipv6)) => {
                Keys::default().set("flows", flows).some("ipv6-flows", ipv6)
            }
        }
    }
}

/// The text as far as it is written.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn top(&mut self, keys: &Keys) {
        self.text.push_str(&keys.lines());
    }

    /// A table with its keys; without any it is left out.
    fn table(&mut self, header: &str, keys: &Keys) {
        if !keys.is_empty() {
            self.header(header, keys);
        }
    }

    /// A table with its keys, be there none.
    fn header(&mut self, header: &str, keys: &Keys) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let _ = write!(self.text, "{header}\n{}", keys.lines());
    }

    fn host(&mut self, host: &HostConfig) {
        for vip in &host.vips {
            let keys = Keys::default()
                .set("address", vip.address)
                .set("interface", &vip.interface)
                .some("label", vip.label.as_ref());
            self.header("[[host.vip]]", &keys);
        }
        for nat in &host.source_nat {
            let keys = Keys::default().set("from", nat.from).some("out", nat.out.as_ref()).some("to", nat.to);
            self.header("[[host.source-nat]]", &keys);
        }
    }
}

fn proc_keys(proc: &ProcConfig) -> Keys {
    let default = ProcConfig::default();
    Keys::default()
        .some("directory", proc.directory.as_deref())
        .other("interval", proc.interval, default.interval)
        .other("connections", proc.connections, default.connections)
}

fn health_keys(health: &Globals) -> Keys {
    let tls = Keys::default()
        .some("ca", health.tls.ca.as_deref())
        .some("certificate", health.tls.certificate.as_deref())
        .some("key", health.tls.key.as_deref());
    let fifos: Vec<Keys> = health.fifos.iter().map(fifo).collect();
    Keys::default()
        .some("script-user", health.script_user.as_ref().map(user))
        .flag("script-security", health.script_security)
        .flag("rs-init-notifies", health.rs_init_notifies)
        .list("fifo", &fifos)
        .table("tls", tls)
}

fn fifo(fifo: &Fifo) -> Keys {
    Keys::default()
        .set("path", fifo.path.as_path())
        .some("reader", fifo.script.as_ref().map(service::program))
}

/// `USER` or `USER:GROUP`
fn user(user: &User) -> String {
    user.group.as_ref().map_or_else(|| user.name.clone(), |group| format!("{}:{group}", user.name))
}

fn mark_keys(mark: &MarkRule) -> Keys {
    let ports = |ranges: &[crate::mark::PortRange]| -> Vec<String> {
        ranges.iter().map(|range| format!("{}-{}", range.first, range.last)).collect()
    };
    Keys::default()
        .set("value", mark.mark)
        .some("destination", mark.destination)
        .some("source", mark.source)
        .some("protocol", mark.protocol.map(service::transport))
        .list("ports", &ports(&mark.ports))
        .list("source-ports", &ports(&mark.source_ports))
        .some("interface", mark.interface.as_ref())
}
