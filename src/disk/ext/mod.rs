//! ext2, ext3 and ext4 with a tree in them, made by the host's `mke2fs -d` straight into the partition's place in the disk file.
//!
//! The same tree gives the same bytes: identifiers and hash seed are given, times that are the clock's come from `E2FSPROGS_FAKE_TIME`, `mke2fs`
//! takes names in sorted order (measured with 1.47.0: trees made in different orders on tmpfs give the same file system), and what it copies from the
//! build machine (change and access times) is set afterwards ([`inodes`]).

mod inodes;
mod needs;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use self::needs::Needs;
use super::error::Error;
use super::kind::FileSystem;
use super::layout::{Layout, Partition};
use super::program::{self, MKE2FS};
use crate::progress::Cancel;
use crate::tree::Tree;
use crate::units::ByteSize;

/// Block size in bytes: that of memory pages, which every kernel mounts.
const BLOCK: u64 = 4096;

/// Bytes of an inode.
const INODE: u64 = 256;

/// The percentage of blocks that only root may fill. The usual 5 % are from a time of small disks and slow allocators: on an image of 4 GiB they are
/// 200 MB that its user paid for and cannot use. One percent still lets root log in and clean up.
const RESERVED_PERCENT: &str = "1";

/// What every kernel since 5.10 mounts and GRUB 2.06 reads. Not among them: `metadata_csum_seed` and `orphan_file`, which newer versions of `mke2fs`
/// switch on and older ones of GRUB refuse.
const EXT4_FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,\
                        dir_nlink,extra_isize,metadata_csum";

/// ext2: what has no journal and no extents, and every driver of it reads.
const EXT2_FEATURES: &str = "none,ext_attr,resize_inode,dir_index,filetype,sparse_super,large_file";

/// ext3 is ext2 with a journal.
const EXT3_FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,sparse_super,large_file";

/// In place of the host's `/etc/mke2fs.conf`. Its types are those that `mke2fs` looks up by the size of the file system.
const CONFIG: &str = "\
[defaults]
	base_features = none
[fs_types]
	ext2 = {
		features = none
	}
	ext3 = {
		features = none
	}
	ext4 = {
		features = none
	}
	floppy = {
	}
	small = {
	}
	big = {
	}
	huge = {
	}
";

/// Makes the file system of a partition, with `tree` in it; returns how many bytes of it are in use. `disk` has its full length and is zero there. `scratch`
/// is a folder for small files.
pub(super) fn write(
    disk: (&File, &Path),
    layout: &Layout,
    partition: &Partition,
    tree: &Tree,
    scratch: &Path,
    cancel: &Cancel,
) -> Result<u64, Error> {
    let needs = Needs::of(tree, cancel)?;
    let blocks = partition.len / BLOCK;
    let inodes = needs.inodes_for(partition.len);
    let (kind, features) = match partition.filesystem {
        Some(FileSystem::Ext2) => ("ext2", EXT2_FEATURES),
        Some(FileSystem::Ext3) => ("ext3", EXT3_FEATURES),
        _ => ("ext4", EXT4_FEATURES),
    };
    let journal = if partition.filesystem == Some(FileSystem::Ext2) { 0 } else { needs::journal_for(partition.len) };
    let needed = needs.bytes_with(inodes, journal);
    if needed > partition.len {
        return Err(too_small(partition, needed - partition.len));
    }

    let mut config = tempfile::Builder::new().prefix("mke2fs-").suffix(".conf").tempfile_in(scratch).map_err(Error::io("write in", scratch))?;
    config.write_all(CONFIG.as_bytes()).map_err(Error::io("write", config.path()))?;
    let extended = format!(
        "offset={},hash_seed={},lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner={}",
        partition.start,
        layout.uuid(&format!("hash seed {}", partition.name)),
        needs.root_owner,
    );
    let uuid = layout.filesystem_uuid(partition);
    let (inodes, inode_len, block_len) = (inodes.to_string(), INODE.to_string(), BLOCK.to_string());
    let (journal_size, size) = (format!("size={}", journal >> 20), format!("{}k", blocks * (BLOCK >> 10)));
    let options = ["-q", "-F", "-t", kind, "-O", features, "-b", &block_len, "-I", &inode_len, "-N", &inodes, "-m", RESERVED_PERCENT];
    let journal: &[&str] = if journal == 0 { &[] } else { &["-J", &journal_size] };
    let more = ["-U", &uuid, "-E", &extended, "-L", partition.label.as_deref().unwrap_or(""), "-d"];
    let mut arguments: Vec<&OsStr> = options.iter().chain(journal).chain(&more).map(OsStr::new).collect();
    arguments.extend([tree.path().as_os_str(), disk.1.as_os_str(), OsStr::new(&size)]);
    let environment = [
        ("MKE2FS_CONFIG", config.path().to_string_lossy().into_owned()),
        // Read by 1.47.0 and before; from 1.47.1 on it is the second that counts.
        ("E2FSPROGS_FAKE_TIME", layout.time.to_string()),
        ("SOURCE_DATE_EPOCH", layout.time.to_string()),
    ];
    program::run(MKE2FS, &arguments, &environment, cancel).map_err(|error| full(error, partition, &needs))?;
    let root_mode = std::fs::metadata(tree.path()).map_err(Error::io("read", tree.path()))?.permissions().mode();
    inodes::settle(disk, partition, inodes::Settings { time: layout.time, root_mode: root_mode as u16 & 0o7777 }, cancel)
}

fn too_small(partition: &Partition, missing: u64) -> Error {
    Error::TooSmall { partition: partition.name.clone(), has: ByteSize(partition.len), missing: ByteSize(missing.next_multiple_of(1 << 20)) }
}

/// What was foreseen is exact but for extended attributes and the inner nodes of large files: where it was not enough, a twentieth more is.
fn full(error: Error, partition: &Partition, needs: &Needs) -> Error {
    match &error {
        Error::Program { output, .. } if output.contains("Could not allocate") || output.contains("No free space") => {
            too_small(partition, needs.content_bytes() / 20 + (1 << 20))
        }
        _ => error,
    }
}
