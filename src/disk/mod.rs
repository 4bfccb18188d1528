//! A finished root tree becomes a bootable disk image, without loop devices, mounts or privileges: everything is written into a plain file.
//!
//! ```text
//!            ┌ boot/: what starts the kernel ─ files of the EFI system partition ─► fat/ ─┐
//! tree ──────┤                                                                             ├─► out (raw) ─► formats/
//!            └ fstab, boot configuration ─► tree ─► ext/ ─────────────────────────────────┘
//!                                               swap; gpt or mbr, with the code of a BIOS ─┘
//! ```
//!
//! Each partition takes what the tree has at its mount point: the deepest ones first, so that what is left is the root's.
//!
//! The same tree, layout and boot give the same bytes: identifiers derive from the layout's seed, times are clamped to its time, order is sorted.
//!
//! The room runs where the tree's owners are right: as root, or in a user namespace of ours. It takes plain values only, and trusts the tree in
//! nothing: paths are resolved beneath it ([`crate::tree`]), and what is in its files is checked.

mod boot;
mod crc32c;
mod error;
mod ext;
mod fat;
pub mod formats;
mod gpt;
mod identity;
mod kind;
mod layout;
mod mbr;
mod out;
mod swap;
#[cfg(test)]
mod tests;
mod text;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use self::boot::is_kernel_version;
pub use self::boot::{Boot, Provider, Run};
pub use self::error::Error;
pub use self::identity::Uuid;
pub use self::kind::{FileSystem, PartitionKind, PartitionTable, TYPES, TypeRow};
pub use self::layout::{Architecture, Layout, LayoutError, Partition};
use crate::deferred::Deferred;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::store::Stretch;
use crate::tree::Tree;
use crate::writing;

/// What is to be made of what, and where.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The finished root tree. It gets `/etc/fstab` and the boot loader's configuration, and what is beneath the EFI system partition's mount point
    /// moves to that partition.
    pub tree: &'a Path,
    /// Those of its files whose bytes still lie in the store.
    pub deferred: &'a Deferred,
    /// The disk.
    pub layout: &'a Layout,
    /// How it starts; none if nothing on the disk starts it: the tree needs no kernel then, and gets no `/etc/fstab`.
    pub boot: Option<&'a Boot>,
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
    /// Files that were taken from the kept root, and are in one piece.
    pub shared: Vec<Stretch>,
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

/// Makes the disk. On an error the image is empty, if it was made; the tree may have been changed.
///
/// `run` runs a command inside the sandbox of the tree, whose root is [`Job::tree`] (GRUB needs it).
///
/// # Errors
/// See [`Error`]. A layout that cannot be, and a tree without a kernel or a boot loader are found before the image is made.
pub fn write(job: Job<'_>, run: &mut Run<'_>, progress: &dyn Progress, cancel: &Cancel) -> Result<Report, Error> {
    progress.report(Event::Start { phase: Phase::Disk, total: None });
    let report = make(job, run, cancel);
    progress.report(Event::Finish { phase: Phase::Disk });
    report
}

fn make(job: Job<'_>, run: &mut Run<'_>, cancel: &Cancel) -> Result<Report, Error> {
    let checked = job.layout.check(job.boot.map(|boot| boot.provider))?;
    let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io("find", path));
    let (tree, out) = (Tree::open(&absolute(job.tree)?)?, absolute(job.out)?);
    cancel.check()?;
    let installed = job.boot.map_or_else(|| Ok(boot::Installed::default()), |boot| boot::install(&tree, checked, boot, run))?;
    let report = fill((&tree, job.deferred), checked, &installed, &out, &absolute(job.scratch)?, cancel);
    // Whatever was read on the way must have been there.
    let report = report.and_then(|report| Ok(job.deferred.check().map(|()| report)?));
    if report.is_err() {
        // The first error is the one to tell; half an image helps nobody. Whoever has the file open has the same one when it is tried again.
        let _ = OpenOptions::new().write(true).open(&out).and_then(|out| out.set_len(0));
    }
    report
}

fn fill(
    (tree, deferred): (&Tree, &Deferred),
    layout: layout::Checked<'_>,
    installed: &boot::Installed,
    out: &Path,
    scratch: &Path,
    cancel: &Cancel,
) -> Result<Report, Error> {
    let disk = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(out).map_err(Error::io("make", out))?;
    writing::empty(&disk).and_then(|()| disk.set_len(layout.layout.size)).map_err(Error::io("size", out))?;

    let (mut used, mut shared) = (vec![0; layout.layout.partitions.len()], Vec::new());
    for number in deepest_first(&layout.layout.partitions) {
        let partition = &layout.layout.partitions[number];
        let is_esp = layout.esp.is_some_and(|esp| esp.name == partition.name);
        let esp_files = if is_esp { Some(installed.esp.as_slice()) } else { None };
        let formatted = format((&disk, out), layout.layout, partition, esp_files, (tree, deferred), scratch, cancel)?;
        used[number] = formatted.used;
        shared.extend(formatted.shared);
        if let Some(mount_point) = partition.mount_point.as_deref().filter(|mount_point| *mount_point != "/") {
            // What is there would be hidden by the mount, and stored twice.
            tree.empty_dir(mount_point.trim_start_matches('/'))?;
        }
    }
    match layout.layout.table {
        PartitionTable::Gpt => gpt::write(layout.layout, &disk, out)?,
        PartitionTable::Mbr => mbr::write(layout.layout, &disk, out)?,
    }
    if let Some(bios) = &installed.bios {
        boot::bios::write(layout, bios, &disk, out)?;
    }
    let partitions = layout.layout.partitions.iter().zip(used);
    let partitions = partitions.map(|(partition, used)| Usage { name: partition.name.clone(), size: partition.len, used });
    Ok(Report { kernels: installed.kernels.clone(), partitions: partitions.collect(), shared })
}

/// The numbers of the partitions such that what is mounted beneath another comes before it.
fn deepest_first(partitions: &[Partition]) -> Vec<usize> {
    let depth = |number: &usize| {
        let mount_point = partitions[*number].mount_point.as_deref().unwrap_or("/");
        std::cmp::Reverse(mount_point.split('/').filter(|part| !part.is_empty()).count())
    };
    let mut numbers: Vec<usize> = (0..partitions.len()).collect();
    numbers.sort_by_key(depth);
    numbers
}

/// A partition that is done.
struct Formatted {
    /// Bytes in use.
    used: u64,
    /// See [`Report::shared`].
    shared: Vec<Stretch>,
}

impl From<u64> for Formatted {
    fn from(used: u64) -> Self {
        Self { used, shared: Vec::new() }
    }
}

/// Formats one partition, with what the tree has at its mount point, or `esp_files`, in it.
fn format(
    disk: (&File, &Path),
    layout: &Layout,
    partition: &Partition,
    esp_files: Option<&[fat::FatFile]>,
    (tree, deferred): (&Tree, &Deferred),
    scratch: &Path,
    cancel: &Cancel,
) -> Result<Formatted, Error> {
    match partition.filesystem {
        None => Ok(0.into()),
        Some(FileSystem::Swap) => swap::write(disk, layout, partition).map(Formatted::from),
        Some(FileSystem::Fat32 | FileSystem::Fat16) => {
            let identity = fat::Identity { volume_id: layout.filesystem_id(partition).volume_id(), time: layout.time };
            let adopted = if esp_files.is_none() { boot::adopt(tree, partition)? } else { Vec::new() };
            fat::write(disk, partition, identity, esp_files.unwrap_or(&adopted), tree, cancel).map(Formatted::from)
        }
        Some(FileSystem::Ext2 | FileSystem::Ext3 | FileSystem::Ext4) => match partition.mount_point.as_deref() {
            Some("/") => ext::write(disk, layout, partition, (tree, deferred), cancel),
            Some(mount_point) => ext::write(disk, layout, partition, (&tree.beneath(mount_point.trim_start_matches('/'))?, deferred), cancel),
            None => {
                let empty = tempfile::Builder::new().prefix("empty-").tempdir_in(scratch).map_err(Error::io("write in", scratch))?;
                std::fs::set_permissions(empty.path(), PermissionsExt::from_mode(0o755)).map_err(Error::io("write in", scratch))?;
                ext::write(disk, layout, partition, (&Tree::open(empty.path())?, deferred), cancel)
            }
        },
    }
}
