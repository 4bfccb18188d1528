//! Room for work in the making.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Error, Result};
use super::layout;
use super::lease::Lease;

/// A directory of one piece of work, empty at first and reachable by this user alone; removed with everything in it when dropped. What a killed process
/// leaves is removed when the store is next opened.
#[derive(Debug)]
#[must_use = "the directory is removed when this is dropped"]
pub struct Scratch {
    path: PathBuf,
    /// None for one that is not in a store.
    _lease: Option<Arc<Lease>>,
}

impl Scratch {
    pub(crate) fn new(lease: &Arc<Lease>) -> Result<Self> {
        let path = lease.fresh("w");
        layout::create_dir(&path, 0o700)?;
        Ok(Self { path, _lease: Some(Arc::clone(lease)) })
    }

    /// A directory among the system's temporary files (`TMPDIR`).
    pub(crate) fn elsewhere() -> Result<Self> {
        let dir = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("image-composer-").tempdir().map_err(Error::io("create a folder in", &dir))?;
        let path = std::path::absolute(made.keep()).map_err(Error::io("create a folder in", &dir))?;
        Ok(Self { path, _lease: None })
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Files of a user namespace's other users cannot be removed from outside it; they stay in nobody's way.
        let _ = fs::remove_dir_all(&self.path);
    }
}
