//! Room for work in the making.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Result;
use super::layout;
use super::lease::Lease;

/// A directory of one piece of work, empty at first and reachable by this user alone; removed with everything in it when dropped. What a killed process
/// leaves is removed when the store is next opened.
#[derive(Debug)]
#[must_use = "the directory is removed when this is dropped"]
pub struct Scratch {
    path: PathBuf,
    _lease: Arc<Lease>,
}

impl Scratch {
    pub(crate) fn new(lease: &Arc<Lease>) -> Result<Self> {
        let path = lease.fresh("w");
        layout::create_dir(&path, 0o700)?;
        Ok(Self { path, _lease: Arc::clone(lease) })
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
