//! The checkers of a real server.

use std::net::SocketAddr;
use std::time::Duration;

use lvs_health::declared::{
    Bind, Check, CheckKind, DnsType, Endpoint, FileCheck, MaskedByte, MiscCheck, Reply, Timers, UdpCheck,
};

use super::super::reader::Word;
use super::super::source::Found;
use super::super::tree::Statement;
use super::Model;
use super::server::Defaults;

/// The name said in a HELO when nothing else is.
const HELO: &str = "smtpchecker.keepalived.org";

impl Model<'_> {
    /// A check, if the statement is one.
    pub(super) fn checker(
        &mut self,
        statement: &Statement,
        address: SocketAddr,
        of: &Defaults,
    ) -> Option<Check> {
        let mut timers = Timers::default();
        let mut endpoint = Endpoint::new(address);
        for inner in statement.inside() {
            self.timer(inner, &mut timers);
            self.connection(inner, &mut endpoint);
        }
        let timers = timers.over(of.timers);
        let kind = match statement.name() {
            "TCP_CHECK" => CheckKind::Tcp,
            "PING_CHECK" => CheckKind::Ping,
            "HTTP_GET" => self.http(statement, false, of)?,
            "SSL_GET" => self.http(statement, true, of)?,
            "SMTP_CHECK" => self.smtp(statement, &mut endpoint),
            "DNS_CHECK" => self.dns(statement),
            "UDP_CHECK" => self.udp(statement),
            "MISC_CHECK" => self.misc(statement, &timers)?,
            "FILE_CHECK" => self.file(statement)?,
            _ => return None,
        };
        let needs_port = !matches!(kind, CheckKind::Ping | CheckKind::Misc(_) | CheckKind::File(_));
        if needs_port && endpoint.address.port() == 0 {
            let found =
                Found::new(statement.place(), "a check without a port", "the real server has none either");
            self.findings.mistake(found.help("add `connect_port NUMBER`"));
        }
        let timing = timers.resolve(kind.defaults());
        Some(Check { kind, endpoint, timing })
    }

    fn connection(&mut self, inner: &Statement, endpoint: &mut Endpoint) {
        let Some(word) = Self::name(inner) else { return };
        let bind: &mut Bind = &mut endpoint.bind;
        match inner.name() {
            "connect_ip" => {
                if let Some(address) = self.findings.address(word) {
                    endpoint.address.set_ip(address);
                }
            }
            "connect_port" => {
                if let Some(port) = self.findings.number(word, "a port", 1..=65_535) {
                    endpoint.address.set_port(port);
                }
            }
            "bindto" => bind.address = self.findings.address(word),
            "bind_if" => bind.interface = self.findings.interface(word),
            "bind_port" => bind.port = self.findings.number(word, "a port", 1..=65_535).unwrap_or(0),
            "fwmark" => {
                endpoint.fwmark = self.findings.number(word, "a mark", 1..=i64::from(u32::MAX)).unwrap_or(0);
            }
            _ => {}
        }
    }

    fn smtp(&mut self, statement: &Statement, endpoint: &mut Endpoint) -> CheckKind {
        let mut helo_name = HELO.to_owned();
        for inner in statement.inside() {
            match (inner.name(), Self::name(inner)) {
                ("helo_name", Some(word)) => helo_name.clone_from(&word.text),
                ("host", _) => inner.inside().iter().for_each(|inner| self.connection(inner, endpoint)),
                _ => {}
            }
        }
        CheckKind::Smtp { helo_name }
    }

    fn dns(&mut self, statement: &Statement) -> CheckKind {
        let (mut kind, mut name) = (DnsType::default(), ".".to_owned());
        for inner in statement.inside() {
            match (inner.name(), Self::name(inner)) {
                ("type", Some(word)) => {
                    let known = DnsType::ALL.map(DnsType::name);
                    let named = self.findings.choice(word, "kind of record", &known);
                    kind = named.and_then(DnsType::from_name).unwrap_or_default();
                }
                ("name", Some(word)) => name.clone_from(&word.text),
                _ => {}
            }
        }
        CheckKind::Dns { kind, name }
    }

    fn udp(&mut self, statement: &Statement) -> CheckKind {
        let mut check = UdpCheck::default();
        let (mut least, mut most) = (0, 255);
        for inner in statement.inside() {
            match inner.name() {
                "payload" => check.payload = self.payload(inner.arguments()),
                "require_reply" => {
                    let pattern = self.hex(inner.arguments()).unwrap_or_default();
                    check.reply = Some(Reply { pattern, ..Reply::default() });
                }
                "min_reply_length" => least = self.number(inner, "bytes", 0..=65_535).unwrap_or(0),
                "max_reply_length" => most = self.number(inner, "bytes", 0..=65_535).unwrap_or(255),
                _ => {}
            }
        }
        let places = || statement.inside().iter().filter(|inner| inner.name().ends_with("_reply_length"));
        if least > most {
            let place = places().next().map_or_else(|| statement.place(), Statement::whole);
            let title = "the least length of a reply is more than the greatest";
            self.findings.mistake(Found::new(place, title, "no reply can be so"));
        }
        if let Some(reply) = &mut check.reply {
            (reply.min_length, reply.max_length) = (least, most);
        } else if let Some(place) = places().next().map(Statement::whole) {
            let found = Found::new(place, "a length without `require_reply`", "replies are not looked at");
            self.findings.warn(found);
        }
        CheckKind::Udp(check)
    }

    fn payload(&mut self, words: &[Word]) -> Option<Vec<u8>> {
        let bytes = self.hex(words)?;
        if let (Some(word), true) = (words.first(), bytes.iter().any(|byte| byte.mask != 0xff)) {
            let title = "an `X` in what is sent";
            self.findings.mistake(Found::new(word.place, title, "expected hexadecimal digits alone"));
        }
        Some(bytes.into_iter().map(|byte| byte.value).collect())
    }

    /// Bytes in hexadecimal: a lone digit is a byte too, and `X` stands for any.
    fn hex(&mut self, words: &[Word]) -> Option<Vec<MaskedByte>> {
        let mut bytes = Vec::new();
        for word in words {
            let digits: Option<Vec<(u8, u8)>> =
                word.text.chars().filter(|c| !c.is_whitespace()).map(digit).collect();
            if digits.is_none() {
                let title = format!("`{}` is not hexadecimal", word.text);
                let expected = "expected digits 0 to 9 and A to F, or X for any";
                self.findings.mistake(Found::new(word.place, title, expected));
                return None;
            }
            for group in word.text.split_whitespace() {
                let digits: Vec<(u8, u8)> = group.chars().filter_map(digit).collect();
                bytes.extend(digits.chunks(2).map(|pair| match *pair {
                    [(high, high_mask), (low, low_mask)] => {
                        MaskedByte { value: high << 4 | low, mask: high_mask << 4 | low_mask }
                    }
                    [(low, mask), ..] => MaskedByte { value: low, mask: 0xf0 | mask },
                    [] => MaskedByte { value: 0, mask: 0 },
                }));
            }
        }
        Some(bytes)
    }

    fn misc(&mut self, statement: &Statement, timers: &Timers) -> Option<CheckKind> {
        let (mut argv, mut user, mut timeout, mut dynamic) = (None, None, None, false);
        if !self.named(statement, "misc_path") {
            return None;
        }
        for inner in statement.inside() {
            match (inner.name(), Self::name(inner)) {
                ("misc_path", Some(word)) => argv = self.findings.argv(word),
                ("misc_timeout", _) => timeout = self.seconds(inner, 0..=86_400),
                ("misc_dynamic", _) => dynamic = self.boolean(inner),
                ("user", _) => user = self.findings.runs_as(inner.arguments()),
                _ => {}
            }
        }
        let script = lvs_health::declared::Script { command: argv?, user: user.map(Into::into) };
        let timeout = timeout.filter(|timeout| *timeout > Duration::ZERO);
        let timeout = timeout.or(timers.delay_loop).unwrap_or(Timers::DELAY_LOOP);
        Some(CheckKind::Misc(MiscCheck { script, timeout, dynamic }))
    }

    fn file(&mut self, statement: &Statement) -> Option<CheckKind> {
        if !self.named(statement, "track_file") {
            return None;
        }
        let (mut name, mut weight, mut dynamic) = (None, None, false);
        for inner in statement.inside() {
            match inner.name() {
                "track_file" => name = Self::name(inner),
                "weight" => weight = self.file_weight(inner),
                "dynamic" => dynamic = self.boolean(inner),
                _ => {}
            }
        }
        let name = name?;
        let Some(file) = self.files.get(&name.text) else {
            let title = format!("there is no track_file `{}`", name.text);
            let found =
                Found::new(name.place, title, "expected the name of a `track_file` outside of all blocks");
            let names: Vec<&str> = self.files.keys().map(String::as_str).collect();
            self.findings.mistake(found.suggesting(&name.text, names));
            return None;
        };
        let (weight, reverse) = weight.unwrap_or((file.weight, file.reverse));
        let (name, path) = (name.text.clone(), file.path.clone());
        Some(CheckKind::File(FileCheck { name, path, weight, reverse, dynamic }))
    }

    /// `NUMBER [reverse]`
    pub(super) fn file_weight(&mut self, inner: &Statement) -> Option<(i32, bool)> {
        let weight = self.number(inner, "a weight", -2_147_483_647..=2_147_483_647)?;
        let is_reversed = match inner.argument(1) {
            Some(word) => self.findings.choice(word, "option", &["reverse"]).is_some(),
            None => false,
        };
        Some((weight, is_reversed))
    }
}

/// A digit, and which of its bits count.
fn digit(c: char) -> Option<(u8, u8)> {
    if matches!(c, 'x' | 'X') {
        return Some((0, 0));
    }
    Some((u8::try_from(c.to_digit(16)?).ok()?, 0xf))
}
