//! The five values that name a flow, and nothing more.

use std::fmt;
use std::net::IpAddr;

/// An IP protocol number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proto(pub u8);

impl Proto {
    /// No protocol of its own: the templates of services on firewall marks.
    pub const IP: Self = Self(0);
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ESP, the encrypted payload of the IP security suite.
    pub const ESP: Self = Self(50);
    /// AH, the authentication header of the IP security suite.
    pub const AH: Self = Self(51);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
}

/// A flow as one of its packets names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// The protocol above IP.
    pub proto: Proto,
    /// Where the packet comes from.
    pub src: IpAddr,
    /// The source port; 0 where the protocol has none.
    pub src_port: u16,
    /// Where the packet goes to.
    pub dst: IpAddr,
    /// The destination port; 0 where the protocol has none.
    pub dst_port: u16,
}

impl FlowKey {
    /// The same flow as a packet of the other direction names it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            proto: self.proto,
            src: self.dst,
            src_port: self.dst_port,
            dst: self.src,
            dst_port: self.src_port,
        }
    }
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{} -> {}:{}", self.proto.0, self.src, self.src_port, self.dst, self.dst_port)
    }
}

/// Which way a packet of a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client to the real server.
    ToServer,
    /// From the real server back to the client (NAT only).
    ToClient,
}
