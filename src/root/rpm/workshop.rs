//! A tree beside the image's own, with the distribution's `rpm` in it, the package files, and the image's tree mounted at `/image`.

use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

use crate::root::sandbox::mount_memory;
use crate::root::{Error, memory};
use crate::tree::Tree;

/// Where the image's tree is in the workshop.
pub(super) const IMAGE: &str = "image";
/// Where the package files are.
pub(super) const PACKAGES: &str = "packages";
/// What a cell needs, and what `rpm` writes to.
const PLACES: [&str; 9] = ["dev", "image", "packages", "proc", "root", "run", "sys", "tmp", "var/tmp"];
/// `statfs(2)`.
const TMPFS: u32 = 0x0102_1994;

/// The workshop; gone when it is dropped.
pub(super) struct Workshop {
    directory: PathBuf,
    in_memory: bool,
    pub(super) tree: Tree,
}

impl Workshop {
    /// Makes one in the folder that holds the image's tree; in memory if that is.
    pub(super) fn beside(image: &Path) -> Result<Self, Error> {
        let above = image.parent().unwrap_or(image);
        let io = |action| Error::io(action, above);
        let directory = tempfile::Builder::new().prefix("rpm-").tempdir_in(above).map_err(io("create a directory in"))?.keep();
        let statistics = rustix::fs::statfs(image).map_err(|errno| io("look at")(errno.into()))?;
        // The kernel's type of it differs from processor to processor.
        let in_memory = i128::from(statistics.f_type) == i128::from(TMPFS);
        if in_memory {
            mount_memory(&directory, memory::available())?;
        }
        let tree = Tree::open(&directory)?;
        let workshop = Self { directory, in_memory, tree };
        std::fs::set_permissions(&workshop.directory, std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(io("set the mode of"))?;
        for place in PLACES {
            workshop.tree.create_dirs(place)?;
        }
        Ok(workshop)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What cannot be removed goes with the build's own directory, and what is mounted with the worker.
        if self.in_memory {
            let _ = rustix::mount::unmount(&self.directory, UnmountFlags::DETACH);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
