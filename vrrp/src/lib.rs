//! VRRP versions 2 and 3 (RFC 9568): which of several routers holds the virtual addresses.
//!
//! Nothing here opens a socket or reads a clock: packets and the time are arguments, what is to be done is returned.
//!
//! ```text
//! packet -> wire::Packet::parse -> Gate::admit -> Router::on_advert -> next_action
//!           form and checksum      whose, whence,  machines, sync      adverts, addresses,
//!                                  which key, when groups, trackers    announcements, notices
//! ```
#![forbid(unsafe_code)]

pub mod declared;
mod gate;
mod hmac;
mod machine;
mod reject;
mod router;
mod tick;
mod track;
pub mod wire;

pub use gate::{Admitted, Gate};
pub use hmac::{Signer, Verifier, WallClock};
pub use machine::{Action, Cause, Counters, Machine, Priorities, Role, Rules, Transition};
pub use reject::{Reject, Rejects};
pub use router::{Member, Router};
pub use tick::Tick;
pub use track::{Effect, Reading, effect};
