//! keepalived.conf of the two routers: the same for lvsd and for keepalived.

use std::path::Path;
use std::time::Duration;

const V4: &str = "10.9.0.100";
const V6: &str = "fd09::100";
/// The address of the second instance, in a sync group.
pub(crate) const SECOND: &str = "10.8.0.100";

/// One way in which the two speak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) version: u8,
    pub(crate) is_ipv6: bool,
    pub(crate) is_unicast: bool,
    /// Milliseconds from one advert to the next.
    pub(crate) interval: u64,
}

/// Every way; version 2 has whole seconds only.
pub(crate) const WAYS: [Way; 6] = [
    way(2, false, false),
    way(2, false, true),
    way(3, false, false),
    way(3, false, true),
    way(3, true, false),
    way(3, true, true),
];

pub(crate) const fn way(version: u8, is_ipv6: bool, is_unicast: bool) -> Way {
    Way { version, is_ipv6, is_unicast, interval: if version == 2 { 1000 } else { 100 } }
}

impl Way {
    pub(crate) const fn vip(self) -> &'static str {
        if self.is_ipv6 { V6 } else { V4 }
    }

    pub(crate) fn address(self, host: &str) -> String {
        let number = if host == "a" { 1 } else { 2 };
        if self.is_ipv6 { format!("fe80::9:{number}") } else { format!("10.9.0.{number}") }
    }

    /// Long enough for a master to be thought dead, on a machine with other things to do.
    pub(crate) fn patience(self) -> Duration {
        Duration::from_millis(self.interval * 4 + 5000)
    }

    /// How long a backup of this priority waits for its master's adverts.
    pub(crate) fn down(self, priority: u8) -> Duration {
        let skew = (256 - u64::from(priority)) * if self.version == 2 { 1000 } else { self.interval } / 256;
        Duration::from_millis(self.interval * 3 + skew)
    }
}

/// What is said of one router besides the way.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    priority: u8,
    globals: String,
    instance: String,
    servers: String,
    is_in_group: bool,
}

impl Router {
    pub(crate) const fn new(priority: u8) -> Self {
        Self {
            priority,
            globals: String::new(),
            instance: String::new(),
            servers: String::new(),
            is_in_group: false,
        }
    }

    /// More lines of `global_defs`.
    pub(crate) fn globally(mut self, lines: &str) -> Self {
        self.globals += lines;
        self
    }

    /// More lines of the instance.
    pub(crate) fn with(mut self, lines: &str) -> Self {
        self.instance += lines;
        self
    }

    /// Virtual servers behind it.
    pub(crate) fn serving(mut self, blocks: &str) -> Self {
        self.servers += blocks;
        self
    }

    /// Its adverts are signed.
    pub(crate) fn signed(self) -> Self {
        self.with(
            "auth_hmac {\nkey 1 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\nactive_key 1\n}\n",
        )
    }

    /// A second instance, bound to the first by a sync group.
    pub(crate) const fn grouped(mut self) -> Self {
        self.is_in_group = true;
        self
    }

    /// The file.
    pub(crate) fn text(&self, way: Way, host: &str, files: &Path) -> String {
        let Self { priority, globals, instance, servers, is_in_group } = self;
        let other = if host == "a" { "b" } else { "a" };
        let interval = Duration::from_millis(way.interval).as_secs_f64();
        let low = files.join(format!("{host}-low"));
        let proof = "authentication {\nauth_type PASS\nauth_pass 1111\n}\n";
        let proof = if way.version == 2 { proof } else { "" };
        let peers = if way.is_unicast {
            let (own, peer) = (way.address(host), way.address(other));
            format!("unicast_src_ip {own}\nunicast_peer {{\n{peer}\n}}\n")
        } else {
            String::new()
        };
        let tracked = if *is_in_group { "" } else { "track_script {\nchk\n}\n" };
        let group = if *is_in_group {
            format!(
                "vrrp_sync_group G {{\ngroup {{\nVI_1\nVI_2\n}}\n}}\n\
                 vrrp_instance VI_2 {{\nstate BACKUP\ninterface ins\nvirtual_router_id 52\npriority {priority}\n\
                 advert_int {interval}\nvirtual_ipaddress {{\n{SECOND}\n}}\n}}\n"
            )
        } else {
            String::new()
        };
        format!(
            "global_defs {{\nvrrp_version {}\nscript_user root\n{globals}}}\n\
             vrrp_script chk {{\nscript \"/usr/bin/test ! -e {}\"\ninterval 1\nweight -100\n}}\n\
             vrrp_instance VI_1 {{\nstate BACKUP\ninterface ens\nvirtual_router_id 51\npriority {priority}\n\
             advert_int {interval}\n{tracked}virtual_ipaddress {{\n{}\n}}\n{proof}{peers}{instance}}}\n{group}{servers}",
            way.version,
            low.display(),
            way.vip(),
        )
    }
}
