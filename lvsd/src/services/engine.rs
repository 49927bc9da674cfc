//! Persistence engines: what else than its client's address a service's persistence goes by.

use crate::message::{Refusal, VirtualService};

/// A persistence engine (`--pe`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// By the Call-ID of a SIP message over UDP (the kernel's `ip_vs_pe_sip`).
    Sip,
}

impl Engine {
    /// The name it is declared and listed by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sip => "sip",
        }
    }

    /// The engine that `declared` names, if it names one.
    ///
    /// # Errors
    /// [`Refusal::NoEntry`] for a name that is no engine's.
    pub(super) fn of(declared: &VirtualService) -> Result<Option<Self>, Refusal> {
        match declared.persistence_engine.as_deref() {
            None | Some("") => Ok(None),
            Some("sip") => Ok(Some(Self::Sip)),
            Some(_) => Err(Refusal::NoEntry),
        }
    }
}
