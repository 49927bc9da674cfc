//! A check as a table of its kind, its address and its timers.

use std::net::SocketAddr;

use lvs_health::declared::{
    Check, CheckKind, DnsType, HttpCheck, HttpProtocol, HttpUrl, MaskedByte, Path, Reply, Timers, Timing,
    UdpCheck,
};

use super::keys::Keys;
use super::user;
use crate::message::ServiceId;

/// What is asked of the server at `of`.
pub(super) fn keys(check: &Check, of: SocketAddr, service: &ServiceId) -> Keys {
    let keys = Keys::default().set("type", kind(&check.kind));
    let keys = whom(keys, check, of, service);
    let keys = timing(keys, check);
    match &check.kind {
        CheckKind::Tcp | CheckKind::Ping => keys,
        CheckKind::Http(check) => http(keys, check),
        CheckKind::Smtp { helo_name } => keys.set("helo-name", helo_name),
        CheckKind::Dns { kind, name } => {
            keys.other("query", kind.name(), DnsType::default().name()).set("name", name)
        }
        CheckKind::Udp(check) => udp(keys, check),
        CheckKind::Misc(check) => keys
            .set("command", &check.script.command)
            .some("user", check.script.user.as_ref().map(user))
            .set("timeout", check.timeout)
            .flag("dynamic", check.dynamic),
        CheckKind::File(check) => {
            let path = check.path.to_string_lossy();
            let name = (*check.name != *path).then_some(&check.name);
            keys.set("file", check.path.as_path())
                .some("name", name)
                .set("weight", check.weight)
                .flag("reverse", check.reverse)
                .flag("dynamic", check.dynamic)
        }
    }
}

const fn kind(kind: &CheckKind) -> &'static str {
    match kind {
        CheckKind::Tcp => "tcp",
        CheckKind::Http(check) if check.tls.is_some() => "https",
        CheckKind::Http(_) => "http",
        CheckKind::Smtp { .. } => "smtp",
        CheckKind::Dns { .. } => "dns",
        CheckKind::Udp(_) => "udp",
        CheckKind::Ping => "ping",
        CheckKind::Misc(_) => "program",
        CheckKind::File(_) => "file",
    }
}

fn whom(keys: Keys, check: &Check, of: SocketAddr, service: &ServiceId) -> Keys {
    let endpoint = &check.endpoint;
    let (keys, of) = match (endpoint.path, service) {
        (Path::Host, _) => (keys, Some(of)),
        (Path::Data(_), ServiceId::Address { vip, port, .. }) => {
            (keys.set("check-path", "data"), Some(SocketAddr::new(*vip, *port)))
        }
        // The way of a mark's traffic begins where it is said.
        (Path::Data(_), ServiceId::Mark { .. }) => (keys.set("check-path", "data"), None),
    };
    let address = Some(endpoint.address.ip()).filter(|ip| of.is_none_or(|of| of.ip() != *ip));
    let port = Some(endpoint.address.port()).filter(|port| of.is_none_or(|of| of.port() != *port));
    keys.some("connect-address", address)
        .some("connect-port", port)
        .some("bind-address", endpoint.bind.address)
        .some("bind-interface", endpoint.bind.interface.as_ref())
        .other("bind-port", endpoint.bind.port, 0)
        .other("mark", endpoint.fwmark, 0)
}

/// What differs from what a check of this kind does that says nothing but how often it is made.
fn timing(keys: Keys, check: &Check) -> Keys {
    let Timing { delay_loop, .. } = check.timing;
    let default = Timers { delay_loop: Some(delay_loop), ..Timers::default() }.resolve(check.kind.defaults());
    keys.other("delay-loop", delay_loop, Timers::DELAY_LOOP)
        .other("connect-timeout", check.timing.connect_timeout, default.connect_timeout)
        .other("retry", check.timing.retry, default.retry)
        .other("delay-before-retry", check.timing.delay_before_retry, default.delay_before_retry)
        .other("warmup", check.timing.warmup, default.warmup)
        .other("alpha", check.timing.alpha, default.alpha)
        .other("log-all-failures", check.timing.log_all_failures, default.log_all_failures)
}

fn http(keys: Keys, check: &HttpCheck) -> Keys {
    let protocol = match check.protocol {
        HttpProtocol::Http10 => Some("1.0"),
        HttpProtocol::Http10Close => Some("1.0C"),
        HttpProtocol::Http11 => None,
    };
    let keys = keys.some("protocol", protocol).flag("fast-recovery", check.fast_recovery);
    let keys = match &check.tls {
        Some(sni) => keys.other("sni", sni.enabled, true).some("sni-name", sni.name.as_ref()),
        None => keys,
    };
    keys.list("url", &check.urls.iter().map(url).collect::<Vec<_>>())
}

fn url(url: &HttpUrl) -> Keys {
    let status: Vec<String> =
        url.status.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
    let digest = url.digest.map(|digest| digest.map(|byte| format!("{byte:02x}")).concat());
    let keys = Keys::default().set("path", &url.path);
    let keys = if url.status == HttpUrl::default().status { keys } else { keys.list("status", &status) };
    let keys = keys.some("digest", digest).some("virtualhost", url.virtualhost.as_ref());
    let Some(pattern) = &url.pattern else { return keys };
    let options: Vec<&str> = pattern.options.iter().map(|option| option.name()).collect();
    keys.set("regex", &pattern.text)
        .flag("regex-no-match", pattern.no_match)
        .list("regex-options", &options)
        .other("regex-min-offset", pattern.min_offset, 0)
        .some("regex-max-offset", pattern.max_offset)
}

fn udp(keys: Keys, check: &UdpCheck) -> Keys {
    let default = Reply::default();
    let payload = check.payload.as_ref().map(|bytes| {
        let bytes = bytes.iter().map(|&value| MaskedByte { value, mask: 0xff });
        hexadecimal(bytes)
    });
    let keys = keys.some("payload", payload);
    let Some(reply) = &check.reply else { return keys };
    keys.set("reply", hexadecimal(reply.pattern.iter().copied()))
        .other("min-reply-length", reply.min_length, default.min_length)
        .other("max-reply-length", reply.max_length, default.max_length)
}

/// Two digits for each byte, `x` where it may be any.
fn hexadecimal(bytes: impl Iterator<Item = MaskedByte>) -> String {
    let digit = |value: u8, mask: u8| if mask == 0 { "x".to_owned() } else { format!("{value:x}") };
    let byte =
        |byte: MaskedByte| digit(byte.value >> 4, byte.mask >> 4) + &digit(byte.value & 0xf, byte.mask & 0xf);
    bytes.map(byte).collect::<Vec<_>>().join(" ")
}
