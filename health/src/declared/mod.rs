//! What an administrator asks for: which checks, how often, and what follows from their results.
//!
//! Everything here is a plain value. Where keepalived lets a setting be inherited (virtual server, real server,
//! checker), the inheritance has been resolved already; [`Timers`] does that.

mod check;
mod http;
mod script;
mod timing;
mod udp;
mod virtual_server;

pub use check::{Bind, Check, CheckKind, DnsType, Endpoint, FileCheck, MiscCheck, Path};
pub use http::{HttpCheck, HttpProtocol, HttpUrl, Pattern, PatternError, RegexOption, Sni};
pub use script::{Script, User};
pub use timing::{KindDefaults, Timers, Timing};
pub use udp::{MaskedByte, Reply, UdpCheck};
pub use virtual_server::{Fifo, Globals, Policy, RealServer, Sorry, Tls, VirtualServer};
