//! Whoever forwards: each sets its place up and then lets packets through.

mod director;
mod forward;
mod nft;
mod redirect;

pub(crate) use director::{Cache, DAEMON, Lvsd, Method};
pub(crate) use forward::Forward;
pub(crate) use nft::Nft;
pub(crate) use redirect::Redirect;
