//! The host around a director and its real servers: addresses, routes, neighbours, sysctls and source NAT.
//!
//! * [`Host`] makes a host what its [`Role`] wants (*apply*), says what is missing (*check*), and takes
//!   everything back (*revert*); [`Role::dry_run`] says it all in `ip`, `sysctl` and `nft` commands.
//! * [`Watcher`] follows the kernel's interfaces, addresses, routes and neighbours in a [`HostView`],
//!   whose [`lookup`](HostView::lookup) answers as `ip route get` does.
//! * [`Editor`] puts single addresses, routes, rules and interfaces there and takes them away; [`InputFilter`] keeps what is
//!   sent to some addresses from the host.
//! * [`Snapshot`] is the state of a host as text, to be compared with a later one.
//!
//! All of it works on the network namespace of the calling thread, and blocks.

mod address;
mod change;
mod decapsulator;
mod director;
mod diversion;
mod editor;
mod error;
mod finding;
mod follow;
mod host;
mod input_filter;
mod interface;
mod journal;
mod name;
mod neighbour;
mod netlink;
mod nft;
mod policy;
mod real_server;
mod role;
mod route;
mod rule;
mod snapshot;
mod source;
mod state;
mod sysctl;
mod view;

pub use address::Address;
pub use change::{Before, Change};
pub use decapsulator::Decapsulator;
pub use director::{Director, Vip};
pub use diversion::{Diversion, Diverted};
pub use editor::Editor;
pub use error::Error;
pub use finding::Finding;
pub use follow::{Changes, Watcher};
pub use host::{Host, JOURNAL_DIRECTORY, Reverted};
pub use input_filter::{Closed, InputFilter};
pub use interface::Interface;
pub use neighbour::{Neighbour, Reachability};
pub use nft::{NatSource, SourceNat};
pub use policy::{PolicyRule, RuleVerdict};
pub use real_server::{Method, RealServer};
pub use role::{Role, RoleName};
pub use route::{Route, RouteKind, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};
pub use rule::MarkRule;
pub use snapshot::Snapshot;
pub use state::Undone;
pub use view::{Hop, HostView};
