//! After `mke2fs`: walks the inode tables, and sets the times that came from the build machine.
//!
//! `mke2fs -d` copies change and access times from the tree, where they say when the build ran, and does not copy the mode of the tree itself. Both
//! are set here, with the inodes' checksums, by the layout of ext4 (the kernel's `Documentation/filesystems/ext4`): the same as `debugfs -w` with
//! `sif` does, in one pass and without a script of a line for each inode.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{BLOCK, INODE};
use crate::disk::crc32c::crc32c;
use crate::disk::error::Error;
use crate::disk::layout::Partition;
use crate::progress::Cancel;

const SUPERBLOCK: u64 = 1024;
const ROOT_INODE: u32 = 2;

/// Bits of the superblock and of group descriptors, by their names in the kernel.
const INCOMPAT_64BIT: u32 = 0x80;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
const BG_INODE_UNINIT: u16 = 1;

/// Offsets in an inode of the seconds of a time and of its extra bits.
const ACCESS: (usize, usize) = (8, 140);
const CHANGE: (usize, usize) = (12, 132);
const MODIFICATION: (usize, usize) = (16, 136);
const BIRTH: (usize, usize) = (144, 148);

/// The limits of what we take for true of a superblock before we reserve memory for it.
const MOST_INODES_PER_GROUP: u32 = 8 * BLOCK as u32;
const MOST_GROUPS: u64 = 1 << 24;

/// What is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Access, change and birth time of everything, and the latest modification time: seconds since the epoch.
    pub(super) time: u64,
    /// Permission bits of the root folder.
    pub(super) root_mode: u16,
}

/// Sets the inodes of the file system in a partition; returns how many bytes of it are in use.
pub(super) fn settle(disk: (&File, &Path), partition: &Partition, settings: Settings, cancel: &Cancel) -> Result<u64, Error> {
    let place = Place { file: disk.0, path: disk.1, start: partition.start, len: partition.len };
    let superblock = Superblock::read(&place)?;
    for group in 0..superblock.groups {
        cancel.check()?;
        // The second half is there where there are 64 bits.
        let mut descriptor = place.read(superblock.descriptors + group * superblock.descriptor_len, superblock.descriptor_len)?;
        descriptor.resize(64, 0);
        let table = u64::from(long(&descriptor, 8)) | u64::from(long(&descriptor, 40)) << 32;
        let unused = u32::from(short(&descriptor, 28)) | u32::from(short(&descriptor, 50)) << 16;
        if short(&descriptor, 18) & BG_INODE_UNINIT != 0 {
            continue;
        }
        let used = superblock.inodes_per_group.checked_sub(unused).ok_or(Error::Ext4("a group with more unused inodes than inodes"))?;
        let mut inodes = place.read(table.saturating_mul(BLOCK), u64::from(used) * INODE)?;
        for (number, inode) in (group as u32 * superblock.inodes_per_group + 1..).zip(inodes.chunks_exact_mut(INODE as usize)) {
            if inode.iter().all(|byte| *byte == 0) {
                continue;
            }
            set(inode, number, settings);
            superblock.seal(inode, number);
        }
        place.write(table * BLOCK, &inodes)?;
    }
    Ok(superblock.used)
}

fn set(inode: &mut [u8], number: u32, settings: Settings) {
    if number == ROOT_INODE {
        let mode = short(inode, 0) & 0o170_000 | settings.root_mode;
        inode[..2].copy_from_slice(&mode.to_le_bytes());
    }
    put_time(inode, ACCESS, settings.time);
    put_time(inode, CHANGE, settings.time);
    if has_extra(inode, BIRTH.0) {
        put_time(inode, BIRTH, settings.time);
    }
    // The modification time may be earlier, and is kept to the second.
    let modified = u64::try_from(time_of(inode, MODIFICATION)).unwrap_or(0);
    put_time(inode, MODIFICATION, modified.min(settings.time));
}

/// Whether an inode is large enough for four bytes at an offset: a reserved inode may have no extra fields at all.
fn has_extra(inode: &[u8], at: usize) -> bool {
    at + 4 <= 128 + usize::from(short(inode, 128))
}

/// The time at these offsets, in seconds: 32 signed bits, and two more above them in the extra field (the other 30 are nanoseconds).
fn time_of(inode: &[u8], (seconds, extra): (usize, usize)) -> i64 {
    let epoch = if has_extra(inode, extra) { long(inode, extra) & 3 } else { 0 };
    i64::from(long(inode, seconds).cast_signed()) + (i64::from(epoch) << 32)
}

fn put_time(inode: &mut [u8], (seconds, extra): (usize, usize), time: u64) {
    inode[seconds..seconds + 4].copy_from_slice(&(time as u32).to_le_bytes());
    if has_extra(inode, extra) {
        // The epoch bits count what the signed seconds leave out (kernel, `ext4_encode_extra_time`).
        let signed = i64::from((time as u32).cast_signed());
        let epoch = (time.wrapping_sub(signed.cast_unsigned()) >> 32) as u32 & 3;
        inode[extra..extra + 4].copy_from_slice(&epoch.to_le_bytes());
    }
}

/// What the superblock says that is needed here.
struct Superblock {
    groups: u64,
    inodes_per_group: u32,
    /// The byte offset of the group descriptors.
    descriptors: u64,
    /// Bytes of a group descriptor.
    descriptor_len: u64,
    /// Bytes in use.
    used: u64,
    /// What checksums begin with; none where there are none (ext2 and ext3).
    checksum_seed: Option<u32>,
}

impl Superblock {
    fn read(place: &Place<'_>) -> Result<Self, Error> {
        let bytes = place.read(SUPERBLOCK, 1024)?;
        let is_64bit = long(&bytes, 96) & INCOMPAT_64BIT != 0;
        let has_checksums = long(&bytes, 100) & RO_COMPAT_METADATA_CSUM != 0;
        let wide = |low: usize, high: usize| u64::from(long(&bytes, low)) | if is_64bit { u64::from(long(&bytes, high)) << 32 } else { 0 };
        let as_asked = short(&bytes, 56) == 0xef53
            && long(&bytes, 24) == 2
            && u64::from(short(&bytes, 88)) == INODE
            && is_64bit == has_checksums
            && short(&bytes, 254) == if is_64bit { 64 } else { 0 };
        if !as_asked {
            return Err(Error::Ext4("another magic number, block size, inode size or feature than asked for"));
        }
        let (blocks, free, per_group, inodes_per_group) = (wide(4, 336), wide(12, 344), long(&bytes, 32), long(&bytes, 40));
        let groups = if per_group == 0 { 0 } else { blocks.div_ceil(u64::from(per_group)) };
        let inodes = groups.saturating_mul(u64::from(inodes_per_group));
        if groups > MOST_GROUPS || inodes_per_group > MOST_INODES_PER_GROUP || inodes != u64::from(long(&bytes, 0)) || free > blocks {
            return Err(Error::Ext4("a superblock whose counts contradict each other"));
        }
        let checksum_seed = has_checksums.then(|| crc32c(!0, &bytes[104..120]));
        let descriptor_len = if is_64bit { 64 } else { 32 };
        Ok(Self { groups, inodes_per_group, descriptors: BLOCK, descriptor_len, used: (blocks - free) * BLOCK, checksum_seed })
    }

    /// Writes an inode's checksum: of its number, its generation, and itself with the checksum as zero.
    fn seal(&self, inode: &mut [u8], number: u32) {
        let Some(seed) = self.checksum_seed else { return };
        inode[124..126].fill(0);
        let wide = has_extra(inode, 128);
        if wide {
            inode[130..132].fill(0);
        }
        let seed = crc32c(crc32c(seed, &number.to_le_bytes()), &inode[100..104]);
        let sum = crc32c(seed, inode).to_le_bytes();
        inode[124..126].copy_from_slice(&sum[..2]);
        // The upper half has a place only where the inode is large enough.
        if wide {
            inode[130..132].copy_from_slice(&sum[2..]);
        }
    }
}

/// A partition within the disk.
struct Place<'a> {
    file: &'a File,
    path: &'a Path,
    start: u64,
    len: u64,
}

impl Place<'_> {
    fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>, Error> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(Error::Ext4("a block beyond the partition"));
        }
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, self.start + offset).map_err(Error::io("read", self.path))?;
        Ok(bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(bytes, self.start + offset).map_err(Error::io("write", self.path))
    }
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_2038_have_their_epoch_bits() {
        for time in [0_i64, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_8000_0000, 0x3_7fff_ffff] {
            let mut inode = [0; INODE as usize];
            inode[128] = 32;
            put_time(&mut inode, MODIFICATION, time.cast_unsigned());
            assert_eq!(time_of(&inode, MODIFICATION), time);
        }
    }
}
