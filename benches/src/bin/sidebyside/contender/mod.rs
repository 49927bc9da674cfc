//! Whoever forwards: each sets its place up and then lets packets through.

mod director;
mod forward;
mod haproxy;
mod nft;
mod nginx;
mod redirect;

pub(crate) use director::{Cache, Lvsd, Method};
pub(crate) use forward::Forward;
pub(crate) use haproxy::Haproxy;
pub(crate) use nft::{Nft, Room, ruleset};
pub(crate) use nginx::Nginx;
pub(crate) use redirect::Redirect;
