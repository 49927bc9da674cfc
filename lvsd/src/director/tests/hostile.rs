//! Frames that no honest host sends: none makes the director panic, and every one is accounted for.

use lvs_conntrack::Proto;
use lvs_forward::{PortId, Verdict};

use super::frames::{ACK, SYN, fragmented, ip as packet, other, tcp, udp};
use super::scene::{INSIDE, OUTSIDE, Scene, at, client, ip};

fn scene() -> Scene {
    Scene::new(&[
        "-A -t 203.0.113.1:80 -s rr",
        "-a -t 203.0.113.1:80 -r 10.0.0.11 -m",
        "-A -u 203.0.113.1:53 -s rr -p 60",
        "-a -u 203.0.113.1:53 -r 10.0.0.12 -i",
        "-A -t [2001:db8::1]:80 -s rr",
        "-a -t [2001:db8::1]:80 -r [2001:db8:b::11]:80 -m",
        "-A -u [2001:db8::1]:53 -s rr",
        "-a -u [2001:db8::1]:53 -r [2001:db8:b::12]:53 -i",
    ])
}

/// One frame of each kind that the director looks into.
fn frames() -> Vec<(PortId, Vec<u8>)> {
    let syn = tcp(client(1, 1), at("203.0.113.1:80"), SYN);
    let answer = tcp(at("10.0.0.11:80"), client(1, 1), SYN | ACK);
    let error = [&[3, 4, 0, 0, 0, 0, 5, 0], &answer[14..]].concat();
    let v6 = tcp(at("[2001:db8:c::7]:9"), at("[2001:db8::1]:80"), SYN);
    let v6_error = [&[2, 0, 0, 0, 0, 0, 5, 0], &v6[14..]].concat();
    let mut frames = vec![
        (OUTSIDE, syn),
        (INSIDE, answer),
        (OUTSIDE, udp(client(1, 1), at("203.0.113.1:53"), &[5; 64])),
        (OUTSIDE, packet(ip("198.51.100.1"), ip("203.0.113.1"), Proto::ICMP, &error)),
        (OUTSIDE, v6),
        (OUTSIDE, udp(at("[2001:db8:c::7]:9"), at("[2001:db8::1]:53"), &[5; 64])),
        (INSIDE, packet(ip("2001:db8:b::11"), ip("2001:db8:c::7"), Proto::ICMPV6, &v6_error)),
        (OUTSIDE, other(ip("198.51.100.1"), ip("203.0.113.1"), Proto::SCTP)),
        (OUTSIDE, other(ip("198.51.100.1"), ip("203.0.113.1"), Proto::AH)),
    ];
    let parts = fragmented(&udp(client(2, 2), at("203.0.113.1:53"), &[5; 900]), 512);
    frames.extend(parts.into_iter().map(|part| (OUTSIDE, part)));
    frames
}

#[test]
fn frames_cut_off_anywhere_are_accounted_for() {
    let mut scene = scene();
    let mut sent = 0;
    for (port, frame) in frames() {
        for len in 0..=frame.len() {
            // The scene holds the accounts against each other at every frame.
            scene.receive(port, &frame[..len]);
            sent += 1;
        }
    }
    assert_eq!(scene.account().received, sent);
}

#[test]
fn frames_with_one_octet_changed_are_accounted_for() {
    let mut scene = scene();
    for (port, frame) in frames() {
        for at in 0..frame.len() {
            for value in [0x00, 0x01, 0x0f, 0x45, 0x7f, 0x80, 0xff] {
                let mut changed = frame.clone();
                changed[at] = value;
                scene.receive(port, &changed);
            }
        }
    }
}

#[test]
fn random_octets_are_accounted_for() {
    let mut scene = scene();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..20_000 {
        let len = usize::try_from(random() % 200).unwrap();
        let mut frame: Vec<u8> = (0..len).map(|_| random().to_be_bytes()[0]).collect();
        // Half of them at least look like IP.
        if round % 2 == 0 && len > 15 {
            let (kind, first) = if round % 4 == 0 { ([0x08, 0x00], 0x45) } else { ([0x86, 0xdd], 0x60) };
            frame[12..14].copy_from_slice(&kind);
            frame[14] = first;
        }
        scene.receive(OUTSIDE, &frame);
    }
    assert_eq!(scene.account().received, 20_000);
    assert_eq!(scene.account().forwarded, 0);
}

#[test]
fn what_is_no_ip_is_the_hosts() {
    let mut arp = vec![0xff; 12];
    arp.extend([0x08, 0x06]);
    arp.extend([0; 28]);
    assert_eq!(scene().client_sends(&arp).verdict, Verdict::ToHost);
}
