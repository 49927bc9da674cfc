//! Every rewrite held against what Linux 6.1 did to the same frame. `golden/*.txt` hold pairs: what is to be done,
//! `<` the frame that came, `>` each frame that left. All bytes are compared but GUE's source port and the flow
//! label of an ICMPv6 error, which the kernel draws from secrets of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's own files are as they must be")]

use std::fs;
use std::net::IpAddr;
use std::path::Path as FilePath;

use lvs_forward::{
    Checksums, Encapsulation, End, Fit, Headers, Nat, Packet, Path, PortId, Quoted, Refused, Rewrite, Tunnel,
    fragment, icmp,
};

const GUE_PORT: u16 = 6080;

struct Pair {
    mtu: u16,
    deed: String,
    came: Vec<u8>,
    left: Vec<Vec<u8>>,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn pairs(file: &FilePath) -> Vec<Pair> {
    let (mut mtu, mut pairs) = (1500, Vec::<Pair>::new());
    for line in fs::read_to_string(file).unwrap().lines().filter(|line| !line.is_empty()) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("#", _) => {}
            ("mtu", octets) => mtu = octets.parse().unwrap(),
            ("<", hex) => pairs.last_mut().unwrap().came = bytes(hex),
            (">", hex) => pairs.last_mut().unwrap().left.push(bytes(hex)),
            _ => pairs.push(Pair { mtu, deed: line.to_owned(), came: Vec::new(), left: Vec::new() }),
        }
    }
    pairs
}

/// The way that the expected frame took, and the identification that the kernel drew for it.
fn path_and_ident(pair: &Pair) -> (Path, u16) {
    let frame = &pair.left[0];
    let path = Path {
        port: PortId(1),
        dst_mac: frame[..6].first_chunk::<6>().copied().unwrap().into(),
        src_mac: frame[6..12].first_chunk::<6>().copied().unwrap().into(),
        mtu: pair.mtu,
        checksums: Checksums::Offloaded,
    };
    (path, u16::from_be_bytes([frame[18], frame[19]]))
}

/// The identification that the kernel drew for the fragments of an IPv6 packet.
fn fragment_ident(pair: &Pair) -> u32 {
    pair.left[0].get(58..62).map_or(0, |ident| u32::from_be_bytes(*ident.first_chunk().unwrap()))
}

fn nat(end: &str, addr: &str, port: &str) -> Nat {
    let end = if end == "src" { End::Source } else { End::Destination };
    Nat { end, addr: addr.parse().unwrap(), port: port.parse().unwrap() }
}

fn tunnel(kind: &str, local: &str, remote: &str) -> Tunnel {
    let encapsulation = match kind {
        "ipip" => Encapsulation::Ipip,
        "gue" | "gue-csum" => Encapsulation::Gue { port: GUE_PORT, checksum: kind == "gue-csum" },
        _ => Encapsulation::Gre { checksum: kind == "gre-csum" },
    };
    Tunnel { local: local.parse().unwrap(), remote: remote.parse().unwrap(), encapsulation, pmtu_disc: true }
}

fn answer(kind: &str, from: IpAddr, rewrite_mtu: u16, pair: &Pair) -> Vec<Vec<u8>> {
    let (path, ident) = path_and_ident(pair);
    let error = match kind {
        "time-exceeded" => icmp::Error::TimeExceeded,
        "port-unreachable" => icmp::Error::PortUnreachable,
        _ => icmp::Error::TooBig(rewrite_mtu),
    };
    let mut buffer = roomy(&pair.came);
    let mut packet = Packet::new(&mut buffer, 256, pair.came.len());
    let headers = Headers::parse(packet.bytes()).unwrap();
    assert!(icmp::may_answer(packet.bytes(), &headers));
    error.answer(&mut packet, &headers, from, &path, ident).unwrap();
    vec![packet.bytes().to_vec()]
}

fn roomy(frame: &[u8]) -> Vec<u8> {
    [&[0xee; 256], frame, &[0xee; 256]].concat()
}

fn forward(rewrite: &Rewrite, pair: &Pair) -> Vec<Vec<u8>> {
    let (path, ident) = path_and_ident(pair);
    let mut buffer = roomy(&pair.came);
    let mut packet = Packet::new(&mut buffer, 256, pair.came.len());
    let headers = Headers::parse(packet.bytes()).unwrap();
    let fit = rewrite.apply(&mut packet, &headers, &path, ident).unwrap();
    let mut others = Vec::new();
    if fit == Fit::Oversized {
        fragment::split(&mut packet, path.mtu, fragment_ident(pair), |frame| others.push(frame.to_vec()))
            .unwrap();
    }
    let mut left = vec![packet.bytes().to_vec()];
    left.append(&mut others);
    left
}

fn translate(nat: &Nat, pair: &Pair) -> Vec<Vec<u8>> {
    let (path, _) = path_and_ident(pair);
    let mut buffer = roomy(&pair.came);
    let mut packet = Packet::new(&mut buffer, 256, pair.came.len());
    let headers = Headers::parse(packet.bytes()).unwrap();
    let quoted = Quoted::parse(packet.bytes(), &headers).unwrap();
    icmp::translate(&mut packet, &headers, &quoted, nat, &path).unwrap();
    vec![packet.bytes().to_vec()]
}

fn done(pair: &Pair) -> Vec<Vec<u8>> {
    let words: Vec<&str> = pair.deed.split(' ').collect();
    match words[..] {
        ["direct"] => forward(&Rewrite::Direct, pair),
        ["nat", end, addr, port] => forward(&Rewrite::Nat(nat(end, addr, port)), pair),
        ["tunnel", kind, local, remote] => forward(&Rewrite::Tunnel(tunnel(kind, local, remote)), pair),
        ["tunnel", kind, local, remote, "no-pmtu-disc"] => {
            let tunnel = Tunnel { pmtu_disc: false, ..tunnel(kind, local, remote) };
            forward(&Rewrite::Tunnel(tunnel), pair)
        }
        ["translate", end, addr, port] => translate(&nat(end, addr, port), pair),
        ["answer", kind, from] => {
            let expected = &pair.left[0];
            let at = if expected[12] == 8 { 14 + 26 } else { 14 + 46 };
            let mtu = u16::from_be_bytes([expected[at], expected[at + 1]]);
            answer(kind, from.parse().unwrap(), mtu, pair)
        }
        _ => panic!("what is {:?}?", pair.deed),
    }
}

/// Hides what the kernel draws from secrets of its own: GUE's source port, the flow label of an ICMPv6 error.
fn hide_secrets(deed: &str, frames: &mut [Vec<u8>]) {
    for frame in frames {
        let l4 = if frame[12] == 8 { 34 } else { 54 };
        if deed.starts_with("tunnel gue") && (frame[12] != 8 || frame[21] == 0) {
            frame[l4..l4 + 2].fill(0);
            // A fragment's checksum is whole and covers the source port. Other tests recompute it.
            if frame[12] == 8 && frame[20] & 0x20 != 0 {
                frame[l4 + 6..l4 + 8].fill(0);
            }
        }
        if deed.starts_with("answer") && frame[12] != 8 {
            frame[15] &= 0xf0;
            frame[16..18].fill(0);
        }
    }
}

#[test]
fn each_frame_leaves_as_the_kernel_sends_it() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        for mut pair in pairs(&file) {
            let mut left = done(&pair);
            hide_secrets(&pair.deed, &mut left);
            hide_secrets(&pair.deed, &mut pair.left);
            seen += 1;
            if left != pair.left {
                wrong.push(format!(
                    "{}: {}\n< {:02x?}\n> {:02x?}\n  {left:02x?}",
                    file.display(),
                    pair.deed,
                    pair.came,
                    pair.left
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {seen} differ\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen > 150, "only {seen} pairs");
}

#[test]
fn what_does_not_fit_is_refused_with_the_mtu_that_the_kernel_tells() {
    for (file, rewrite, mtu) in [
        ("mtu-nat.txt", Rewrite::Nat(nat("dst", "10.2.0.11", "53")), 1400),
        ("mtu-dr.txt", Rewrite::Direct, 1400),
        ("mtu-tun.txt", Rewrite::Tunnel(tunnel("ipip", "10.2.0.1", "10.2.0.11")), 1380),
    ] {
        let dir = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let refused: Vec<Pair> =
            pairs(&dir.join(file)).into_iter().filter(|pair| pair.deed.contains("too-big")).collect();
        assert!(!refused.is_empty(), "{file}");
        for pair in refused {
            let (path, ident) = path_and_ident(&pair);
            let mut buffer = roomy(&pair.came);
            let before = buffer.clone();
            let mut packet = Packet::new(&mut buffer, 256, pair.came.len());
            let headers = Headers::parse(packet.bytes()).unwrap();
            assert_eq!(
                rewrite.apply(&mut packet, &headers, &path, ident),
                Err(Refused::TooBig(mtu)),
                "{file}"
            );
            assert_eq!(packet.len(), pair.came.len());
            assert_eq!(buffer, before);
        }
    }
}
