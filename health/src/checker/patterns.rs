//! Regular expressions, made ready once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use regex::bytes::Regex;

use crate::declared::Pattern;
use crate::judge::Failure;

/// The expressions in use.
#[derive(Debug, Default)]
pub(super) struct Patterns(Mutex<HashMap<Pattern, Arc<Regex>>>);

impl Patterns {
    /// The expression, ready to be used.
    pub(super) fn compiled(&self, pattern: &Pattern) -> Result<Arc<Regex>, Failure> {
        if let Some(regex) = self.0.lock().get(pattern) {
            return Ok(Arc::clone(regex));
        }
        let regex = pattern.compile().map_err(|error| Failure::Unusable(error.to_string()))?;
        let regex = Arc::new(regex);
        self.0.lock().insert(pattern.clone(), Arc::clone(&regex));
        Ok(regex)
    }
}
