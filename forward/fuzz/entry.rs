//! What the fuzzer and the tests do with one input: the first two octets choose, the rest is the frame.

use std::net::IpAddr;

use lvs_forward::{
    Checksums, DropReason, Encapsulation, End, Fit, Headers, Nat, Packet, ParseError, Path, PortId, Quoted,
    Refused, Rewrite, Tunnel, fragment, icmp,
};

/// Room before and behind the frame, where the choice says that there is some.
const ROOM: usize = 64;

const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 2, 0, 11));
const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x11));

/// Does everything with a frame that the director may do. Panics where a law is broken: what is refused is as it
/// was, what is rewritten can be read again.
pub(crate) fn run(input: &[u8]) {
    let Some((&[choice, mtu], frame)) = input.split_first_chunk() else { return };
    let headers = match Headers::parse(frame) {
        Ok(headers) => headers,
        Err(ParseError::NotIp | ParseError::Malformed(_)) => return,
    };
    assert!(headers.l3 <= headers.l4 && headers.l4 <= headers.end && headers.end <= frame.len());
    let quoted = Quoted::parse(frame, &headers).ok();
    let path = Path {
        port: PortId(0),
        src_mac: [2; 6].into(),
        dst_mac: [4; 6].into(),
        mtu: if choice & 0x40 == 0 { 1500 } else { 60 + u16::from(mtu) * 6 },
        checksums: if choice & 0x20 == 0 { Checksums::Computed } else { Checksums::Offloaded },
    };
    let room = if choice & 0x80 == 0 { ROOM } else { 0 };
    for rewrite in rewrites(choice) {
        forward(&rewrite, frame, room, &headers, &path);
    }
    answer(frame, room, &headers, &path);
    if let Some(quoted) = quoted {
        about_others(frame, &headers, &quoted, &path);
    }
}

fn rewrites(choice: u8) -> impl Iterator<Item = Rewrite> {
    let end = if choice & 1 == 0 { End::Source } else { End::Destination };
    let nat = [V4, V6].map(|addr| Rewrite::Nat(Nat { end, addr, port: 5353 }));
    let encapsulation = match (choice >> 2) & 7 {
        0..=2 => Encapsulation::Ipip,
        kind @ (3 | 4) => Encapsulation::Gue { port: 6080, checksum: kind == 3 },
        kind => Encapsulation::Gre { checksum: kind == 5 },
    };
    let tunnel = [V4, V6].map(|address| {
        let pmtu_disc = choice & 2 == 0;
        Rewrite::Tunnel(Tunnel { local: address, remote: address, encapsulation, pmtu_disc })
    });
    nat.into_iter().chain([Rewrite::Direct]).chain(tunnel)
}

/// Runs `deed` on a copy of the frame. Where it refuses, the frame must be as it was.
fn on_copy<T, E>(frame: &[u8], room: usize, deed: impl FnOnce(&mut Packet<'_>) -> Result<T, E>) -> Option<T> {
    let mut buffer = vec![0; room];
    buffer.extend_from_slice(frame);
    buffer.resize(buffer.len() + room, 0);
    let mut packet = Packet::new(&mut buffer, room, frame.len());
    let done = deed(&mut packet).ok();
    if done.is_none() {
        assert_eq!(packet.bytes(), frame, "refused, and yet changed");
    }
    done
}

fn forward(rewrite: &Rewrite, frame: &[u8], room: usize, headers: &Headers, path: &Path) {
    on_copy(frame, room, |packet| {
        let fit = rewrite.apply(packet, headers, path, 77).map_err(Refused::reason)?;
        let again = Headers::parse(packet.bytes()).expect("what was rewritten can be read");
        assert_eq!(again.ttl, headers.ttl - 1);
        assert_eq!(fit == Fit::Oversized, again.len() > usize::from(path.mtu));
        if fit == Fit::Oversized {
            let mut sum = 0;
            let split = fragment::split(packet, path.mtu, 5, |frame| {
                let fragment = Headers::parse(frame).expect("a fragment can be read");
                assert!(fragment.len() <= usize::from(path.mtu));
                sum += fragment.end - fragment.l4;
            });
            match split {
                Ok(()) => {
                    let first = Headers::parse(packet.bytes()).map(|first| first.end - first.l4);
                    assert_eq!(sum + first.unwrap_or(0), again.end - again.l4);
                }
                Err(reason) => assert!(matches!(reason, DropReason::TooBig | DropReason::NoRoom)),
            }
        }
        Ok::<_, DropReason>(())
    });
}

fn answer(frame: &[u8], room: usize, headers: &Headers, path: &Path) {
    if !icmp::may_answer(frame, headers) {
        return;
    }
    for error in [icmp::Error::TimeExceeded, icmp::Error::TooBig(1280), icmp::Error::PortUnreachable] {
        for from in [V4, V6] {
            on_copy(frame, room, |packet| {
                error.answer(packet, headers, from, path, 9)?;
                let answer = Headers::parse(packet.bytes()).expect("an answer can be read");
                assert!(answer.is_icmp_error());
                assert_eq!(answer.dst, headers.src);
                icmp::verify(packet.bytes(), &answer)
            });
        }
    }
}

fn about_others(frame: &[u8], headers: &Headers, quoted: &Quoted, path: &Path) {
    for end in [End::Source, End::Destination] {
        for addr in [V4, V6] {
            let nat = Nat { end, addr, port: 4 };
            on_copy(frame, 0, |packet| icmp::translate(packet, headers, quoted, &nat, path));
        }
    }
    let gue = Encapsulation::Gue { port: 6080, checksum: false };
    for kind in [Encapsulation::Ipip, gue, Encapsulation::Gre { checksum: false }] {
        let Ok(inner) = quoted.within(frame, headers, kind) else { continue };
        for from in [V4, V6] {
            on_copy(frame, 0, |packet| {
                icmp::relay(packet, headers, &inner, Some(1400), from, path, 3)?;
                let relayed = Headers::parse(packet.bytes()).expect("a relayed error can be read");
                assert_eq!(relayed.dst, inner.src);
                icmp::verify(packet.bytes(), &relayed)
            });
        }
    }
}
