//! What becomes of a packet, and the name of every reason to drop one.

use std::sync::atomic::{AtomicU64, Ordering};

/// One interface of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u16);

impl PortId {
    /// The host's own stack, as the interface that what it sends itself comes from.
    pub const HOST: Self = Self(u16::MAX);

    /// The port as an index into a worker's interfaces.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What becomes of a received packet. Each received packet gets exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forwarded: the frame, as it is now, leaves through this port.
    Send(PortId),
    /// Handed to the host's own stack, as it came.
    ToHost,
    /// Dropped for this reason.
    Drop(DropReason),
    /// Dropped for this reason, and the buffer now holds the director's own answer to the sender (an ICMP
    /// error, say), which leaves through this port.
    Answer(PortId, DropReason),
    /// Kept by the director (copied out), to be sent or dropped later: a neighbour is being asked for, a
    /// datagram's other fragments are awaited.
    Hold,
}

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal,)+) => {
        /// Why a packet was dropped; the label is written once and serves the counters, the command and the tests.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $doc])+ $name,)+ }

        impl DropReason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The reason's name in counters and tables.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// The reason in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

drop_reasons! {
    /// The frame ends before its headers do.
    Truncated = "truncated",
    /// An IP header that contradicts itself: version, header length or total length.
    BadIpHeader = "bad-ip-header",
    /// The IPv4 header's checksum is wrong.
    BadIpChecksum = "bad-ip-checksum",
    /// A TCP, UDP or SCTP header that contradicts itself.
    BadL4Header = "bad-l4-header",
    /// A checksum above IP that is wrong where the director had to know.
    BadL4Checksum = "bad-l4-checksum",
    /// IPv4 source routing.
    SourceRoute = "source-route",
    /// A chain of IPv6 extension headers longer than the director follows.
    ExtensionChain = "extension-chain",
    /// IPv4 options or IPv6 extension headers, which the configuration does not let pass.
    IpOptions = "ip-options",
    /// A source address no packet may have: multicast, broadcast, loopback, 0/8.
    MartianSource = "martian-source",
    /// A fragment that is too small to hold the ports, or overlaps another.
    BadFragment = "bad-fragment",
    /// A fragment whose first part has not come, or not in time.
    FragmentUnmatched = "fragment-unmatched",
    /// More fragments are waiting than may wait.
    FragmentsFull = "fragments-full",
    /// TTL or hop limit used up.
    TtlExceeded = "ttl-exceeded",
    /// Larger than the way to the real server takes, and not to be fragmented.
    TooBig = "too-big",
    /// No real server of the service accepts new connections.
    NoServer = "no-server",
    /// The connection's real server was removed.
    ServerGone = "server-gone",
    /// The table of connections is full.
    TableFull = "table-full",
    /// A new connection that must wait for an old one with the same ports to be forgotten.
    ConnectionReuse = "connection-reuse",
    /// No Call-ID in a packet whose service keeps calls together by it (`--pe sip`).
    NoCallId = "no-call-id",
    /// A new connection refused by the defence against attacks (`drop_packet`).
    Defence = "defence",
    /// An answer of a real server that belongs to no connection; the server is told (`nat_icmp_send`).
    NoConnection = "no-connection",
    /// An ICMP error that quotes no connection.
    IcmpUnmatched = "icmp-unmatched",
    /// No route to the packet's next hop.
    NoRoute = "no-route",
    /// The next hop's link-layer address is not known yet.
    NeighbourUnresolved = "neighbour-unresolved",
    /// The way out is an interface the director does not have.
    NoPort = "no-port",
    /// The real server's address is of the other family, which only a tunnel bridges.
    FamilyMismatch = "family-mismatch",
    /// The packet came back to the director that sent it.
    Loop = "loop",
    /// The frame's buffer had no room for an outer header.
    NoRoom = "no-room",
    /// The transmit ring was full.
    TxFull = "tx-full",
    /// The device that hands packets to the host did not take it.
    HostFull = "host-full",
}

/// How many packets were dropped, by reason. Shared between workers; each counts with relaxed atomics.
#[derive(Debug)]
pub struct Drops(Box<[AtomicU64]>);

impl Default for Drops {
    fn default() -> Self {
        Self(DropReason::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl Drops {
    /// Counts one packet.
    pub fn count(&self, reason: DropReason) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL
            .iter()
            .zip(self.0.iter())
            .map(|(&reason, count)| (reason, count.load(Ordering::Relaxed)))
    }

    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}
