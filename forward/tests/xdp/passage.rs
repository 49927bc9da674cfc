//! Frames through the device: each once, in order, grown or injected, and none lost without a name.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lvs_forward::io::xdp::{DeviceConfig, Mode, PortConfig, Program, XdpDevice};
use lvs_forward::io::{Burst, PacketIo};
use lvs_forward::{DropReason, PortId, Verdict};

use crate::director::{Director, IN, OUT, claims};
use crate::net::{CLIENT, DIRECTOR, Lab, SERVER, VIP};
use crate::{frames, net};

/// Sends `count` datagrams to the VIP in bursts of 200 while the director forwards them; the sum of its bursts.
fn forward(lab: &Lab, director: &mut Director, count: u32, out: PortId) -> Burst {
    let client = lab.client.raw("c0");
    let mut sum = Burst::default();
    let mut next = 0;
    while next < count {
        let burst = 200.min(count - next);
        for number in next..next + burst {
            client.send(&frames::udp((CLIENT, 4000), (VIP, 5000), &number.to_be_bytes()));
        }
        next += burst;
        let done = director.serve(
            |port, packet| {
                assert_eq!(port, IN);
                packet.bytes_mut()[11] = 0xee;
                Verdict::Send(out)
            },
            |sum| sum.received == u64::from(burst),
        );
        sum.received += done.received;
        sum.sent += done.sent;
        sum.dropped += done.dropped;
    }
    sum
}

/// The numbers in the datagrams the director marked, as they arrived at `raw`.
fn numbers(raw: &net::Raw) -> Vec<u32> {
    std::iter::from_fn(|| raw.take())
        .filter(|frame| frame.get(11) == Some(&0xee) && frame.len() >= 46)
        .map(|frame| u32::from_be_bytes(*frame[42..].first_chunk().unwrap()))
        .collect()
}

#[test]
#[ignore = "needs root"]
fn thousands_of_frames_cross_two_legs_each_once_and_in_order() {
    for (wish, mode) in [(None, Mode::Native), (Some(Mode::Generic), Mode::Generic)] {
        let lab = Lab::new();
        let mut director = Director::open(&lab, &["d0", "d1"], wish);
        assert_eq!(director.program.attached(), [("d0".to_owned(), mode), ("d1".to_owned(), mode)]);
        let server = lab.server.raw("s0");
        let sum = forward(&lab, &mut director, 10_000, OUT);
        assert_eq!((sum.received, sum.sent, sum.dropped), (10_000, 10_000, 0), "{mode:?}");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(numbers(&server), (0..10_000).collect::<Vec<_>>(), "{mode:?}");
        let lost = director.device.statistics(IN).unwrap().unwrap();
        assert_eq!((lost.rx_dropped, lost.rx_ring_full), (0, 0));
    }
}

#[test]
#[ignore = "needs root"]
fn one_leg_sends_back_out_of_where_it_came_from() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0"], None);
    let client = lab.client.raw("c0");
    let sum = forward(&lab, &mut director, 3_000, IN);
    assert_eq!((sum.received, sum.sent), (3_000, 3_000));
    assert_eq!(numbers(&client), (0..3_000).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs root"]
fn a_full_transmit_ring_drops_by_name_and_loses_no_frame() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    lab.director.ip("link set d1 down");
    let sum = forward(&lab, &mut director, 3_000, OUT);
    assert_eq!((sum.received, sum.sent, sum.dropped), (3_000, 2_048, 952));
    let full = director.drops.iter().find(|&(reason, _)| reason == DropReason::TxFull).unwrap().1;
    assert_eq!(full, 952);

    lab.director.ip("link set d1 up");
    let server = lab.server.raw("s0");
    std::thread::sleep(Duration::from_millis(50));
    director.serve(|_, _| Verdict::Hold, |_| false);
    assert_eq!(numbers(&server).len(), 2_048, "what waited leaves when the link is up");
}

#[test]
#[ignore = "needs root"]
fn a_frame_grows_by_a_tunnels_header_and_one_moved_to_the_front_room_is_sent_whole() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let (client, server) = (lab.client.raw("c0"), lab.server.raw("s0"));
    let frame = frames::udp((CLIENT, 4000), (VIP, 5000), &[7; 1400]);
    client.send(&frame);
    director.serve(
        |_, packet| {
            packet.insert(14, 60).unwrap();
            packet.bytes_mut()[14..74].fill(0xaa);
            Verdict::Send(OUT)
        },
        |sum| sum.received == 1,
    );
    let grown = server.find(|seen| seen.len() == frame.len() + 60).expect("the grown frame");
    assert_eq!((&grown[..14], &grown[14..74], &grown[74..]), (&frame[..14], &[0xaa; 60][..], &frame[14..]));
}

#[test]
#[ignore = "needs root"]
fn injected_frames_and_answers_leave_and_are_counted() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let (client, server) = (lab.client.raw("c0"), lab.server.raw("s0"));
    let injected = frames::udp((DIRECTOR, 1), (SERVER, 1), b"injected");
    director.device.inject(OUT, &injected).unwrap();
    client.send(&frames::udp((CLIENT, 4000), (VIP, 5000), b"question"));
    let answer = frames::udp((VIP, 5000), (CLIENT, 4000), b"answer");
    let sum = director.serve(
        |port, packet| {
            packet.resize(answer.len()).unwrap();
            packet.bytes_mut().copy_from_slice(&answer);
            Verdict::Answer(port, DropReason::TtlExceeded)
        },
        |sum| sum.received == 1,
    );
    assert_eq!((sum.received, sum.dropped, sum.originated), (1, 1, 2));
    assert!(server.find(|frame| frame == injected).is_some());
    assert!(client.find(|frame| frame == answer).is_some());

    let refused = |out, frame: &[u8], device: &mut XdpDevice| device.inject(out, frame).unwrap_err().kind();
    assert_eq!(refused(PortId(2), &injected, &mut director.device), io::ErrorKind::NotFound);
    assert_eq!(refused(OUT, &[0; 5000], &mut director.device), io::ErrorKind::InvalidInput);
    assert!(director.device.is_balanced());
}

#[test]
#[ignore = "needs root"]
fn one_burst_sends_more_than_the_kernel_takes_in_a_call() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let server = lab.server.raw("s0");
    let mut frame = frames::udp((DIRECTOR, 1), (SERVER, 1), &[0; 4]);
    frame[11] = 0xee;
    for number in 0..200_u32 {
        frame[42..46].copy_from_slice(&number.to_be_bytes());
        director.device.inject(OUT, &frame).unwrap();
    }
    assert_eq!(director.device.poll(64, |_, _| Verdict::Hold).unwrap().originated, 200);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(numbers(&server), (0..200).collect::<Vec<_>>());
    assert!(director.device.is_balanced());
}

#[test]
#[ignore = "needs root"]
fn every_queue_of_an_interface_is_served() {
    let lab = Lab::with_queues(2);
    lab.director.enter(|| {
        let interfaces = ["d0".to_owned(), "d1".to_owned()];
        let shared = DeviceConfig::share(&interfaces, 8).unwrap();
        assert_eq!(shared.len(), 2, "as many workers as queues");
        let program = Program::load().unwrap();
        program.claim(&claims()).unwrap();
        for interface in &interfaces {
            program.attach(interface, None).unwrap();
        }
        let open = |ports: Vec<PortConfig>| {
            let config = DeviceConfig { spin: 0, ..DeviceConfig::new(ports) };
            XdpDevice::open(&program, &config, None, Arc::default()).unwrap()
        };
        let mut workers: Vec<XdpDevice> = shared.into_iter().map(open).collect();
        let client = lab.client.raw("c0");
        let mut received = [0, 0];
        for port in 0..64 {
            client.send(&frames::udp((CLIENT, 4000 + port), (VIP, 5000), b"x"));
        }
        for _ in 0..50 {
            for (worker, received) in workers.iter_mut().zip(&mut received) {
                *received += worker.poll(64, |_, _| Verdict::Send(OUT)).unwrap().sent;
                worker.wait(Duration::from_millis(1)).unwrap();
            }
        }
        assert_eq!(received[0] + received[1], 64, "{received:?}");
        assert!(received[0] > 0 && received[1] > 0, "{received:?}");
        drop(workers);

        let one = DeviceConfig::share(&interfaces, 1).unwrap();
        assert_eq!(one[0][0].queues, [0, 1], "one worker serves both queues");
        let mut worker = open(one[0].clone());
        for port in 0..64 {
            client.send(&frames::udp((CLIENT, 4000 + port), (VIP, 5000), b"x"));
        }
        let mut sent = 0;
        for _ in 0..50 {
            sent += worker.poll(64, |_, _| Verdict::Send(OUT)).unwrap().sent;
            worker.wait(Duration::from_millis(1)).unwrap();
        }
        assert_eq!(sent, 64);
        assert!(worker.is_balanced());
    });
}
