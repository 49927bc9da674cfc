//! What can be measured, by name.

mod af_xdp;
mod direct;
mod edits;
mod idle;
mod killed;
mod lanes;
mod memory;
mod nat;
mod new_flows;
mod tcp;
mod transfer;

use crate::failure::Failure;
use crate::figure::Findings;
use crate::plan::Plan;

/// Something that can be measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it measures.
    pub(crate) about: &'static str,
    /// Measures it.
    pub(crate) run: fn(&Plan) -> Result<Findings, Failure>,
}

/// All of them, in the order of the table.
pub(crate) const ALL: [Section; 10] = [
    Section {
        name: "nat",
        about: "NAT of established flows by the XDP program, beside nft's DNAT and a bare XDP program",
        run: nat::run,
    },
    Section {
        name: "direct",
        about: "direct routing and IPIP by the XDP program, beside the kernel's forwarding",
        run: direct::run,
    },
    Section {
        name: "afxdp",
        about: "the way through user space, cache off, in segments on one thread, beside a bare AF_XDP forwarder",
        run: af_xdp::run,
    },
    Section { name: "new", about: "a new flow with every packet, beside nft's DNAT", run: new_flows::run },
    Section {
        name: "tcp",
        about: "TCP connections, requests and latency through NAT, beside HAProxy and nginx stream",
        run: tcp::run,
    },
    Section {
        name: "transfer",
        about: "transfers of a megabyte and iperf3 through NAT, beside nft's DNAT",
        run: transfer::run,
    },
    Section {
        name: "idle",
        about: "the idle daemon's processor time, and the first packet afterwards",
        run: idle::run,
    },
    Section { name: "memory", about: "what a million NAT connections take", run: memory::run },
    Section {
        name: "edits",
        about: "ten thousand changes of servers while packets are forwarded",
        run: edits::run,
    },
    Section { name: "kill", about: "kill -9 and a new start under load", run: killed::run },
];
