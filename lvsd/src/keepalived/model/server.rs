//! `real_server`: its weight, how packets reach it, and its checks.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use lvs_health::declared::{self, Timers};

use super::super::source::{Found, Place};
use super::super::tree::Statement;
use super::Model;
use crate::message::{Family, ForwardMethod, RealServer, TunnelChecksum, TunnelKind};

/// The longest time a check may be told to wait, in seconds.
const LONGEST: u32 = 86_400 * 30;

/// What real servers take from their virtual server.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    pub(super) method: ForwardMethod,
    pub(super) port: u16,
    pub(super) is_marked: bool,
    pub(super) family: Family,
    pub(super) timers: Timers,
    pub(super) inhibit_on_failure: bool,
    pub(super) virtualhost: Option<String>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            method: ForwardMethod::Masquerade,
            port: 0,
            is_marked: false,
            family: Family::Ipv4,
            timers: Timers::default(),
            inhibit_on_failure: false,
            virtualhost: None,
        }
    }
}

/// A virtual server's real servers.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// As they are forwarded to, and whether their port was written.
    pub(super) declared: Vec<(RealServer, bool)>,
    /// As they are checked, in the same order.
    pub(super) checked: Vec<declared::RealServer>,
}

impl Model<'_> {
    pub(super) fn real_servers(&mut self, statement: &Statement, defaults: &Defaults) -> Servers {
        let mut servers = Servers::default();
        let mut seen: HashMap<SocketAddr, Place> = HashMap::new();
        for inner in statement.inside().iter().filter(|inner| inner.name() == "real_server") {
            let Some((server, has_port, checked)) = self.real_server(inner, defaults) else { continue };
            let place = inner.whole();
            if let Some(&first) = seen.get(&checked.address) {
                let found = Found::new(place, "this real server stands here twice", "again here");
                self.findings.mistake(found.also(first, "first here"));
                continue;
            }
            seen.insert(checked.address, place);
            servers.declared.push((server, has_port));
            servers.checked.push(checked);
        }
        servers
    }

    fn real_server(
        &mut self,
        statement: &Statement,
        defaults: &Defaults,
    ) -> Option<(RealServer, bool, declared::RealServer)> {
        let rip = self.findings.address(statement.argument(0)?)?;
        let written: Option<u16> = match statement.argument(1) {
            Some(port) => Some(self.findings.number(port, "a port", 1..=65_535)?),
            None => None,
        };
        let mut server = RealServer {
            rip,
            port: written.unwrap_or(defaults.port),
            method: defaults.method,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        let mut checked = declared::RealServer {
            address: (rip, server.port).into(),
            weight: 1,
            inhibit_on_failure: defaults.inhibit_on_failure,
            notify_up: None,
            notify_down: None,
            checks: Vec::new(),
        };
        let mut own = Defaults { timers: Timers::default(), ..defaults.clone() };
        for inner in statement.inside() {
            self.timer(inner, &mut own.timers);
            match inner.name() {
                "weight" => server.weight = self.number(inner, "a weight", 0..=65_535).unwrap_or(1),
                "lvs_method" => server.method = self.method(inner).unwrap_or(server.method),
                "uthreshold" => server.upper_threshold = self.threshold(inner),
                "lthreshold" => server.lower_threshold = self.threshold(inner),
                "notify_up" => checked.notify_up = self.findings.program(inner).map(Into::into),
                "notify_down" => checked.notify_down = self.findings.program(inner).map(Into::into),
                "inhibit_on_failure" => checked.inhibit_on_failure = self.boolean(inner),
                "virtualhost" => own.virtualhost = Self::name(inner).map(|word| word.text.clone()),
                _ => {}
            }
        }
        own.timers = own.timers.over(defaults.timers);
        checked.weight = server.weight;
        self.settle_server(statement, &mut server, written, defaults);
        let is_changed = server.method == ForwardMethod::Masquerade || defaults.is_marked;
        checked.address.set_port(if is_changed { server.port } else { defaults.port });
        // Only NAT changes a port; elsewhere what is written says where the checks go.
        let asked = SocketAddr::new(rip, written.unwrap_or(server.port));
        checked.checks =
            statement.inside().iter().filter_map(|inner| self.checker(inner, asked, &own)).collect();
        Some((server, written.is_some(), checked))
    }

    fn threshold(&mut self, inner: &Statement) -> u32 {
        self.number(inner, "connections", 0..=2_147_483_647).unwrap_or(0)
    }

    fn settle_server(
        &mut self,
        statement: &Statement,
        server: &mut RealServer,
        written: Option<u16>,
        of: &Defaults,
    ) {
        let place = statement.whole();
        self.same_family(server.rip, of.family, server.method, place);
        if server.lower_threshold > server.upper_threshold {
            let title = "`lthreshold` is more than `uthreshold`";
            self.findings.mistake(Found::new(place, title, "expected at most as many connections"));
        }
        let is_direct = server.method != ForwardMethod::Masquerade;
        if is_direct && !of.is_marked && written.is_some_and(|port| port != of.port && of.port != 0) {
            let port = statement.argument(1).map_or(place, |word| word.place);
            let title = "only NAT can change the port";
            let label = format!("packets go to port {}, the virtual server's", of.port);
            self.findings
                .warn(Found::new(port, title, label).help("write the same port, or `lvs_method NAT`"));
        }
    }

    /// Only a tunnel can lead from one family to the other.
    pub(super) fn same_family(&mut self, rip: IpAddr, family: Family, method: ForwardMethod, place: Place) {
        if Family::of(rip) != family && !matches!(method, ForwardMethod::Tunnel(_)) {
            let title = "a real server of another address family";
            let label = "only a tunnel can lead there";
            self.findings.mistake(Found::new(place, title, label).help("write `lvs_method TUN`"));
        }
    }

    /// `NAT`, `DR` or `TUN [type {ipip|gue port NUM|gre} [nocsum|csum|remcsum]]`
    pub(super) fn method(&mut self, statement: &Statement) -> Option<ForwardMethod> {
        let mut words = statement.arguments().iter().peekable();
        let first = words.next()?;
        let method = match self.findings.choice(first, "way of forwarding", &["NAT", "DR", "TUN"])? {
            "NAT" => ForwardMethod::Masquerade,
            "DR" => ForwardMethod::DirectRoute,
            _ => return self.tunnel(statement),
        };
        if let Some(extra) = words.next() {
            let title = format!("`{}` is for tunnels", extra.text);
            self.findings.mistake(Found::new(extra.place, title, "expected nothing behind it"));
        }
        Some(method)
    }

    fn tunnel(&mut self, statement: &Statement) -> Option<ForwardMethod> {
        let mut words = statement.arguments().iter().skip(1);
        let (mut kind, mut port, mut checksum) = ("ipip", None, TunnelChecksum::None);
        let mut checksum_word = None;
        while let Some(word) = words.next() {
            match self.findings.choice(
                word,
                "tunnel option",
                &["type", "port", "nocsum", "csum", "remcsum"],
            )? {
                "type" => {
                    let Some(word) = words.next() else { break };
                    kind = self.findings.choice(word, "tunnel", &["ipip", "gue", "gre"])?;
                }
                "port" => {
                    let Some(word) = words.next() else { break };
                    port = Some(self.findings.number::<u16>(word, "a port", 1..=65_535)?);
                }
                name => {
                    checksum_word = Some(word);
                    checksum = match name {
                        "csum" => TunnelChecksum::Full,
                        "remcsum" => TunnelChecksum::Remote,
                        _ => TunnelChecksum::None,
                    };
                }
            }
        }
        let mut wrong = |title: &str, label: &str| {
            let place = checksum_word.map_or_else(|| statement.whole(), |word| word.place);
            self.findings.mistake(Found::new(place, title, label));
        };
        match (kind, port) {
            ("gue", None) => wrong("a GUE tunnel without its port", "expected `type gue port NUMBER`"),
            ("ipip" | "gre", Some(_)) => wrong("only a GUE tunnel has a port", "expected no port"),
            _ => {}
        }
        match (kind, checksum) {
            ("ipip", TunnelChecksum::Full | TunnelChecksum::Remote) => {
                wrong("an IPIP tunnel has no checksum", "expected none");
            }
            ("gre", TunnelChecksum::Remote) => wrong("`remcsum` is for GUE", "expected `csum` or `nocsum`"),
            _ => {}
        }
        Some(ForwardMethod::Tunnel(match kind {
            "gue" => TunnelKind::Gue { port: port?, checksum },
            "gre" => TunnelKind::Gre { checksum },
            _ => TunnelKind::Ipip,
        }))
    }

    /// The timers, which stand at each of the three places.
    pub(super) fn timer(&mut self, inner: &Statement, timers: &mut Timers) {
        match inner.name() {
            "connect_timeout" => {
                timers.connect_timeout = self.more_than_nothing(inner, "a check that may take no time");
            }
            "retry" => timers.retry = self.number(inner, "attempts", 0..=i64::from(u32::MAX)),
            "delay_before_retry" => timers.delay_before_retry = self.seconds(inner, 0..=LONGEST),
            "delay_loop" => {
                timers.delay_loop = self.more_than_nothing(inner, "a check without a pause");
            }
            "warmup" => timers.warmup = self.seconds(inner, 0..=LONGEST),
            "alpha" => timers.alpha = Some(self.boolean(inner)),
            "log_all_failures" => timers.log_all_failures = Some(self.boolean(inner)),
            _ => {}
        }
    }

    fn more_than_nothing(&mut self, inner: &Statement, title: &str) -> Option<std::time::Duration> {
        let time = self.seconds(inner, 0..=LONGEST)?;
        if time.is_zero() {
            let word = Self::name(inner)?;
            self.findings.mistake(Found::new(word.place, title, "expected more than 0 seconds"));
            return None;
        }
        Some(time)
    }
}
