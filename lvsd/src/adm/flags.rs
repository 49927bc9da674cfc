//! The flags of a scheduler (`-b`): three bits that sh and mh have names of their own for.

use super::failure::Failure;
use crate::config::SCHEDULER_FLAGS;

/// Reads a list of flags; empty entries are passed over.
pub(super) fn parse(scheduler: &str, list: &str) -> Result<u8, Failure> {
    let mut flags = 0;
    for name in list.split(',').filter(|name| !name.is_empty()) {
        let Some((_, bit, owner)) = SCHEDULER_FLAGS.iter().find(|(known, ..)| *known == name) else {
            return Err(Failure::usage(format_args!("invalid scheduler flag `{name}'")));
        };
        if owner.is_some_and(|owner| owner != scheduler) {
            return Err(Failure::usage(format_args!("incompatible scheduler flag `{name}'")));
        }
        flags |= bit;
    }
    Ok(flags)
}

/// The flags' names for this scheduler, with commas; nothing when there are none.
///
/// As with ipvsadm, the third flag of sh and mh has no name, and is not told.
pub(super) fn names(scheduler: &str, flags: u8) -> String {
    let owner =
        SCHEDULER_FLAGS.iter().map(|(.., owner)| *owner).find(|owner| *owner == Some(scheduler)).flatten();
    let named = SCHEDULER_FLAGS.iter().filter(|(_, bit, known)| *known == owner && flags & bit != 0);
    named.map(|(name, ..)| *name).collect::<Vec<_>>().join(",")
}
