//! Datagrams that come in fragments.

use std::net::SocketAddr;
use std::time::Duration;

use lvs_forward::{DropReason, Verdict};

use super::frames::{fragmented, udp};
use super::scene::{INSIDE, Scene, at, client};
use crate::director::Exit;

fn scene() -> Scene {
    Scene::new(&["-A -u 203.0.113.1:53 -s rr", "-a -u 203.0.113.1:53 -r 10.0.0.11:5300 -m"])
}

fn vip() -> SocketAddr {
    at("203.0.113.1:53")
}

/// The octets behind the IP header of what left, put together again.
fn transported(left: &[(Exit, Vec<u8>)]) -> Vec<u8> {
    let mut whole = Vec::new();
    for (exit, frame) in left {
        assert_eq!(*exit, Exit::Port(INSIDE));
        let offset = usize::from(u16::from_be_bytes([frame[20] & 0x1f, frame[21]])) * 8;
        assert_eq!(offset, whole.len(), "in order");
        whole.extend(&frame[34..]);
    }
    whole
}

#[test]
fn in_any_order_they_leave_as_one_datagram_in_fragments_no_larger() {
    let payload: Vec<u8> = (0..3000u16).map(|n| n.to_be_bytes()[1]).collect();
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
        let mut scene = scene();
        let parts = fragmented(&udp(client(1, 1), vip(), &payload), 640);
        assert_eq!(parts.len(), 5);
        let mut left = Vec::new();
        for (nth, at) in order.into_iter().enumerate() {
            let outcome = scene.client_sends(&parts[at]);
            assert_eq!(outcome.verdict, Verdict::Hold);
            assert_eq!(outcome.behind.is_empty(), nth < 4, "all leave with the last one");
            left = outcome.behind;
        }
        let sizes: Vec<usize> = left.iter().map(|(_, frame)| frame.len() - 34).collect();
        assert_eq!(sizes, [640, 640, 640, 640, 448], "as they came");
        let datagram = transported(&left);
        assert_eq!(datagram[..4], [0, 1, 0x14, 0xb4], "from port 1 to port 5300");
        assert_eq!(datagram[8..], payload);
        let account = scene.account();
        assert_eq!((account.received, account.forwarded, account.held, account.originated), (5, 5, 0, 0));
    }
}

#[test]
fn those_of_nobodys_service_are_the_hosts_at_once() {
    let mut scene = scene();
    for part in fragmented(&udp(client(1, 1), at("192.0.2.2:53"), &[1; 900]), 512) {
        assert_eq!(scene.client_sends(&part).verdict, Verdict::ToHost);
    }
}

#[test]
fn what_turns_out_to_be_the_hosts_is_handed_over_as_it_came() {
    let mut scene = scene();
    let parts = fragmented(&udp(client(1, 1), at("203.0.113.1:54"), &[1; 900]), 512);
    let last = parts.iter().map(|part| scene.client_sends(part)).last().unwrap();
    let handed: Vec<Vec<u8>> =
        last.behind.into_iter().map(|(exit, frame)| (exit == Exit::Host, frame).1).collect();
    assert_eq!(handed, parts);
    assert_eq!((scene.account().to_host, scene.account().held), (2, 0));
}

#[test]
fn overlapping_ones_take_their_datagram_with_them() {
    let mut scene = scene();
    let parts = fragmented(&udp(client(1, 1), vip(), &[1; 1500]), 512);
    let mut forged = parts[1].clone();
    forged[60] ^= 0xff;
    assert_eq!(scene.client_sends(&parts[1]).verdict, Verdict::Hold);
    assert_eq!(scene.client_sends(&parts[1]).verdict, Verdict::Drop(DropReason::BadFragment), "a repetition");
    assert_eq!(scene.account().held, 1, "which does no harm");
    assert_eq!(scene.client_sends(&forged).verdict, Verdict::Drop(DropReason::BadFragment));
    assert_eq!((scene.account().held, scene.account().dropped), (0, 3));
}

#[test]
fn incomplete_ones_are_given_up_and_bounded() {
    let mut scene = scene();
    for number in 0..2000u16 {
        let parts = fragmented(&udp(client(1, 1), vip(), &[1; 900]), 512);
        let mut first = parts[0].clone();
        first[18..20].copy_from_slice(&number.to_be_bytes());
        super::frames::seal(&mut first[14..34]);
        let expected = if number < 1024 { Verdict::Hold } else { Verdict::Drop(DropReason::FragmentsFull) };
        assert_eq!(scene.client_sends(&first).verdict, expected, "{number}");
    }
    scene.pass(Duration::from_secs(31));
    scene.client_sends(&udp(client(1, 1), vip(), b"whole"));
    let account = scene.account();
    assert_eq!((account.held, account.dropped, account.forwarded), (0, 2000, 1));
}
