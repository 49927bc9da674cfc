//! AF_XDP: the XDP program that picks the director's packets, and the sockets they arrive at.
//!
//! ```text
//!   NIC queue --> lvsd_xdp --> lvsd_xsk[queue] --> rx ring --> Director --> tx ring --> NIC queue
//!                    |  (no socket: drop)                         |
//!                    '--> the host's stack <---- TUN device <-----' ToHost
//! ```
//!
//! In order: [`Program::load`], [`Program::claim`] what the services are, [`Program::attach`] to each interface,
//! then [`XdpDevice::open`] in each worker; at a graceful stop drop the devices and [`Program::detach`].
//!
//! What to know of it:
//! * Frames are the director's only where they are addressed to the interface, or to one stacked on it that
//!   [`Program::address`] was told of: what was flooded on its way to another is not, nor what is for all.
//! * A frame must fit into the device's frame size (1792 or 3840 bytes of packet). The kernel drops and counts what
//!   does not (`rx_dropped` of [`PortStatistics`]); jumbo frames in several buffers are not used.
//! * The kernel takes hardware-accelerated VLAN tags out of the frame before the program sees it. Where tags matter,
//!   turn that off (`ethtool -K IF rxvlan off`; on a veth, `txvlan off` at the peer) or attach to the VLAN interface.
//! * A frame's checksums may be unfinished when the sender is on this machine (veth).

mod attach;
mod claim_maps;
mod claims;
mod counted;
pub mod decap;
mod device;
mod error;
mod flow;
mod flows;
mod heritage;
mod interfaces;
mod mapped;
mod marked;
mod open;
mod pins;
mod port;
mod program;
mod record;
mod server;
mod sizes;
mod sources;
mod spin;
mod status;
mod table;
mod trial;
mod umem;

pub use attach::{Mode, Occupant, is_on, take_off};
pub use claims::{Claims, Endpoint, Marked, Prefix};
pub use counted::{Counts, Outcomes, Tally};
pub use device::XdpDevice;
pub use error::{OpenError, ProgramError};
pub use flow::{Flow, FlowRewrite};
pub use flows::Flows;
pub use pins::Pins;
pub use port::{DeviceConfig, PortConfig, PortStatistics, queue_count};
pub use program::{NAME, NoEgress, Program};
pub use server::{Egress, FlowServer, IDENTITY, PATHS, SERVERS};
pub use sizes::Families;
pub use table::Inserted;
pub use trial::{Action, Trial};
