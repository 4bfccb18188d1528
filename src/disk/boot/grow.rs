//! A last partition that takes the rest of its disk when the machine starts: `systemd-repart(8)` enlarges the partition, `systemd-growfs@.service` (asked
//! for in `/etc/fstab`) its file system.

use super::Context;
use crate::disk::error::Error;
use crate::disk::layout::{Layout, Partition};

/// The mount option that has `systemd-fstab-generator(8)` enlarge a file system to its partition.
pub(super) const OPTION: &str = "x-systemd.growfs";

/// The last partition, where it grows.
pub(super) fn grows(layout: &Layout) -> Option<&Partition> {
    layout.partitions.iter().max_by_key(|partition| partition.start).filter(|_| layout.extend_last_partition)
}

/// The files of the tree: a definition for each partition of the last one's type (`repart.d(5)` matches them in the order of the table), of which only
/// the last one's grows.
pub(super) fn files(context: &Context<'_>, layout: &Layout) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let Some(last) = grows(layout) else { return Ok(Vec::new()) };
    for (path, package) in [("usr/bin/systemd-repart", "systemd-repart"), ("usr/lib/systemd/systemd-growfs", "systemd")] {
        if !context.tree.exists(path) {
            let what = "what makes a partition grow".to_owned();
            return Err(Error::Missing { what, path: format!("/{path}"), package: package.to_owned() });
        }
    }
    let kind = last.kind.row(layout.architecture).guid;
    let same = layout.partitions.iter().filter(|partition| partition.kind == last.kind);
    let files = same.enumerate().map(|(number, partition)| {
        let weight = if partition.name == last.name { 1000 } else { 0 };
        let text = format!("[Partition]\nType={kind}\nWeight={weight}\n");
        (format!("usr/lib/repart.d/{:02}-image.conf", 50 + number), text.into_bytes())
    });
    Ok(files.collect())
}
