//! Frames that are not addressed to the interface they came in at are the host's, whatever their IP addresses say.

use std::collections::BTreeSet;

use lvs_forward::Mac;

use crate::director::Director;
use crate::frames::{self, TO};
use crate::net::{CLIENT, Lab, VIP};

const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 3];
/// As VRRP's are.
const VIRTUAL: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];

#[test]
#[ignore = "needs root"]
fn frames_for_others_and_for_all_are_left_to_the_host() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let client = lab.client.raw("c0");
    let to = |mac| frames::to_mac(frames::udp((CLIENT, 4000), (VIP, 5000), b"x"), mac);
    let icmp = frames::icmp(CLIENT, VIP, (3, 3), &frames::udp((VIP, 5000), (CLIENT, 1), b"x"));
    let cases = [
        ("its own", true, to(TO)),
        ("another's", false, to(OTHER)),
        ("its own but for the first octet", false, to([3, 0, 0, 0, 0, 2])),
        ("its own but for the last octet", false, to([2, 0, 0, 0, 0, 0])),
        ("for all", false, to([0xff; 6])),
        ("for a group", false, to([1, 0, 0x5e, 1, 0, 100])),
        ("another's fragment", false, frames::to_mac(frames::fragment(CLIENT, VIP, 3, false), OTHER)),
        ("another's error", false, frames::to_mac(icmp.clone(), OTHER)),
        ("its own error", true, icmp),
        ("another's, tagged", false, frames::to_mac(frames::tagged((CLIENT, 1), (VIP, 5000), false), OTHER)),
    ];
    director.gets(&client, &cases);
}

#[test]
#[ignore = "needs root"]
fn the_addresses_of_what_is_stacked_on_an_interface_are_its_own_while_they_are_said_to_be() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let to = |mac| frames::to_mac(frames::udp((CLIENT, 4000), (VIP, 5000), b"x"), mac);
    let cases = |own, other, virtual_one| {
        [("own", own, to(TO)), ("other", other, to(OTHER)), ("virtual", virtual_one, to(VIRTUAL))]
    };
    let (client, server) = (lab.client.raw("c0"), lab.server.raw("s0"));
    let address = |director: &Director, own, others: &[[u8; 6]]| {
        let others: BTreeSet<Mac> = others.iter().copied().map(Mac).collect();
        let program = &director.program;
        lab.director.enter(|| program.address("d0", Mac(own), &others).unwrap());
    };
    address(&director, TO, &[OTHER, VIRTUAL]);
    address(&director, TO, &[VIRTUAL]);
    director.gets(&client, &cases(true, false, true));
    director.gets(&server, &cases(true, false, false));
    address(&director, OTHER, &[TO]);
    director.gets(&client, &cases(true, true, false));
    address(&director, OTHER, &[]);
    director.gets(&client, &cases(false, true, false));
    // What was said before stays where the program is attached again, but the interface's own.
    address(&director, OTHER, &[VIRTUAL]);
    let program = &director.program;
    lab.director.enter(|| program.attach("d0", None).unwrap());
    director.gets(&client, &cases(true, false, true));
}
