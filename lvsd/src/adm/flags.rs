//! The flags of a scheduler (`-b`): three bits that sh and mh have names of their own for.

use super::failure::Failure;

/// The scheduler that has the name (none: any), the name, the bit.
const NAMES: [(Option<&str>, &str, u8); 7] = [
    (Some("sh"), "sh-fallback", 1),
    (Some("sh"), "sh-port", 2),
    (Some("mh"), "mh-fallback", 1),
    (Some("mh"), "mh-port", 2),
    (None, "flag-1", 1),
    (None, "flag-2", 2),
    (None, "flag-3", 4),
];

/// Reads a list of flags; empty entries are passed over.
pub(super) fn parse(scheduler: &str, list: &str) -> Result<u8, Failure> {
    let mut flags = 0;
    for name in list.split(',').filter(|name| !name.is_empty()) {
        let Some((owner, _, bit)) = NAMES.iter().find(|(_, known, _)| *known == name) else {
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
    let owner = NAMES.iter().map(|(owner, ..)| *owner).find(|owner| *owner == Some(scheduler)).flatten();
    let named = NAMES.iter().filter(|(known, _, bit)| *known == owner && flags & bit != 0);
    named.map(|(_, name, _)| *name).collect::<Vec<_>>().join(",")
}
