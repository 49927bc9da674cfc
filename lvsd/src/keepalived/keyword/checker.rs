//! The checkers: what most of them share, and what each has of its own.

use std::sync::LazyLock;

use super::Standing::{Honoured, Means, Noted, Opens, Refused};
use super::{Block, Keyword, Standing, row};

const BFD: Standing = Refused("lvsd speaks no BFD; use a `TCP_CHECK` or a `PING_CHECK`");
const STACK: Standing =
    Noted("a regular expression needs no stack here, and ends in time whatever a server answers");

/// The rows that are not of several checkers.
pub(super) const TABLE: &[Keyword] = &[
    row(Block::HttpGet, "http_protocol", "1.0|1.0C|1.1", Honoured),
    row(Block::HttpGet, "fast_recovery", "[BOOL]", Honoured),
    row(Block::HttpGet, "virtualhost", "NAME", Honoured),
    row(Block::HttpGet, "url", "", Opens(Block::Url)),
    row(Block::HttpGet, "enable_sni", "[BOOL]", Refused("it is for SSL_GET")),
    row(Block::HttpGet, "sni_name", "NAME", Refused("it is for SSL_GET")),
    row(Block::HttpGet, "tls_compliant", "[BOOL]", Refused("it is for SSL_GET")),
    row(Block::SslGet, "http_protocol", "1.0|1.0C|1.1", Honoured),
    row(Block::SslGet, "fast_recovery", "[BOOL]", Honoured),
    row(Block::SslGet, "virtualhost", "NAME", Honoured),
    row(Block::SslGet, "url", "", Opens(Block::Url)),
    row(Block::SslGet, "enable_sni", "[BOOL]", Honoured),
    row(Block::SslGet, "sni_name", "NAME", Honoured),
    row(Block::SslGet, "tls_compliant", "[BOOL]", Noted("lvsd always says that a connection ends")),
    row(Block::Url, "path", "PATH", Honoured),
    row(Block::Url, "digest", "MD5", Honoured),
    row(Block::Url, "status_code", "CODE|FROM-TO [..]", Honoured),
    row(Block::Url, "virtualhost", "NAME", Honoured),
    row(Block::Url, "regex", "REGEX", Honoured),
    row(Block::Url, "regex_no_match", "", Honoured),
    row(Block::Url, "regex_options", "OPTION [OPTION..]", Honoured),
    row(Block::Url, "regex_stack", "START MAX", STACK),
    row(Block::Url, "regex_min_offset", "BYTES", Honoured),
    row(Block::Url, "regex_max_offset", "BYTES", Honoured),
    row(Block::Url, "tls_compliant", "[BOOL]", Noted("lvsd always says that a connection ends")),
    row(Block::SmtpCheck, "helo_name", "NAME", Honoured),
    row(Block::SmtpCheck, "host", "", Opens(Block::SmtpHost)),
    row(Block::SmtpHost, "connect_ip", "ADDRESS", Honoured),
    row(Block::SmtpHost, "connect_port", "PORT", Honoured),
    row(Block::SmtpHost, "bindto", "ADDRESS", Honoured),
    row(Block::SmtpHost, "bind_if", "INTERFACE", Honoured),
    row(Block::SmtpHost, "bind_port", "PORT", Honoured),
    row(Block::SmtpHost, "fwmark", "MARK", Honoured),
    row(Block::DnsCheck, "type", "A|NS|CNAME|SOA|MX|TXT|AAAA", Honoured),
    row(Block::DnsCheck, "name", "NAME", Honoured),
    row(Block::MiscCheck, "misc_path", "SCRIPT", Honoured),
    row(Block::MiscCheck, "misc_timeout", "SECONDS", Honoured),
    row(Block::MiscCheck, "misc_dynamic", "[BOOL]", Honoured),
    row(Block::MiscCheck, "user", "USER [GROUP]", Honoured),
    row(Block::UdpCheck, "payload", "HEX [HEX..]", Honoured),
    row(Block::UdpCheck, "require_reply", "[HEX..]", Honoured),
    row(Block::UdpCheck, "min_reply_length", "BYTES", Honoured),
    row(Block::UdpCheck, "max_reply_length", "BYTES", Honoured),
    row(Block::BfdCheck, "name", "NAME", BFD),
    row(Block::FileCheck, "track_file", "NAME", Honoured),
    row(Block::FileCheck, "dynamic", "[BOOL]", Honoured),
    row(Block::FileCheck, "weight", "NUMBER [reverse]", Honoured),
];

const CONNECTING: [Block; 7] = [
    Block::HttpGet,
    Block::SslGet,
    Block::TcpCheck,
    Block::SmtpCheck,
    Block::DnsCheck,
    Block::UdpCheck,
    Block::PingCheck,
];

const CONNECTION: [(&str, &str); 6] = [
    ("connect_ip", "ADDRESS"),
    ("connect_port", "PORT"),
    ("bindto", "ADDRESS"),
    ("bind_if", "INTERFACE"),
    ("bind_port", "PORT"),
    ("fwmark", "MARK"),
];

const TIMING: [(&str, &str, Standing); 8] = [
    ("alpha", "[BOOL]", Honoured),
    ("connect_timeout", "SECONDS", Honoured),
    ("retry", "NUMBER", Honoured),
    ("nb_get_retry", "NUMBER", Means("retry")),
    ("delay_before_retry", "SECONDS", Honoured),
    ("warmup", "SECONDS", Honoured),
    ("delay_loop", "SECONDS", Honoured),
    ("log_all_failures", "[BOOL]", Honoured),
];

/// The rows that several checkers share.
static COMMON: LazyLock<Vec<Keyword>> = LazyLock::new(|| {
    let mut rows = Vec::new();
    for block in CONNECTING {
        rows.extend(CONNECTION.iter().map(|&(name, arguments)| row(block, name, arguments, Honoured)));
    }
    for block in CONNECTING.into_iter().chain([Block::MiscCheck]) {
        rows.extend(TIMING.iter().map(|&(name, arguments, standing)| row(block, name, arguments, standing)));
    }
    rows
});

pub(super) fn common() -> impl Iterator<Item = &'static Keyword> {
    COMMON.iter()
}
