//! Roles, what changes them, and the table of what follows from what.

use std::net::IpAddr;

use crate::Tick;

/// What a virtual router is at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Not started, or ended: `Initialize` in the RFC.
    Stopped,
    /// Unable to do its work, until that changes.
    Fault,
    /// Another is master, or is waited for.
    Backup,
    /// Holds the addresses: `Active` in the RFC.
    Master,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Stopped, Self::Fault, Self::Backup, Self::Master];

    /// Its name, as keepalived tells it to scripts.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stopped => "STOP",
            Self::Fault => "FAULT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
        }
    }

    /// What follows when something happens.
    pub(crate) const fn after(self, event: Event) -> Self {
        match self {
            Self::Stopped | Self::Fault => match event {
                Event::Usable { is_owner: true } => Self::Master,
                Event::Usable { is_owner: false } => Self::Backup,
                Event::Unusable => Self::Fault,
                Event::Shutdown => Self::Stopped,
                Event::MasterSilent | Event::Outranked | Event::GroupMaster | Event::GroupBackup => self,
            },
            Self::Backup => match event {
                Event::MasterSilent | Event::GroupMaster => Self::Master,
                Event::Usable { .. } | Event::Outranked | Event::GroupBackup => Self::Backup,
                Event::Unusable => Self::Fault,
                Event::Shutdown => Self::Stopped,
            },
            Self::Master => match event {
                Event::Outranked | Event::GroupBackup => Self::Backup,
                Event::Usable { .. } | Event::MasterSilent | Event::GroupMaster => Self::Master,
                Event::Unusable => Self::Fault,
                Event::Shutdown => Self::Stopped,
            },
        }
    }
}

/// What can change a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It started, or what had failed is well again.
    Usable {
        /// It owns the addresses.
        is_owner: bool,
    },
    /// Something that it needs has failed.
    Unusable,
    /// The master was not heard for too long.
    MasterSilent,
    /// An advert of one that goes before us was heard.
    Outranked,
    /// The sync group became master.
    GroupMaster,
    /// The sync group became backup.
    GroupBackup,
    /// It is to end.
    Shutdown,
}

/// Why a role changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was started.
    Started,
    /// No master was heard since the start, or since the last one resigned.
    NoMaster,
    /// The master was not heard any more, or is of lower priority.
    MasterSilent {
        /// Which.
        master: IpAddr,
    },
    /// One that goes before us was heard.
    Outranked {
        /// Which.
        by: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Something that it needs has failed.
    Fault,
    /// What had failed is well again.
    Recovered,
    /// The sync group changed.
    Group,
    /// It was told to end.
    Stopped,
}

impl Cause {
    pub(super) fn of_silence(master: Option<(IpAddr, u8)>) -> Self {
        master.map_or(Self::NoMaster, |(master, _)| Self::MasterSilent { master })
    }
}

/// A change of role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// What it became.
    pub role: Role,
    /// When.
    pub at: Tick,
    /// Why.
    pub cause: Cause,
}
