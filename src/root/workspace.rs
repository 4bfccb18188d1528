//! Where a tree lies while it is made: in memory where there is enough of it, else in a directory of the build.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Error, memory};
use crate::units::ByteSize;

/// What scripts, caches and the initrd add to the packages' own estimate.
const EXTRA: u64 = 512 << 20;

/// The place of one tree, inside the worker's namespaces.
#[derive(Debug)]
pub struct Workspace {
    directory: PathBuf,
    tree: PathBuf,
    /// Whether it ends with the worker's mounts, and needs no removal.
    in_memory: bool,
}

impl Workspace {
    /// Prepares an empty place beneath `scratch` for a tree of about `estimate` bytes.
    ///
    /// Must run as the worker, before it starts threads: it makes the mounts of the process private.
    pub fn prepare(scratch: &Path, estimate: ByteSize) -> Result<Self, Error> {
        super::sandbox::settle_worker()?;
        let directory = tempfile::Builder::new().prefix("root-").tempdir_in(scratch).map_err(Error::io("create a directory in", scratch))?.keep();
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).map_err(Error::io("set the mode of", &directory))?;
        let available = memory::available();
        // Half as much again, because estimates count neither small files' blocks nor the initrd.
        let needed = estimate.0.saturating_add(estimate.0 / 2).saturating_add(2 * EXTRA);
        let in_memory = needed < available;
        if in_memory {
            super::sandbox::mount_memory(&directory, available - EXTRA)?;
        }
        let tree = directory.join("tree");
        std::fs::create_dir(&tree)
            .and_then(|()| std::fs::set_permissions(&tree, PermissionsExt::from_mode(0o755)))
            .map_err(Error::io("make", &tree))?;
        Ok(Self { directory, tree, in_memory })
    }

    /// The empty directory that becomes the tree.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// What can become a folder in the same file system, and is not in the tree.
    pub fn beside(&self) -> PathBuf {
        self.directory.join("ahead")
    }
}

impl Drop for Workspace {
    /// Here, because outside of the worker's namespaces an ordinary user may not remove what belongs to users of the image.
    fn drop(&mut self) {
        if !self.in_memory {
            // What cannot be removed is left to whoever opens the store next, as is what a killed worker had (`leftovers.rs`).
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}
