//! Why a request was refused.

use serde::{Deserialize, Serialize};

/// Why a request was refused: the error numbers of the kernel's control interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// EEXIST: it is there already.
    #[error("it exists already")]
    Exists,
    /// ENOENT: a named part (scheduler, engine, server) is not there.
    #[error("a part of it does not exist")]
    NoEntry,
    /// ESRCH: the service is not there.
    #[error("there is no such service")]
    NoService,
    /// EINVAL: a value the kernel does not take.
    #[error("a value is not valid")]
    Invalid,
    /// ERANGE: a weight or threshold out of range.
    #[error("a value is out of range")]
    Range,
    /// EPERM: the caller may not.
    #[error("permission denied")]
    NotPermitted,
    /// ENOPROTOOPT: this build does not have it.
    #[error("not available")]
    NotAvailable,
    /// ENOMEM: a limit is reached.
    #[error("no memory")]
    NoMemory,
    /// EOPNOTSUPP: not for this kind of service.
    #[error("not supported")]
    NotSupported,
    /// ENODEV: there is no such interface.
    #[error("there is no such interface")]
    NoDevice,
    /// EAFNOSUPPORT: not for this address family.
    #[error("address family not supported")]
    FamilyNotSupported,
}
