//! Remembers which real server a connection was given: states, timers and persistence templates.

#![forbid(unsafe_code)]

mod conn;
mod hash;
mod key;
mod sctp;
mod state;
mod table;
mod tcp;
mod template;
mod tick;
mod timeouts;
mod wheel;

pub use conn::{Conn, NewConn};
pub use key::{Direction, FlowKey, Proto};
pub use sctp::{SctpEvent, SctpState};
pub use state::{Activity, State, Transition};
pub use table::{Expired, InsertError, Table};
pub use tcp::{Side, TcpEvent, TcpFlags, TcpState, TcpTable};
pub use template::{Lease, NewTemplate, Template, TemplateKey, TemplateService};
pub use tick::Tick;
pub use timeouts::Timeouts;
