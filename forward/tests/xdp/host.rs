//! What is handed back to the host, and what a real server's own program unwraps for it.

use std::net::{Ipv4Addr, Ipv6Addr};

use lvs_forward::Verdict;
use lvs_forward::io::xdp::{Mode, decap};

use crate::director::Director;
use crate::frames;
use crate::net::{CLIENT, Lab, Space, VIP};

#[test]
#[ignore = "needs root"]
fn the_host_answers_what_it_is_handed_back() {
    let lab = Lab::new();
    lab.director.sysctl("ipv4/conf/all/rp_filter", "1");
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let client = lab.client.raw("c0");
    client.send(&frames::syn((CLIENT, 4000), (VIP, 81)));
    let sum = director.serve(|_, _| Verdict::ToHost, |sum| sum.received == 1);
    assert_eq!(sum.to_host, 1);
    let is_reset = |frame: &[u8]| frame.len() >= 54 && frame[26..30] == VIP.octets() && frame[47] & 4 != 0;
    assert!(client.find(is_reset).is_some(), "the host resets a connection nobody listens for");

    // Sent by a kernel over a veth pair, the checksum is unfinished.
    let listener = lab.director.udp("10.1.0.100:5000");
    let sender = lab.client.udp("10.1.0.2:0");
    sender.send_to(b"for the host", "10.1.0.100:5000").unwrap();
    director.serve(|_, _| Verdict::ToHost, |sum| sum.received == 1);
    assert_eq!(listener.recv(&mut [0; 64]).unwrap(), 12);

    let sender = lab.client.udp("[fd01::2]:0");
    let listener = lab.director.udp("[fd01::100]:5000");
    sender.send_to(b"six", "[fd01::100]:5000").unwrap();
    director.serve(|_, _| Verdict::ToHost, |sum| sum.received == 1);
    assert_eq!(listener.recv(&mut [0; 64]).unwrap(), 3, "IPv6");
}

#[test]
#[ignore = "needs root"]
fn a_decapsulator_unwraps_what_is_for_a_vip() {
    let (near, far) = (Space::new("near"), Space::new("far"));
    near.join("n0", &far, "f0", 1);
    near.address("n0", "10.3.0.1/24");
    far.address("f0", "10.3.0.2/24");
    far.address("f0", "fd03::2/64");
    far.address("lo", "10.9.9.9/32");
    far.address("lo", "fd09::9/128");
    far.sysctl("ipv4/conf/all/rp_filter", "0");
    far.sysctl("ipv4/conf/f0/rp_filter", "0");
    let (vip, vip6): (Ipv4Addr, Ipv6Addr) = ("10.9.9.9".parse().unwrap(), "fd09::9".parse().unwrap());
    let (outer, outer6): (Ipv4Addr, Ipv6Addr) = ("10.3.0.2".parse().unwrap(), "fd03::2".parse().unwrap());
    let dip6: Ipv6Addr = "fd03::1".parse().unwrap();
    let dip: Ipv4Addr = "10.3.0.1".parse().unwrap();
    let c6: (Ipv6Addr, u16) = ("fd01::2".parse().unwrap(), 4000);
    let config = decap::Decap {
        outer: [outer.into(), outer6.into()].into(),
        vips: [vip.into(), vip6.into()].into(),
        gue_port: Some(6080),
    };
    let plain = frames::udp((CLIENT, 4000), (vip, 80), b"four");
    let plain6 = frames::udp6(c6, (vip6, 80), b"sixsix");
    let gue = |proto: u8| [0x17, 0xc1, 0x17, 0xc0, 0, 0, 0, 0, 0, proto, 0, 0];
    let cases = [
        ("IPv4 in IPv4", frames::tunnel(dip, outer, 4, &[], &plain), 4),
        ("IPv6 in IPv4", frames::tunnel(dip, outer, 41, &[], &plain6), 6),
        ("IPv4 in IPv6", frames::tunnel6(dip6, outer6, 4, &plain), 4),
        ("IPv6 in IPv6", frames::tunnel6(dip6, outer6, 41, &plain6), 6),
        ("GRE", frames::tunnel(dip, outer, 47, &[0, 0, 8, 0], &plain), 4),
        ("GRE with a checksum", frames::tunnel(dip, outer, 47, &[0x80, 0, 8, 0, 0, 0, 0, 0], &plain), 4),
        ("GUE", frames::tunnel(dip, outer, 17, &gue(4), &plain), 4),
        ("GUE, IPv6", frames::tunnel(dip, outer, 17, &gue(41), &plain6), 6),
    ];
    let others = frames::udp((CLIENT, 4000), (outer, 80), b"no VIP");
    let raw = near.raw("n0");
    let mac = far.mac("f0");
    for mode in [Mode::Native, Mode::Generic] {
        far.enter(|| {
            assert_eq!(decap::attach("f0", &config, Some(mode)).unwrap(), mode);
            assert_eq!(decap::attached("f0").unwrap().as_ref(), Some(&config));
        });
        let (four, six) = (far.udp("10.9.9.9:80"), far.udp("[fd09::9]:80"));
        for (name, frame, length) in &cases {
            raw.send(&frames::to_mac(frame.clone(), mac));
            let listener = if *length == 4 { &four } else { &six };
            let received = listener.recv(&mut [0; 64]);
            assert_eq!(
                received.unwrap_or_else(|error| panic!("{mode:?}, {name}: {error}")),
                *length,
                "{name}"
            );
        }
        raw.send(&frames::to_mac(frames::tunnel(dip, outer, 4, &[], &others), mac));
        far.enter(|| {
            assert_eq!(decap::unwrapped("f0").unwrap(), Some(8), "what is no VIP's is left alone");
        });
    }
    far.enter(|| {
        assert!(decap::detach("f0").unwrap());
        assert!(!decap::detach("f0").unwrap());
        assert_eq!(decap::attached("f0").unwrap(), None);
    });
}
