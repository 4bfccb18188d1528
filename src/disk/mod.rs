//! A finished root tree becomes a bootable disk image, without loop devices, mounts or privileges: everything is written into a plain file.
//!
//! ```text
//!            ┌ boot/: what starts the kernel ─ files of the EFI system partition ─► fat/ ─┐
//! tree ──────┤                                                                             ├─► out (raw) ─► formats/
//!            └ fstab, boot configuration ─► tree ─► ext4/ (mke2fs -d) ────────────────────┘
//!                                                                              gpt ────────┘
//! ```
//!
//! The same tree, layout and boot give the same bytes: identifiers derive from the layout's seed, times are clamped to its time, order is sorted.
//!
//! The room runs where the tree's owners are right: as root, or in a user namespace of ours. It takes plain values only, and trusts the tree in
//! nothing: paths are resolved beneath it ([`crate::tree`]), and what is in its files is checked.

mod boot;
mod crc32c;
mod error;
mod ext4;
mod fat;
pub mod formats;
mod gpt;
mod identity;
mod layout;
mod program;
#[cfg(test)]
mod tests;
mod text;

use std::fs::OpenOptions;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::boot::{Boot, Provider, Run};
pub use self::error::Error;
pub use self::identity::Uuid;
pub use self::layout::{Architecture, FileSystem, Layout, LayoutError, Partition, PartitionKind};
pub(crate) use self::program::find as find_program;
pub use self::program::{Requirement, requirements};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::tree::Tree;

/// What is to be made of what, and where.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The finished root tree. It gets `/etc/fstab` and the boot loader's configuration, and what is beneath the EFI system partition's mount point
    /// moves to that partition.
    pub tree: &'a Path,
    /// The disk.
    pub layout: &'a Layout,
    /// How it starts.
    pub boot: &'a Boot,
    /// The raw disk image to write. It is made, or emptied if it is there.
    pub out: &'a Path,
    /// A folder for small files of our own, removed when they have served.
    pub scratch: &'a Path,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The versions of the kernels that can be started, newest (the default) first.
    pub kernels: Vec<String>,
    /// In the order of the layout.
    pub partitions: Vec<Usage>,
}

/// How full a partition is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes in use by files and by the file system itself.
    pub used: u64,
}

/// Makes the disk. On an error the image is removed; the tree may have been changed.
///
/// `run` runs a command inside the sandbox of the tree, whose root is [`Job::tree`] (GRUB needs it).
///
/// # Errors
/// See [`Error`]. A layout that cannot be, a missing program, and a tree without a kernel or a boot loader are found before the image is made.
pub fn write(job: Job<'_>, run: &mut Run<'_>, progress: &dyn Progress, cancel: &Cancel) -> Result<Report, Error> {
    progress.report(Event::Start { phase: Phase::Disk, total: None });
    let report = make(job, run, cancel);
    progress.report(Event::Finish { phase: Phase::Disk });
    report
}

fn make(job: Job<'_>, run: &mut Run<'_>, cancel: &Cancel) -> Result<Report, Error> {
    let checked = job.layout.check()?;
    if let Some(missing) = requirements().into_iter().find(|requirement| !requirement.is_met()) {
        return Err(Error::NoProgram(missing));
    }
    let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io("find", path));
    let (tree, out) = (Tree::open(&absolute(job.tree)?)?, absolute(job.out)?);
    cancel.check()?;
    let installed = boot::install(&tree, checked, job.boot, run)?;
    let report = fill(&tree, checked, &installed, &out, &absolute(job.scratch)?, cancel);
    if report.is_err() {
        // The first error is the one to tell; half an image helps nobody.
        let _ = std::fs::remove_file(&out);
    }
    report
}

fn fill(tree: &Tree, layout: layout::Checked<'_>, installed: &boot::Installed, out: &Path, scratch: &Path, cancel: &Cancel) -> Result<Report, Error> {
    let disk = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(out).map_err(Error::io("make", out))?;
    disk.set_len(layout.layout.size).map_err(Error::io("size", out))?;

    let identity = fat::Identity { volume_id: layout.layout.uuid(&format!("file system {}", layout.esp.name)).volume_id(), time: layout.layout.time };
    let esp_used = fat::write((&disk, out), layout.esp, identity, &installed.esp, tree, cancel)?;
    boot::clear(tree, &layout.esp.mount_point)?;
    let root_used = ext4::write((&disk, out), layout.layout, layout.root, tree, scratch, cancel)?;
    // Last, because `mke2fs` looks at what a disk has before it writes, and asks.
    gpt::write(layout.layout, &disk, out)?;

    let usage = |partition: &Partition| Usage {
        name: partition.name.clone(),
        size: partition.len,
        used: if partition.kind == PartitionKind::Esp { esp_used } else { root_used },
    };
    Ok(Report { kernels: installed.kernels.clone(), partitions: layout.layout.partitions.iter().map(usage).collect() })
}
