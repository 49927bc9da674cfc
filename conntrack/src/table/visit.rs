//! Catches functions that call the table while they run under its locks, in builds with debug assertions.

use std::cell::Cell;

thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });

pub(super) struct Visit;

pub(super) fn enter() -> Visit {
    forbid();
    if cfg!(debug_assertions) {
        INSIDE.set(true);
    }
    Visit
}

pub(super) fn forbid() {
    debug_assert!(!INSIDE.get(), "a function that the table runs must not call the table");
}

impl Drop for Visit {
    fn drop(&mut self) {
        if cfg!(debug_assertions) {
            INSIDE.set(false);
        }
    }
}
