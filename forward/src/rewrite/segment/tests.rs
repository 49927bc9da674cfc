//! Segments against etherparse, which computes their checksums anew.

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};

use super::*;

const SACKS: [u8; 20] = [1, 5, 18, 0, 0, 0, 200, 0, 0, 0, 210, 0, 0, 1, 44, 0, 0, 1, 54, 0];

/// An Ethernet frame with a TCP segment; an odd number of octets stands before the selective acknowledgements.
fn segment(v6: bool, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let builder = if v6 {
        builder.ipv6([1; 16], [2; 16], 64)
    } else {
        builder.ipv4([10, 0, 0, 11], [198, 51, 100, 7], 64)
    };
    let tcp = builder.tcp(21, 4000, 100, 1000).ack(190).options_raw(&SACKS).unwrap();
    let mut frame = Vec::new();
    tcp.write(&mut frame, payload).unwrap();
    frame
}

/// The segment as another reader understands it; its checksums and lengths must be right.
fn read(frame: &[u8]) -> (etherparse::TcpHeader, Vec<u8>) {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let net = sliced.net.unwrap();
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
    let header = tcp.to_header();
    let checksum = match &net {
        etherparse::NetSlice::Ipv4(ip) => {
            let ip = ip.header().to_header();
            assert_eq!(ip.calc_header_checksum(), ip.header_checksum);
            header.calc_checksum_ipv4(&ip, tcp.payload())
        }
        etherparse::NetSlice::Ipv6(ip) => header.calc_checksum_ipv6(&ip.header().to_header(), tcp.payload()),
        etherparse::NetSlice::Arp(_) => panic!("ARP"),
    };
    assert_eq!(checksum.unwrap(), header.checksum);
    (header, tcp.payload().to_vec())
}

/// Replaces `range` by `text` in a buffer with `room` octets behind the frame.
fn replaced(frame: &[u8], room: usize, range: Range<usize>, text: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut headers = Headers::parse(frame).unwrap();
    let mut buffer = frame.to_vec();
    buffer.resize(frame.len() + room, 0xee);
    let mut packet = Packet::new(&mut buffer, 0, frame.len());
    let done = replace(&mut packet, &mut headers, range, text);
    if done.is_err() {
        assert_eq!(packet.bytes(), frame, "it is as it was");
    } else {
        assert_eq!(headers, Headers::parse(packet.bytes()).unwrap());
    }
    done.map(|()| packet.bytes().to_vec())
}

#[test]
fn a_payload_grows_shrinks_and_stays_and_all_lengths_and_checksums_follow() {
    for v6 in [false, true] {
        let frame = segment(v6, b"227 (10,2,0,11,200,10).\r\n");
        for text in ["203,113,113,113,200,10", "10,9,9,9,200,10", "10,2,0,99,200,10", ""] {
            let whole = replaced(&frame, 8, 5..21, text.as_bytes()).unwrap();
            let (header, payload) = read(&whole);
            assert_eq!(payload, format!("227 ({text}).\r\n").as_bytes(), "{v6}");
            assert_eq!((header.sequence_number, header.options.as_slice()), (100, &SACKS[..]));
        }
    }
}

#[test]
fn ethernet_padding_goes_and_is_no_payload() {
    let mut frame = segment(false, b"PA");
    frame.extend([0; 7]);
    assert_eq!(payload(&frame, &Headers::parse(&frame).unwrap()), Some(&b"PA"[..]));
    assert_eq!(read(&replaced(&frame, 0, 0..2, b"abcd").unwrap()).1, b"abcd");
}

#[test]
fn what_cannot_be_replaced_stays_as_it_was() {
    let frame = segment(false, b"abc");
    assert_eq!(replaced(&frame, 1, 0..1, b"xyz"), Err(DropReason::NoRoom));
    assert_eq!(replaced(&frame, 8, 2..4, b"x"), Err(DropReason::BadL4Header));
    let mut wrong = frame;
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(replaced(&wrong, 8, 0..1, b"x"), Err(DropReason::BadL4Checksum));
}

#[test]
fn a_checksum_left_to_the_device_is_completed() {
    let mut frame = segment(true, b"abc");
    let headers = Headers::parse(&frame).unwrap();
    leave_checksum(&mut frame, &headers);
    assert!(l4::is_partial(&frame, &headers));
    let mut moved = frame.clone();
    renumber(&mut moved, &headers, |_| 7, |_| 8);
    assert!(l4::is_partial(&moved, &headers), "it covers no more than the pseudo-header");
    assert_eq!(read(&replaced(&frame, 1, 3..3, b"d").unwrap()).1, b"abcd");
}

#[test]
fn sequence_numbers_move_with_selective_acknowledgements_wherever_they_stand() {
    for v6 in [false, true] {
        let mut frame = segment(v6, b"abc");
        let headers = Headers::parse(&frame).unwrap();
        renumber(&mut frame, &headers, |sequence| sequence.wrapping_sub(101), |seen| seen + 1);
        let (header, _) = read(&frame);
        assert_eq!((header.sequence_number, header.acknowledgment_number), (u32::MAX, 191));
        let edges: Vec<u8> = header.options.as_slice().iter().copied().skip(6).step_by(4).collect();
        assert_eq!(edges, [201, 211, 45, 55]);
    }
}

#[test]
fn options_that_contradict_themselves_end_the_search() {
    for options in [[5, 0, 1, 1], [5, 18, 1, 1], [5, 10, 0, 0], [8, 1, 5, 10], [1, 1, 1, 5], [1, 1, 1, 200]] {
        let builder = PacketBuilder::ethernet2([2; 6], [2; 6]).ipv4([10, 0, 0, 11], [198, 51, 100, 7], 64);
        let mut frame = Vec::new();
        builder.tcp(21, 4000, 100, 1000).ack(190).write(&mut frame, &[0; 6]).unwrap();
        // Four octets of the payload become options.
        frame[46] = 0x60;
        frame[54..58].copy_from_slice(&options);
        let headers = Headers::parse(&frame).unwrap();
        renumber(&mut frame, &headers, |sequence| sequence, |seen| seen + 1);
        assert_eq!(frame[54..58], options);
    }
}
