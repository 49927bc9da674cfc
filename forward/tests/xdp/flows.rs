//! What the XDP program makes of packets whose flow it knows, held against what the director's user space makes of
//! the same packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_conntrack::{FlowKey, Proto};
use lvs_forward::io::xdp::{
    Action, Egress, Families, Flow, FlowRewrite, FlowServer, IDENTITY, Inserted, Program, SERVERS, Trial,
};
use lvs_forward::rewrite::{complete_partial, gue_source_port};
use lvs_forward::{
    Checksums, Encapsulation, End, Fit, Headers, Mac, Nat, Packet, Path, PortId, Rewrite, Tunnel, checksum,
};

use crate::net::Lab;
use crate::random::Random;

const EPOCH: u8 = 7;
const SERVER: u16 = 5;
const PATH: u16 = 9;
const PORTS: (u16, u16) = (40_000, 80);
const ROOM: usize = 128;

/// A way of forwarding, as user space carries it out and as the program is told it.
struct Case {
    name: &'static str,
    is_v6: bool,
    rewrite: Rewrite,
    flow: FlowRewrite,
}

fn v4(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 1, 0, host).into()
}

fn v6(host: u16) -> IpAddr {
    Ipv6Addr::new(0xfd01, 0, 0, 0, 0xabcd, 0, 0, host).into()
}

fn tunnel(is_v6: bool, encapsulation: Encapsulation) -> Rewrite {
    let (local, remote) = if is_v6 { (v6(1), v6(2)) } else { (v4(1), v4(2)) };
    Rewrite::Tunnel(Tunnel { local, remote, encapsulation, pmtu_disc: true })
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for is_v6 in [false, true] {
        let address = if is_v6 { v6(77) } else { v4(77) };
        let nat = |end| Rewrite::Nat(Nat { end, addr: address, port: 8080 });
        let gue = Encapsulation::Gue { port: 6080, checksum: false };
        let gre = Encapsulation::Gre { checksum: false };
        // Which port depends on the flow.
        let tunnelled = FlowRewrite::Tunnel { gue_port: 0 };
        for (name, rewrite, flow) in [
            ("NAT to the server", nat(End::Destination), FlowRewrite::Destination),
            ("NAT to the client", nat(End::Source), FlowRewrite::Source { address, path: PATH }),
            ("direct routing", Rewrite::Direct, FlowRewrite::Direct),
            ("IPIP", tunnel(false, Encapsulation::Ipip), tunnelled),
            ("GUE", tunnel(false, gue), tunnelled),
            ("GRE", tunnel(false, gre), tunnelled),
            ("IPIP over IPv6", tunnel(true, Encapsulation::Ipip), tunnelled),
            ("GUE over IPv6", tunnel(true, gue), tunnelled),
            ("GRE over IPv6", tunnel(true, gre), tunnelled),
        ] {
            cases.push(Case { name, is_v6, rewrite, flow });
        }
    }
    cases
}

/// A frame as the flow's packets are, or nearly.
fn frame(dice: &mut Random, is_v6: bool, is_tcp: bool) -> Vec<u8> {
    let len = [0, 1, 2, 7, 100, 255, 256, 1000, 1431, 1459][dice.below(10)];
    let payload = dice.bytes(len);
    let (src, dst) = if is_v6 { (v6(10), v6(100)) } else { (v4(10), v4(100)) };
    let flags = if dice.one_in(12) { dice.byte() & 0x3f } else { 0x10 | (dice.byte() & 1) << 3 };
    let mut l4 = Vec::new();
    l4.extend(PORTS.0.to_be_bytes());
    l4.extend(PORTS.1.to_be_bytes());
    let (proto, at) = if is_tcp {
        l4.extend([
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
            if dice.one_in(20) { 0x40 } else { 0x50 },
            flags,
            1,
            0,
            0,
            0,
            0,
            0,
        ]);
        (Proto::TCP, 16)
    } else {
        let length = u16::try_from(8 + payload.len()).unwrap();
        let said = if dice.one_in(20) { length.saturating_sub(1).max(8) } else { length };
        l4.extend(said.to_be_bytes());
        l4.extend([0, 0]);
        (Proto::UDP, 6)
    };
    l4.extend(&payload);
    let covered = if is_tcp { l4.len() } else { usize::from(u16::from_be_bytes([l4[4], l4[5]])) };
    let pseudo = checksum::pseudo_header(src, dst, proto, covered);
    let sum = match dice.below(4) {
        // As a kernel leaves it for its device.
        0 => pseudo.fold(),
        1 if !is_tcp && dice.one_in(2) => 0,
        2 if dice.one_in(4) => 0x1234,
        _ => pseudo.bytes(&l4[..covered]).checksum(),
    };
    l4[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    let ttl = if dice.one_in(12) { dice.byte() % 3 } else { 2 + dice.byte() % 254 };
    let tos = dice.byte();
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    if is_v6 {
        frame.extend([0x86, 0xdd, 0x60 | tos >> 4, tos << 4, 0, 0]);
        frame.extend(u16::try_from(l4.len()).unwrap().to_be_bytes());
        frame.extend([proto.0, ttl]);
        for address in [src, dst] {
            let IpAddr::V6(address) = address else { unreachable!() };
            frame.extend(address.octets());
        }
    } else {
        frame.extend([0x08, 0, 0x45, tos]);
        frame.extend(u16::try_from(20 + l4.len()).unwrap().to_be_bytes());
        let word = if dice.one_in(20) { 0x20 } else { [0, 0x40][dice.below(2)] };
        frame.extend([dice.byte(), 9, word, 0, ttl, proto.0, 0, 0]);
        for address in [src, dst] {
            let IpAddr::V4(address) = address else { unreachable!() };
            frame.extend(address.octets());
        }
        let mut sum = checksum::Sum::ZERO.bytes(&frame[14..34]).checksum();
        if dice.one_in(20) {
            sum ^= 0x100;
        }
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    frame.extend(l4);
    if frame.len() < 60 && dice.one_in(2) {
        frame.resize(60, 0);
    }
    if dice.one_in(30) {
        let len = frame.len() - 1;
        frame.truncate(len.max(14));
    }
    frame
}

fn path(mtu: u16) -> Path {
    let (src_mac, dst_mac) = (Mac([2, 0, 0, 0, 9, 1]), Mac([2, 0, 0, 0, 9, 2]));
    Path { port: PortId(1), src_mac, dst_mac, mtu, checksums: Checksums::Computed }
}

/// What user space makes of a frame; nothing where it is not simply rewritten and sent.
fn by_user_space(case: &Case, frame: &[u8], mtu: u16) -> Option<Vec<u8>> {
    let mut buffer = vec![0; ROOM];
    buffer.extend(frame);
    buffer.resize(buffer.len() + ROOM, 0);
    let mut packet = Packet::new(&mut buffer, ROOM, frame.len());
    let headers = Headers::parse(packet.bytes()).ok()?;
    if headers.fragment.is_some() {
        return None;
    }
    (case.rewrite.apply(&mut packet, &headers, &path(mtu), 0) == Ok(Fit::Whole))
        .then(|| packet.bytes().to_vec())
}

/// True where the program has to leave the packet to user space: the state of its connection may change, or NAT
/// has to make a checksum where there was none.
fn is_left(case: &Case, frame: &[u8]) -> bool {
    let headers = Headers::parse(frame).unwrap();
    let is_nat = matches!(case.rewrite, Rewrite::Nat(_));
    let transport = headers.transport_bytes(frame);
    match headers.proto {
        Proto::TCP => headers.tcp_flags() & 0x17 != 0x10,
        _ => is_nat && transport[6..8] == [0, 0],
    }
}

/// The identification of an outer header that may be fragmented is chance, and its checksum with it.
fn without_chance(case: &Case, mut frame: Vec<u8>) -> Vec<u8> {
    if matches!(case.rewrite, Rewrite::Tunnel(_)) && frame[12..14] == [8, 0] && frame[20] & 0x40 == 0 {
        let sum = checksum::Sum::ZERO.bytes(&frame[14..34]);
        assert!(checksum::is_right(sum), "the outer header's checksum");
        frame[18..20].fill(0);
        frame[24..26].fill(0);
    }
    frame
}

fn key_of(is_v6: bool, proto: Proto) -> FlowKey {
    let (src, dst) = if is_v6 { (v6(10), v6(100)) } else { (v4(10), v4(100)) };
    FlowKey { proto, src, src_port: PORTS.0, dst, dst_port: PORTS.1 }
}

fn install(program: &Program, case: &Case, mtu: u16, egress: Egress, is_tcp: bool) -> FlowKey {
    let flows = program.flows();
    let tunnel = match case.rewrite {
        Rewrite::Tunnel(tunnel) => Some(tunnel),
        Rewrite::Nat(_) | Rewrite::Direct => None,
    };
    let way = Some((egress, path(mtu)));
    // A reply's way and address are its own: the server's are not to be looked at.
    let is_reply = matches!(case.flow, FlowRewrite::Source { .. });
    let (its, last) = if is_reply { (None, 78) } else { (way, 77) };
    let address = if case.is_v6 { v6(last) } else { v4(u8::try_from(last).unwrap()) };
    let server = FlowServer { way: its, address, tunnel, identity: [1; IDENTITY], is_there: true };
    flows.set_server(SERVER, &server).unwrap();
    flows.set_path(PATH, way).unwrap();
    flows.set_epoch(EPOCH, 1234).unwrap();
    let key = key_of(case.is_v6, if is_tcp { Proto::TCP } else { Proto::UDP });
    let mut rewrite = case.flow;
    if let FlowRewrite::Tunnel { gue_port } = &mut rewrite {
        *gue_port = gue_source_port(&key);
    }
    let flow =
        Flow { rewrite, port: 8080, epoch: EPOCH, server: SERVER, seen: 0, packets: 0, is_closed: false };
    assert_ne!(flows.insert(&key, &flow), Inserted::NoRoom);
    assert_eq!(flows.get(&key), Some(flow), "what is written is read");
    key
}

/// The lab's director with the program on both legs, neither of which can be redirected to without GRO at its peer.
fn program(lab: &Lab) -> (Program, Egress, u32) {
    let (client, server) = (&lab.client, &lab.server);
    lab.director.enter(|| {
        let program = Program::load_with_flows(Families::both(64)).unwrap();
        for leg in ["d0", "d1"] {
            program.attach(leg, None).unwrap();
            assert!(program.egress(leg).unwrap().is_err(), "a veth's peer drops what is redirected to it");
        }
        client.enter(|| crate::net::run("ethtool -K c0 gro on"));
        server.enter(|| crate::net::run("ethtool -K s0 gro on"));
        let [near, far] = ["d0", "d1"].map(|leg| program.egress(leg).unwrap().unwrap());
        (program, far, near.ifindex)
    })
}

#[test]
#[ignore = "needs root"]
fn a_known_flows_packets_leave_as_user_space_would_send_them() {
    let lab = Lab::new();
    let (program, egress, ingress) = program(&lab);
    println!("lvsd_xdp has {} instructions", program.instructions().unwrap());
    let mut dice = Random(0x1234_5678_9abc_def1);
    let (mut forwarded, mut left) = (0, 0);
    for round in 0..36 {
        for case in cases() {
            let is_tcp = dice.one_in(2);
            let mtu = [1500, 1400, 1280, 600][dice.below(4)];
            let one_armed = round % 3 == 0;
            let out = if one_armed { Egress { ifindex: ingress, transmits: true, ..egress } } else { egress };
            let mut key = install(&program, &case, mtu, out, is_tcp);
            let mut packets = 0;
            for _ in 0..12 {
                let frame = frame(&mut dice, case.is_v6, is_tcp);
                let expected = by_user_space(&case, &frame, mtu);
                let name = (case.name, case.is_v6, is_tcp, mtu, frame.len());
                let Trial { action, frame: after } =
                    lab.director.enter(|| program.try_frame(&frame, ingress).unwrap());
                match expected {
                    Some(expected) if !is_left(&case, &frame) => {
                        let right = if one_armed { Action::Transmit } else { Action::Redirect };
                        assert_eq!(action, right, "{name:?} {frame:02x?}");
                        let (after, expected) =
                            (without_chance(&case, after), without_chance(&case, expected));
                        assert_eq!(after, expected, "{name:?} from\n{frame:02x?}");
                        packets += 1;
                        forwarded += 1;
                    }
                    _ => {
                        assert_eq!(action, Action::Pass, "{name:?}");
                        assert_eq!(after, frame, "{name:?}: what is left is left as it was");
                        left += 1;
                        key = install(&program, &case, mtu, out, is_tcp);
                        packets = 0;
                    }
                }
            }
            let flow = program.flows().remove(&key).unwrap();
            assert_eq!((flow.packets, flow.seen), (packets, if packets > 0 { 1234 } else { 0 }));
        }
    }
    assert!(forwarded > 4000 && left > 500, "{forwarded} forwarded, {left} left");
    let outcomes = program.flows().outcomes().unwrap();
    assert_eq!(outcomes.forwarded, forwarded);
}

fn plain(is_tcp: bool, flags: u8) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([4; 6], crate::frames::TO).ipv4(
        [10, 1, 0, 10],
        [10, 1, 0, 100],
        64,
    );
    let mut frame = Vec::new();
    if is_tcp {
        builder.tcp(PORTS.0, PORTS.1, 1, 1).ack(1).write(&mut frame, b"data").unwrap();
        frame[47] = flags;
        frame[50..52].copy_from_slice(&[0, 0]);
        let headers = Headers::parse(&frame).unwrap();
        let pseudo = checksum::pseudo_header(headers.src, headers.dst, headers.proto, frame.len() - 34);
        frame[50..52].copy_from_slice(&pseudo.fold().to_be_bytes());
        complete_partial(&mut frame, &headers);
    } else {
        builder.udp(PORTS.0, PORTS.1).write(&mut frame, b"data").unwrap();
    }
    frame
}

#[test]
#[ignore = "needs root"]
fn behind_the_end_of_a_connection_both_its_flows_are_left() {
    let lab = Lab::new();
    let (program, egress, ingress) = program(&lab);
    let case = &cases()[0];
    for end in [0x11, 0x12, 0x14, 0x04, 0x00] {
        let key = install(&program, case, 1500, egress, true);
        let back = FlowKey { src: v4(77), src_port: 8080, ..key.reversed() };
        let flow = program.flows().get(&key).unwrap();
        let rewrite = FlowRewrite::Source { address: key.dst, path: PATH };
        let reply = Flow { rewrite, port: key.dst_port, ..flow };
        assert_ne!(program.flows().insert(&back, &reply), Inserted::NoRoom);
        let run = |frame: &[u8]| lab.director.enter(|| program.try_frame(frame, ingress).unwrap().action);
        assert_eq!(run(&plain(true, 0x10)), Action::Redirect);
        assert_eq!(run(&plain(true, end)), Action::Pass);
        assert_eq!(run(&plain(true, 0x10)), Action::Pass, "flags {end:#x}");
        assert!(program.flows().get(&back).unwrap().is_closed, "flags {end:#x}");
    }
    assert_eq!(program.flows().outcomes().unwrap().forwarded, 5);
}

#[test]
#[ignore = "needs root"]
fn a_decision_counts_while_its_epoch_its_server_and_its_way_do() {
    let lab = Lab::new();
    let (program, egress, ingress) = program(&lab);
    let case = &cases()[0];
    let key = install(&program, case, 1500, egress, false);
    let run = || lab.director.enter(|| program.try_frame(&plain(false, 0), ingress).unwrap().action);
    let flows = program.flows();
    assert_eq!(run(), Action::Redirect);
    let others = crate::frames::to_mac(plain(false, 0), [2, 0, 0, 0, 0, 3]);
    let trial = lab.director.enter(|| program.try_frame(&others, ingress).unwrap());
    assert_eq!((trial.action, trial.frame), (Action::Pass, others), "another's frame that was flooded");
    flows.set_epoch(EPOCH + 1, 0).unwrap();
    assert_eq!(run(), Action::Pass);
    flows.set_epoch(0, 0).unwrap();
    assert_eq!(run(), Action::Pass);
    flows.set_epoch(EPOCH, 0).unwrap();
    assert_eq!(run(), Action::Redirect);
    let way = Some((egress, path(1500)));
    let address = v4(77);
    let gone = FlowServer { way, address, tunnel: None, identity: [1; IDENTITY], is_there: false };
    flows.set_server(SERVER, &gone).unwrap();
    assert_eq!(run(), Action::Pass);
    flows.set_server(SERVER, &FlowServer { way: None, is_there: true, ..gone }).unwrap();
    assert_eq!(run(), Action::Pass);
    flows.set_server(SERVER, &FlowServer { is_there: true, ..gone }).unwrap();
    assert_eq!(run(), Action::Redirect);
    flows.forget_epochs();
    assert_eq!(run(), Action::Pass, "the number of the epoch is free for another");
    let tally = flows.tally(SERVER).unwrap();
    assert_eq!((tally.in_packets, tally.in_bytes, tally.out_packets), (3, 3 * 32, 0));
    assert_eq!(flows.get(&key).unwrap().packets, 3);
    assert_ne!(flows.get(&key).unwrap().seen, 0, "the kernel's own clock");
}

#[test]
#[ignore = "needs root"]
fn each_reply_comes_from_the_address_that_was_asked() {
    let lab = Lab::new();
    let (program, egress, ingress) = program(&lab);
    for case in cases().iter().filter(|case| matches!(case.flow, FlowRewrite::Source { .. })) {
        let first = install(&program, case, 1500, egress, false);
        let flow = program.flows().get(&first).unwrap();
        let frame = frame_of(case.is_v6);
        let at = if case.is_v6 { 22..38 } else { 26..30 };
        // One goes, and its address's place is another's.
        for host in [1, 2, 1, 3, 4] {
            let address = if case.is_v6 { v6(host) } else { v4(u8::try_from(host).unwrap()) };
            let rewrite = FlowRewrite::Source { address, path: PATH };
            assert_eq!(program.flows().insert(&first, &Flow { rewrite, ..flow }), Inserted::Replaced);
            let trial = lab.director.enter(|| program.try_frame(&frame, ingress).unwrap());
            let octets = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            assert_eq!(trial.frame[at.clone()], octets, "{address}");
        }
        assert_eq!(program.flows().remove(&first).unwrap().packets, 1);
    }
}

#[test]
#[ignore = "needs root"]
fn the_servers_are_known_again_wherever_they_are() {
    let lab = Lab::new();
    let (program, egress, _) = program(&lab);
    let way = Some((egress, path(1500)));
    // Those that are there, from the first place to the last one.
    let there = [(0, true), (1, false), (1023, true), (1024, true), (9000, false), (SERVERS - 1, true)];
    let identity = |place: u16| std::array::from_fn(|octet| place.to_be_bytes()[octet % 2]);
    for (place, is_there) in there {
        let server = FlowServer { way, address: v4(77), tunnel: None, identity: identity(place), is_there };
        program.flows().set_server(place, &server).unwrap();
    }
    let right = there.iter().filter(|(_, is_there)| *is_there).map(|&(place, _)| (place, identity(place)));
    let right: Vec<_> = right.collect();
    assert_eq!(program.flows().identities().unwrap(), right);
}

#[test]
#[ignore = "needs root"]
fn a_full_cache_takes_no_more_and_tells() {
    let lab = Lab::new();
    let (program, ..) = program(&lab);
    let flows = program.flows();
    let flow = |host: u8| {
        let key = FlowKey { proto: Proto::UDP, src: v4(host), src_port: 1, dst: v4(100), dst_port: 1 };
        let flow = Flow {
            rewrite: FlowRewrite::Direct,
            port: 1,
            epoch: 1,
            server: 1,
            seen: 0,
            packets: u32::from(host),
            is_closed: false,
        };
        (key, flow)
    };
    let taken = (0..100)
        .filter(|&host| {
            let (key, flow) = flow(host);
            flows.insert(&key, &flow) == Inserted::New
        })
        .count();
    assert_eq!(taken, 64);
    let mut seen = Vec::new();
    flows.for_each(|key, flow| seen.push((key.src, flow.packets)));
    seen.sort_unstable();
    assert_eq!(seen, (0..64).map(|host| (v4(host), u32::from(host))).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs root"]
fn of_thousands_of_flows_the_program_finds_each_and_no_other() {
    const FLOWS: u16 = 3000;
    let lab = Lab::new();
    let (_, egress, ingress) = program(&lab);
    let program = lab.director.enter(|| {
        let program = Program::load_with_flows(Families::both(FLOWS.into())).unwrap();
        for leg in ["d0", "d1"] {
            program.attach(leg, None).unwrap();
        }
        program
    });
    for case in cases().iter().filter(|case| case.name == "direct routing") {
        let first = install(&program, case, 1500, egress, false);
        let flow = program.flows().get(&first).unwrap();
        program.flows().remove(&first).unwrap();
        let key = |port| FlowKey { src_port: port, ..first };
        for port in 0..FLOWS {
            assert_eq!(program.flows().insert(&key(port), &flow), Inserted::New);
        }
        let mut frame = frame_of(case.is_v6);
        let at = if case.is_v6 { 54 } else { 34 };
        for port in 0..2 * FLOWS {
            frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
            let Trial { action, .. } = lab.director.enter(|| program.try_frame(&frame, ingress).unwrap());
            let right = if port < FLOWS { Action::Redirect } else { Action::Pass };
            assert_eq!(action, right, "{port} {}", case.is_v6);
        }
        assert!((0..FLOWS).all(|port| program.flows().remove(&key(port)).unwrap().packets == 1));
    }
}

/// A datagram of the flow's, without a checksum where that may be.
fn frame_of(is_v6: bool) -> Vec<u8> {
    let (IpAddr::V6(src), IpAddr::V6(dst)) = (v6(10), v6(100)) else { unreachable!() };
    if !is_v6 {
        return plain(false, 0);
    }
    let mut frame = Vec::new();
    let builder =
        etherparse::PacketBuilder::ethernet2([4; 6], crate::frames::TO).ipv6(src.octets(), dst.octets(), 64);
    builder.udp(PORTS.0, PORTS.1).write(&mut frame, b"data").unwrap();
    frame
}
