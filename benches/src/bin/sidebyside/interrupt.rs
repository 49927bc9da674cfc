//! Ctrl-C: the run ends at the next sample, and everything is taken down on the way out.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

static IS_INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Notes an interrupt from now on; a second one ends the program on the spot.
pub(crate) fn watch() -> Result<(), Failure> {
    let flag = IS_INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(flag)))
            .map_err(Failure::system("cannot watch for signals"))?;
    }
    Ok(())
}

/// # Errors
/// There was an interrupt.
pub(crate) fn check() -> Result<(), Failure> {
    let is_interrupted = IS_INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed));
    if is_interrupted { Err(Failure::Interrupted) } else { Ok(()) }
}
