//! A directory of a test's own with the control socket in it, removed afterwards.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(crate) struct Place(TempDir);

impl Place {
    /// One that everybody may look into: who may use the socket is for the socket to say.
    pub(crate) fn new() -> Self {
        let everybody = Permissions::from_mode(0o755);
        Self(tempfile::Builder::new().permissions(everybody).tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("lvsd.sock")
    }
}
