//! Programs that are run, and when.

/// A program with its arguments, run without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program's path and its arguments; never empty.
    pub argv: Vec<String>,
    /// Who it runs as; the global `script_user` when absent.
    pub user: Option<RunAs>,
}

/// A user that programs are run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    /// The user's name.
    pub user: String,
    /// The group's name; the user's own group when absent.
    pub group: Option<String>,
}

/// What runs on the transitions of an instance or a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notify {
    /// It became master (`notify_master`).
    pub on_master: Option<Command>,
    /// It became backup (`notify_backup`).
    pub on_backup: Option<Command>,
    /// It became faulty (`notify_fault`).
    pub on_fault: Option<Command>,
    /// The daemon stops (`notify_stop`).
    pub on_stop: Option<Command>,
    /// A reload removed it (`notify_deleted` with a script).
    pub on_deleted: Option<Command>,
    /// As master it heard one of lower priority (`notify_master_rx_lower_pri`); instances only.
    pub on_lower_priority: Option<Command>,
    /// Any of the above (`notify`): called last, with four more arguments: `INSTANCE` or `GROUP`, the name, the
    /// state and the priority.
    pub on_any: Option<Command>,
    /// Says `DELETED` rather than `FAULT` of what a reload removed (`notify_deleted`).
    pub tells_deleted: bool,
    /// Writes changes of priority to the pipes (`notify_priority_changes`).
    pub tells_priority: bool,
}
