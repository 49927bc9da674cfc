//! The texts of refusals: what ipvsadm says to the error numbers of the kernel, command by command.

use super::option::Verb;
use crate::message::Refusal;

/// What is printed when `verb` is refused.
pub(super) const fn text(verb: Verb, refusal: Refusal) -> &'static str {
    match (verb, refusal) {
        (Verb::AddService, Refusal::Exists) => "Service already exists",
        (Verb::AddService | Verb::EditService, Refusal::NoEntry) => {
            "Scheduler or persistence engine not found"
        }
        (
            Verb::EditService | Verb::DeleteService | Verb::Zero | Verb::List | Verb::Save,
            Refusal::NoService,
        ) => "No such service",
        (Verb::AddServer | Verb::EditServer | Verb::DeleteServer, Refusal::NoService) => {
            "Service not defined"
        }
        (Verb::AddServer, Refusal::Exists) => "Destination already exists",
        (Verb::EditServer | Verb::DeleteServer, Refusal::NoEntry) => "No such destination",
        (Verb::StartDaemon, Refusal::Exists) => "Daemon has already run",
        (Verb::StopDaemon, Refusal::NoService) => "No daemon is running",
        (_, refusal) => common(refusal),
    }
}

/// What is printed when the command has no words of its own for it.
const fn common(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Exists => "File exists",
        Refusal::NoEntry => "No such file or directory",
        Refusal::NoService => "No such process",
        Refusal::Invalid => "Invalid operation.  Possibly wrong module version, address not unicast, ...",
        Refusal::Range => "Numerical result out of range",
        Refusal::NotPermitted => "Permission denied (you must be root)",
        Refusal::NotAvailable => "Protocol not available",
        Refusal::NoMemory => "Memory allocation problem",
        Refusal::NotSupported => "Operation not supported with IPv6",
        Refusal::NoDevice => "No such device",
        Refusal::FamilyNotSupported => "Operation not supported with specified address family",
    }
}
