//! The host around a director and its real servers: addresses, routes, neighbours, sysctls and source NAT.

mod address;
mod error;
mod follow;
mod interface;
mod neighbour;
mod netlink;
mod route;
mod source;
mod view;

pub use address::Address;
pub use error::Error;
pub use follow::{Changes, Watcher};
pub use interface::Interface;
pub use neighbour::{Neighbour, Reachability};
pub use route::{Route, RouteKind, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};
pub use view::{Hop, HostView};
