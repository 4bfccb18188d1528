//! Where a tree lies while it is made: in memory where there is enough of it, else in a directory of the build.

use std::path::{Path, PathBuf};

use super::Error;
use crate::units::ByteSize;

/// What scripts, caches and the initrd add to the packages' own estimate.
const EXTRA: u64 = 512 << 20;

/// The place of one tree, inside the worker's namespaces.
#[derive(Debug)]
pub struct Workspace {
    directory: PathBuf,
}

impl Workspace {
    /// Prepares an empty place beneath `scratch` for a tree of about `estimate` bytes.
    ///
    /// Must run as the worker, before it starts threads: it makes the mounts of the process private.
    pub fn prepare(scratch: &Path, estimate: ByteSize) -> Result<Self, Error> {
        super::sandbox::settle_worker()?;
        let directory = scratch.join("root");
        std::fs::create_dir(&directory).map_err(Error::io("create directory", &directory))?;
        let available = available_memory();
        // Half as much again, because estimates count neither small files' blocks nor the initrd.
        let needed = estimate.0 + estimate.0 / 2 + EXTRA;
        if needed + EXTRA < available {
            super::sandbox::mount_memory(&directory, available - EXTRA)?;
        }
        Ok(Self { directory })
    }

    /// The empty directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Memory that can be had without swapping, in bytes (`proc(5)`, `MemAvailable`); none where the kernel does not say.
fn available_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().map_or(0, |kib| kib * 1024)
}
