//! The host behind the director in a replay: as far as its frames are recorded, it routes on what is not for itself
//! and refuses datagrams that nobody listens for. What its TCP and its echo say is not replayed.

use lvs_conntrack::Tick;
use lvs_forward::checksum::{is_right, pseudo_header};
use lvs_forward::icmp::Error;
use lvs_forward::{DropReason, Fit, Headers, Packet, PortId, Refused, Rewrite, Transport, fragment};

use crate::director::Director;
use crate::mark::Candidate;
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

/// Where UDP's checksum stands in its header.
const UDP_CHECKSUM: usize = 6;

/// Takes a packet that the director left to the host; `emit` is given what leaves because of it.
pub(super) fn receive(
    director: &mut Director,
    snapshot: &Snapshot,
    packet: &mut Packet<'_>,
    now: Tick,
    emit: &mut dyn FnMut(PortId, &[u8]),
) {
    let Ok(headers) = Headers::parse(packet.bytes()) else { return };
    let error = match way(snapshot, &headers) {
        Ok(NextHop::Local) if is_unheard(packet.bytes(), &headers) => Error::PortUnreachable,
        Ok(NextHop::Ready(path)) => match Rewrite::Direct.apply(packet, &headers, &path, 0) {
            Ok(Fit::Whole) => return emit(path.port, packet.bytes()),
            Ok(Fit::Oversized) => {
                let mut others = Vec::new();
                if fragment::split(packet, path.mtu, 0, |frame| others.push(frame.to_vec())).is_ok() {
                    emit(path.port, packet.bytes());
                    for frame in &others {
                        emit(path.port, frame);
                    }
                }
                return;
            }
            Err(Refused::TtlExceeded) => Error::TimeExceeded,
            Err(Refused::TooBig(mtu)) => Error::TooBig(mtu),
            Err(Refused::Dropped(_)) => return,
        },
        Ok(NextHop::Local | NextHop::Awaiting(..)) | Err(_) => return,
    };
    if let Some(port) = director.speak_for_host(error, packet, now) {
        emit(port, packet.bytes());
    }
}

/// Where the host's routing leads the packet: by its destination, or to the host itself for its mark's sake.
fn way(snapshot: &Snapshot, headers: &Headers) -> Result<NextHop, DropReason> {
    let key = &headers.flow();
    let mark = snapshot.marks.mark(Candidate { key, ingress: PortId(0) });
    if snapshot.fib.takes_in(mark, headers.dst) {
        Ok(NextHop::Local)
    } else {
        snapshot.fib.lookup(headers.dst)
    }
}

/// True for a whole datagram whose checksum is right: nobody listens in a replay.
fn is_unheard(frame: &[u8], headers: &Headers) -> bool {
    let Transport::Udp { .. } = headers.transport else { return false };
    let bytes = headers.transport_bytes(frame);
    let has_none = bytes.get(UDP_CHECKSUM..UDP_CHECKSUM + 2) == Some(&[0, 0]);
    let sum = || pseudo_header(headers.src, headers.dst, headers.proto, bytes.len()).bytes(bytes);
    headers.fragment.is_none() && if has_none { !headers.is_ipv6() } else { is_right(sum()) }
}
