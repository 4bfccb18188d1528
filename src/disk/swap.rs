//! Swap space: a header in the first page, and nothing else (the kernel's `include/linux/swap.h`, `union swap_header`).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::Error;
use super::layout::{Layout, Partition};
use crate::units::ByteSize;

/// The page that the kernel counts in, on the processors that disks are made for.
const PAGE: u64 = 4096;
/// Where the header begins: what is before is left to boot loaders.
const HEADER: usize = 1024;
const MAGIC: &[u8; 10] = b"SWAPSPACE2";
/// The fewest pages that `mkswap` and the kernel take.
const FEWEST_PAGES: u64 = 10;

/// Writes the header of a partition; returns the bytes that it takes.
pub(super) fn write(disk: (&File, &Path), layout: &Layout, partition: &Partition) -> Result<u64, Error> {
    let pages = partition.len / PAGE;
    if pages < FEWEST_PAGES {
        return Err(Error::TooSmall { partition: partition.name.clone(), has: ByteSize(partition.len), missing: ByteSize(1 << 20) });
    }
    let mut page = [0; PAGE as usize];
    let mut put = |offset: usize, bytes: &[u8]| page[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(HEADER, &1_u32.to_le_bytes());
    put(HEADER + 4, &u32::try_from(pages - 1).unwrap_or(u32::MAX).to_le_bytes());
    put(HEADER + 12, layout.filesystem_id(partition).as_bytes());
    put(HEADER + 28, partition.label.as_deref().unwrap_or("").as_bytes());
    put(PAGE as usize - MAGIC.len(), MAGIC);
    disk.0.write_all_at(&page, partition.start).map_err(Error::io("write", disk.1))?;
    Ok(PAGE)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::disk::kind::{FileSystem, PartitionKind};
    use crate::disk::layout::tests::layout;
    use crate::root::sandbox::find_program;

    #[test]
    fn blkid_knows_it_by_uuid_and_label() {
        let Some(blkid) = find_program("blkid") else { return };
        let layout = layout(1 << 30);
        let mut partition = layout.partitions[0].clone();
        (partition.kind, partition.filesystem, partition.label) = (PartitionKind::Swap, Some(FileSystem::Swap), Some("paging".to_owned()));
        partition.start = 0;
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(partition.len).unwrap();
        assert_eq!(write((file.as_file(), file.path()), &layout, &partition).unwrap(), PAGE);
        let output = Command::new(blkid).arg("--probe").arg(file.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let uuid = layout.filesystem_uuid(&partition);
        assert!(text.contains("TYPE=\"swap\"") && text.contains("LABEL=\"paging\"") && text.contains(&format!("UUID=\"{uuid}\"")), "{text}");

        partition.len = 8192;
        assert!(write((file.as_file(), file.path()), &layout, &partition).is_err());
    }
}
