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
pub(super) fn names(scheduler: &str, flags: u8) -> String {
    let name = |bit: u8| {
        NAMES
            .iter()
            .find(|(owner, _, known)| *known == bit && owner.is_none_or(|owner| owner == scheduler))
            .map(|(_, name, _)| *name)
    };
    let set = [1, 2, 4].into_iter().filter(|bit| flags & bit != 0);
    set.filter_map(name).collect::<Vec<_>>().join(",")
}
