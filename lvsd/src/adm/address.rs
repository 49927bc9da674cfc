//! Reads numbers and addresses as loosely, and as strictly, as the C library does for ipvsadm.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::names::Names;
use crate::message::Transport;

/// An address, with its port when one was given.
pub(super) type Endpoint = (IpAddr, Option<u16>);

/// A decimal number from `min` to `max`; blanks and a sign may stand before it, nothing after it (`strtol`).
pub(super) fn number<T: TryFrom<i64>>(text: &str, min: i64, max: i64) -> Option<T> {
    let text = text.trim_start_matches(is_space);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = text.parse().ok()?;
    if (min..=max).contains(&number) { T::try_from(number).ok() } else { None }
}

/// As many digits as there are, 0 without any (`atoi`).
pub(super) fn leading_number(text: &str) -> i64 {
    let text = text.trim_start_matches(is_space);
    let sign = usize::from(text.starts_with(['+', '-']));
    let end = text.bytes().skip(sign).take_while(u8::is_ascii_digit).count() + sign;
    text[..end].parse().unwrap_or_default()
}

/// `A[:P]`, `[A]:P` or a bare IPv6 address; names of IPv4 hosts and of ports are looked up.
pub(super) fn endpoint(text: &str, transport: Option<Transport>, names: Names) -> Option<Endpoint> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (host, bracketed_port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, Some(rest.strip_prefix(':')?))
        }
        None => (text, None),
    };
    if let Ok(addr) = host.parse::<Ipv6Addr>() {
        return with_port(IpAddr::V6(addr), bracketed_port, transport, names);
    }
    // what stood behind the brackets counts only for IPv6
    let (host, text) = match host.rsplit_once(':') {
        Some((host, text)) => (host, Some(text)),
        None => (host, None),
    };
    with_port(IpAddr::V4(ipv4(host, names)?), text, transport, names)
}

/// An IPv4 address in any of the forms of `inet_aton`, or the name of a host.
pub(super) fn ipv4(text: &str, names: Names) -> Option<Ipv4Addr> {
    dotted(text).or_else(|| names.address(text))
}

fn with_port(
    addr: IpAddr,
    text: Option<&str>,
    transport: Option<Transport>,
    names: Names,
) -> Option<Endpoint> {
    let Some(text) = text else { return Some((addr, None)) };
    port(text, transport, names).map(|port| (addr, Some(port)))
}

fn port(text: &str, transport: Option<Transport>, names: Names) -> Option<u16> {
    number(text, 0, i64::from(u16::MAX)).or_else(|| names.port(text, transport?))
}

/// One to four numbers, decimal, octal (`0`) or hexadecimal (`0x`); the last one fills what is left.
fn dotted(text: &str) -> Option<Ipv4Addr> {
    let end = text.find(is_space).unwrap_or(text.len());
    let parts = text[..end].split('.').map(c_number).collect::<Option<Vec<u32>>>()?;
    let (last, heads) = parts.split_last()?;
    let shift = 8 * u32::try_from(heads.len()).ok()?;
    if heads.len() > 3 || heads.iter().any(|part| *part > 255) || u64::from(*last) >= 1 << (32 - shift) {
        return None;
    }
    let head = heads.iter().zip([24, 16, 8]).fold(0, |addr, (part, bits)| addr | part << bits);
    Some(Ipv4Addr::from(head | last))
}

fn c_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}
