//! One check out of the file: its kind, and that no key stands there that its kind does not know.

use std::net::SocketAddr;
use std::ops::Range;

use lvs_health::declared::{
    Bind, Check as Declared, CheckKind, DnsType, Endpoint, FileCheck, HttpCheck, HttpProtocol, MaskedByte,
    MiscCheck, Path, Reply, Sni, Timers, UdpCheck,
};
use toml::Spanned;

use super::health::user;
use super::{Check, MAX_INT};
use crate::config::mistake::Mistake;
use crate::config::schema::Text;
use crate::config::schema::health::Check as Written;
use crate::message::ServiceId;

const KINDS: [&str; 9] = ["tcp", "http", "https", "smtp", "dns", "udp", "ping", "program", "file"];
const HTTP: [&str; 2] = ["http", "https"];
const PROTOCOLS: [&str; 3] = ["1.0", "1.0C", "1.1"];
const NAMELESS: [&str; 2] = ["program", "file"];
const TALKING: [&str; 6] = ["tcp", "http", "https", "smtp", "dns", "udp"];
const PATHS: [&str; 2] = ["host", "data"];

/// A key's name, where it stands, and the kinds that know it.
type Key<'a> = (&'a str, Option<Range<usize>>, &'a [&'a str]);

impl Check {
    pub(super) fn check(
        &mut self,
        spanned: &Spanned<Written>,
        id: &ServiceId,
        server: SocketAddr,
    ) -> Option<Declared> {
        let written = spanned.as_ref();
        let kind = self.one_of(&written.kind, "type of check", &KINDS)?;
        self.only_its_own(written, kind);
        let endpoint = self.endpoint(written, kind, id, server);
        let timers = self.timers(written);
        let kind = self.kind(written, kind, &timers)?;
        Some(Declared { timing: timers.resolve(kind.defaults()), endpoint: endpoint?, kind })
    }

    /// A key of another kind would be of no effect, and nobody would know.
    fn only_its_own(&mut self, written: &Written, kind: &str) {
        let url = written.url.first().map(Spanned::span);
        let keys: [Key<'_>; 20] = [
            ("check-path", written.path.as_ref().map(Spanned::span), &TALKING),
            ("protocol", written.protocol.as_ref().map(Spanned::span), &HTTP),
            ("fast-recovery", written.fast_recovery.as_ref().map(Spanned::span), &HTTP),
            ("sni", written.sni.as_ref().map(Spanned::span), &["https"]),
            ("sni-name", written.sni_name.as_ref().map(Spanned::span), &["https"]),
            ("url", url, &HTTP),
            ("helo-name", written.helo_name.as_ref().map(Spanned::span), &["smtp"]),
            ("query", written.query.as_ref().map(Spanned::span), &["dns"]),
            ("name", written.name.as_ref().map(Spanned::span), &["dns", "file"]),
            ("payload", written.payload.as_ref().map(Spanned::span), &["udp"]),
            ("reply", written.reply.as_ref().map(Spanned::span), &["udp"]),
            ("min-reply-length", written.min_reply_length.as_ref().map(Spanned::span), &["udp"]),
            ("max-reply-length", written.max_reply_length.as_ref().map(Spanned::span), &["udp"]),
            ("command", written.command.as_ref().map(Spanned::span), &["program"]),
            ("timeout", written.timeout.as_ref().map(Spanned::span), &["program"]),
            ("user", written.user.as_ref().map(Spanned::span), &["program"]),
            ("dynamic", written.dynamic.as_ref().map(Spanned::span), &NAMELESS),
            ("file", written.file.as_ref().map(Spanned::span), &["file"]),
            ("weight", written.weight.as_ref().map(Spanned::span), &["file"]),
            ("reverse", written.reverse.as_ref().map(Spanned::span), &["file"]),
        ];
        for (key, span, owners) in keys {
            if let Some(span) = span
                && !owners.contains(&kind)
            {
                let title = format!("`{key}` is nothing that a check of type {kind} knows");
                self.mistakes.push(Mistake::new(span, title, format!("belongs to: {}", owners.join(", "))));
            }
        }
    }

    fn endpoint(
        &mut self,
        written: &Written,
        kind: &str,
        id: &ServiceId,
        server: SocketAddr,
    ) -> Option<Endpoint> {
        let path = self.path(written, server);
        let mut address = match (path, id) {
            (Path::Data(_), ServiceId::Address { vip, port, .. }) => SocketAddr::new(*vip, *port),
            (Path::Data(_), ServiceId::Mark { .. }) if written.connect_address.is_none() => {
                let at = written.path.as_ref().map_or_else(|| written.kind.span(), Spanned::span);
                let title = "the way of a mark's traffic begins at an address";
                let mistake = Mistake::new(at, title, "it is not said at which");
                self.mistakes.push(mistake.with_help("add `connect-address = \"192.0.2.10\"`"));
                return None;
            }
            (Path::Host | Path::Data(_), _) => server,
        };
        if let Some(text) = &written.connect_address {
            address.set_ip(self.parsed(text, "an address such as 10.0.0.1")?);
        }
        let port = 1..=i64::from(u16::MAX);
        if let Some(port) = self.optional(written.connect_port.as_ref(), "a port", port.clone()) {
            address.set_port(port);
        }
        let has_port = !NAMELESS.contains(&kind) && kind != "ping";
        if has_port && address.port() == 0 {
            self.mistakes.push(
                Mistake::new(written.kind.span(), "a check without a port", "the server has none either")
                    .with_help("add `connect-port`"),
            );
            return None;
        }
        let bind_address = match &written.bind_address {
            Some(text) => Some(self.parsed(text, "an address of this host's")?),
            None => None,
        };
        Some(Endpoint {
            address,
            path,
            bind: Bind {
                address: bind_address,
                interface: written.bind_interface.as_ref().map(|name| self.interface(name)),
                port: self.optional(written.bind_port.as_ref(), "a port", port).unwrap_or_default(),
            },
            fwmark: self
                .optional(written.mark.as_ref(), "a mark", 1..=i64::from(u32::MAX))
                .unwrap_or_default(),
        })
    }

    fn path(&mut self, written: &Written, server: SocketAddr) -> Path {
        let Some(name) = &written.path else { return Path::Host };
        if self.one_of(name, "path of a check", &PATHS) != Some("data") {
            return Path::Host;
        }
        if let Some(interface) = &written.bind_interface {
            let title = "a check by the way of the traffic has the director's interface";
            self.mistakes.push(Mistake::new(interface.span(), title, "it can have no other"));
        }
        Path::Data(server)
    }

    fn timers(&mut self, written: &Written) -> Timers {
        Timers {
            connect_timeout: self.seconds(written.connect_timeout.as_ref(), false),
            retry: self.optional(written.retry.as_ref(), "a number of attempts", 0..=i64::from(u32::MAX)),
            delay_before_retry: self.seconds(written.delay_before_retry.as_ref(), true),
            delay_loop: self.seconds(written.delay_loop.as_ref(), false),
            warmup: self.seconds(written.warmup.as_ref(), true),
            alpha: written.alpha,
            log_all_failures: written.log_all_failures,
        }
    }

    fn kind(&mut self, written: &Written, kind: &str, timers: &Timers) -> Option<CheckKind> {
        Some(match kind {
            "http" | "https" => CheckKind::Http(self.http(written, kind == "https")?),
            "smtp" => {
                CheckKind::Smtp { helo_name: text(written.helo_name.as_ref(), "smtpchecker.keepalived.org") }
            }
            "dns" => CheckKind::Dns {
                kind: self.dns_type(written.query.as_ref())?,
                name: text(written.name.as_ref(), "."),
            },
            "udp" => CheckKind::Udp(self.udp(written)?),
            "ping" => CheckKind::Ping,
            "program" => CheckKind::Misc(self.program(written, timers)?),
            "file" => CheckKind::File(self.file(written)?),
            _ => CheckKind::Tcp,
        })
    }

    fn http(&mut self, written: &Written, is_tls: bool) -> Option<HttpCheck> {
        let protocol = match &written.protocol {
            None => HttpProtocol::Http11,
            Some(name) => match self.one_of(name, "protocol", &PROTOCOLS)? {
                "1.0" => HttpProtocol::Http10,
                "1.0C" => HttpProtocol::Http10Close,
                _ => HttpProtocol::Http11,
            },
        };
        if written.url.is_empty() {
            let mistake = Mistake::new(written.kind.span(), "a check without a page", "asks for nothing");
            self.mistakes.push(mistake.with_help("add `url = [{ path = \"/\" }]`"));
            return None;
        }
        let is_told = written.sni.as_ref().is_none_or(|sni| *sni.as_ref());
        let name = written.sni_name.as_ref().map(|name| name.as_ref().clone());
        Some(HttpCheck {
            tls: is_tls.then_some(Sni { enabled: is_told, name }),
            protocol,
            fast_recovery: written.fast_recovery.as_ref().is_some_and(|fast| *fast.as_ref()),
            urls: written.url.iter().filter_map(|url| self.url(url.as_ref())).collect(),
        })
    }

    fn dns_type(&mut self, name: Option<&Text>) -> Option<DnsType> {
        let Some(name) = name else { return Some(DnsType::default()) };
        let known = DnsType::ALL.map(DnsType::name);
        DnsType::from_name(self.one_of(name, "type of record", &known)?)
    }

    fn udp(&mut self, written: &Written) -> Option<UdpCheck> {
        let payload = match &written.payload {
            Some(text) => Some(self.hexadecimal(text, false)?.into_iter().map(|byte| byte.value).collect()),
            None => None,
        };
        let pattern = match &written.reply {
            Some(text) => Some(self.hexadecimal(text, true)?),
            None => None,
        };
        let length = 0..=i64::from(u16::MAX);
        let least = self.optional(written.min_reply_length.as_ref(), "a number of bytes", length.clone());
        let most = self.optional(written.max_reply_length.as_ref(), "a number of bytes", length);
        let is_wanted = pattern.is_some() || least.is_some() || most.is_some();
        let default = Reply::default();
        Some(UdpCheck {
            payload,
            reply: is_wanted.then(|| Reply {
                pattern: pattern.unwrap_or_default(),
                min_length: least.unwrap_or(default.min_length),
                max_length: most.unwrap_or(default.max_length),
            }),
        })
    }

    /// Bytes in hexadecimal, two digits each; where `may_vary` a digit may be an `x` for any.
    fn hexadecimal(&mut self, text: &Text, may_vary: bool) -> Option<Vec<MaskedByte>> {
        let digit = |c: char| match c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()) {
            Some(digit) => Some((digit, 0xf)),
            None if may_vary && c.eq_ignore_ascii_case(&'x') => Some((0, 0)),
            None => None,
        };
        let digits: Option<Vec<(u8, u8)>> =
            text.as_ref().chars().filter(|c| !c.is_whitespace()).map(digit).collect();
        let bytes = digits.filter(|digits| digits.len().is_multiple_of(2));
        if bytes.is_none() {
            let any = if may_vary { ", or x for any" } else { "" };
            let expected = format!("expected bytes of two hexadecimal digits each{any}: \"48 65 6c\"");
            let title = format!("`{}` cannot be read", text.as_ref());
            self.mistakes.push(Mistake::new(text.span(), title, expected));
        }
        let byte = |pair: &[(u8, u8)]| match pair {
            [(high, high_mask), (low, low_mask)] => {
                MaskedByte { value: high << 4 | low, mask: high_mask << 4 | low_mask }
            }
            _ => MaskedByte { value: 0, mask: 0 },
        };
        bytes.map(|digits| digits.chunks_exact(2).map(byte).collect())
    }

    fn program(&mut self, written: &Written, timers: &Timers) -> Option<MiscCheck> {
        if written.command.is_none() {
            let mistake = Mistake::new(written.kind.span(), "a check without a program", "runs nothing");
            self.mistakes.push(mistake.with_help("add `command = [\"/usr/local/bin/check\"]`"));
        }
        let mut script = self.command(written.command.as_ref())?;
        script.user = written.user.as_ref().map(|text| user(text.as_ref()));
        let timeout = self.seconds(written.timeout.as_ref(), false);
        Some(MiscCheck {
            script,
            timeout: timeout.or(timers.delay_loop).unwrap_or(Timers::DELAY_LOOP),
            dynamic: written.dynamic.as_ref().is_some_and(|dynamic| *dynamic.as_ref()),
        })
    }

    fn file(&mut self, written: &Written) -> Option<FileCheck> {
        let Some(path) = &written.file else {
            let mistake = Mistake::new(written.kind.span(), "a check without a file", "looks at nothing");
            self.mistakes.push(mistake.with_help("add `file = \"/run/weight\"`"));
            return None;
        };
        let range = -MAX_INT..=MAX_INT;
        Some(FileCheck {
            name: written.name.as_ref().unwrap_or(path).as_ref().clone(),
            path: path.as_ref().into(),
            weight: self.optional(written.weight.as_ref(), "a multiplier", range).unwrap_or_default(),
            reverse: written.reverse.as_ref().is_some_and(|reverse| *reverse.as_ref()),
            dynamic: written.dynamic.as_ref().is_some_and(|dynamic| *dynamic.as_ref()),
        })
    }
}

fn text(written: Option<&Text>, default: &str) -> String {
    written.map_or_else(|| default.to_owned(), |text| text.as_ref().clone())
}
