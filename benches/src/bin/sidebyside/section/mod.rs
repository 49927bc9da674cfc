//! What can be measured, by name.

mod direct;
mod nat;

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
pub(crate) const ALL: [Section; 2] = [
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
];
