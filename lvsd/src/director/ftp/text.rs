//! What FTP's commands and answers look like (RFC 959, RFC 2428), as far as the kernel understands them
//! (`ip_vs_ftp_get_addrport`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use super::session::Mode;

/// A command about a data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// PASV: the server is to wait.
    Passive,
    /// EPSV: the same, for any family.
    Extended,
    /// PORT and EPRT: the server is to connect to this.
    Active(SocketAddr),
}

/// Where an answer says that the server waits, and where in the payload it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) at: SocketAddr,
    pub(super) range: Range<usize>,
}

/// The command that a segment of the client's carries: PASV and EPSV wherever they stand, PORT and EPRT at its begin.
/// What is split over segments is not put together.
pub(super) fn command(payload: &[u8], v6: bool) -> Option<Command> {
    const PASV: &[u8] = b"PASV\r\n";
    for rest in (0..payload.len()).map_while(|at| payload.get(at..).filter(|rest| rest.len() >= PASV.len())) {
        if !v6 && starts_with(rest, PASV) {
            return Some(Command::Passive);
        }
        if starts_with(rest, b"EPSV") {
            match *rest {
                [_, _, _, _, b'\r', ..] => return Some(Command::Extended),
                // Followed by the number of a family, which must be the connection's own.
                [_, _, _, _, b' ', family, b'\r', ..] => {
                    return (family == number(v6)).then_some(Command::Extended);
                }
                [_, _, _, _, b' ', ..] => return None,
                _ => {}
            }
        }
    }
    let old = || if v6 { None } else { old_form(payload, b"PORT", b' ') };
    let named = old().or_else(|| new_form(payload, b"EPRT", b' ', None, v6));
    named.map(|named| Command::Active(named.at))
}

/// The address in a server's answer, which stands at the begin of the segment. `server` is the connection's own: of
/// the family that the answer must be of, and what is meant where only a port is named.
pub(super) fn answer(payload: &[u8], mode: Mode, server: IpAddr) -> Option<Named> {
    match mode {
        Mode::Active => None,
        Mode::Passive => old_form(payload, b"227 ", b'('),
        Mode::Extended => new_form(payload, b"229 ", b'(', Some(server), server.is_ipv6()),
    }
}

/// `10,2,0,11,200,10`, behind `word` and anything but digits, or behind it and `skip`.
fn old_form(payload: &[u8], word: &[u8], skip: u8) -> Option<Named> {
    let start = begin(payload, word, skip, true)?;
    let mut numbers = [0u8; 6];
    let (mut index, mut at) = (0, start);
    loop {
        match *payload.get(at)? {
            digit @ b'0'..=b'9' => {
                let value = numbers.get_mut(index)?;
                *value = value.checked_mul(10)?.checked_add(digit - b'0')?;
            }
            b',' if index < 5 => index += 1,
            _ => break,
        }
        at += 1;
    }
    if index != 5 {
        return None;
    }
    let [a, b, c, d, high, low] = numbers;
    let port = u16::from_be_bytes([high, low]);
    Some(Named { at: SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port), range: start..at })
}

/// `|1|10.2.0.11|51210|`, or `|||51210|` where `own` says whose port that is. Any mark may take the bar's place.
fn new_form(payload: &[u8], word: &[u8], skip: u8, own: Option<IpAddr>, v6: bool) -> Option<Named> {
    let start = begin(payload, word, skip, false)?;
    let (&mark, rest) = payload.get(start..)?.split_first()?;
    if !(33..=126).contains(&mark) {
        return None;
    }
    let mut fields = rest.split(|&octet| octet == mark);
    // Something must follow the third, else its mark was not there.
    let (family, address, port, _) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let end = start + 1 + family.len() + 1 + address.len() + 1 + port.len() + 1;
    let address = match (family, own) {
        ([], Some(own)) if address.is_empty() => own,
        ([digit], _) if *digit == number(v6) => parse(address, v6)?,
        _ => return None,
    };
    let port = port.iter().try_fold(0u16, |port, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        port.checked_mul(10)?.checked_add(digit)
    })?;
    (port != 0).then(|| Named { at: SocketAddr::new(address, port), range: start..end })
}

/// Where the address begins: behind `word`, and behind the first `skip` and its likes that follow; `digits`: or with
/// the first digit before that.
fn begin(payload: &[u8], word: &[u8], skip: u8, digits: bool) -> Option<usize> {
    if !starts_with(payload, word) {
        return None;
    }
    let rest = payload.get(word.len()..)?;
    let first = rest.iter().position(|&octet| octet == skip || (digits && octet.is_ascii_digit()))?;
    let skipped = rest.get(first..)?.iter().position(|&octet| octet != skip)?;
    Some(word.len() + first + skipped)
}

fn starts_with(payload: &[u8], word: &[u8]) -> bool {
    payload.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
}

/// The number of a family (RFC 2428, 2).
const fn number(v6: bool) -> u8 {
    if v6 { b'2' } else { b'1' }
}

fn parse(address: &[u8], v6: bool) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(address).ok()?.parse().ok()?;
    (address.is_ipv6() == v6).then_some(address)
}

/// A short text, made without allocating.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    octets: [u8; Self::LONGEST],
    len: usize,
}

impl Text {
    /// `255,255,255,255,255,255`.
    const LONGEST: usize = 23;

    /// The address as in an answer to PASV, which has IPv4 only.
    pub(super) fn passive(at: SocketAddr) -> Self {
        let IpAddr::V4(address) = at.ip() else { return Self::extended(at.port()) };
        let mut text = Self::new();
        for octet in address.octets().into_iter().chain(at.port().to_be_bytes()) {
            if text.len > 0 {
                text.push(b',');
            }
            text.push_number(octet.into());
        }
        text
    }

    /// The port as in an answer to EPSV.
    pub(super) fn extended(port: u16) -> Self {
        let mut text = Self::new();
        (0..3).for_each(|_| text.push(b'|'));
        text.push_number(port);
        text.push(b'|');
        text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    const fn new() -> Self {
        Self { octets: [0; Self::LONGEST], len: 0 }
    }

    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.len) {
            *place = octet;
            self.len += 1;
        }
    }

    fn push_number(&mut self, number: u16) {
        let mut unit = 10_000;
        while unit > 1 && number < unit {
            unit /= 10;
        }
        while unit > 0 {
            let digit = u8::try_from(number / unit % 10).unwrap_or(0);
            self.push(b'0' + digit);
            unit /= 10;
        }
    }
}

#[cfg(test)]
mod tests;
