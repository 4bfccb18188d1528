//! ext2, ext3 and ext4 as bytes: superblock, group descriptors, inodes, extents, entries of folders (the kernel's `Documentation/filesystems/ext4`).
//!
//! Everything is hostile until checked: a value that is handed out is one that a reader can count with. Checksums are not looked at: what they guard is
//! compared or cut, never written back.

use super::number::{long, short};

/// Where the superblock begins, in bytes from the beginning of the file system.
pub(crate) const SUPERBLOCK: u64 = 1024;

/// The length of a superblock in bytes.
pub(crate) const SUPERBLOCK_LEN: u64 = 1024;

/// The inode of the root folder.
pub(crate) const ROOT_INODE: u32 = 2;

/// Features that change where things lie (the kernel's `INCOMPAT_…`).
pub(crate) mod incompat {
    pub(crate) const FILETYPE: u32 = 0x2;
    pub(crate) const RECOVER: u32 = 0x4;
    pub(crate) const EXTENTS: u32 = 0x40;
    pub(crate) const BITS_64: u32 = 0x80;
    pub(crate) const INLINE_DATA: u32 = 0x8000;
    /// Those under which everything read here is where we look for it; of others nothing is known: file types, recovery, extents, 64 bits, multiple mount
    /// protection, flexible groups, values in inodes, checksum seed, large folders, inline data, encryption, casefolding.
    pub(crate) const KNOWN: u32 =
        FILETYPE | RECOVER | EXTENTS | BITS_64 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | INLINE_DATA | 0x1_0000 | 0x2_0000;
}

/// There is a journal (`COMPAT_HAS_JOURNAL`).
const COMPAT_HAS_JOURNAL: u32 = 0x4;
/// Descriptors say which inodes were never used (`RO_COMPAT_GDT_CSUM`, `RO_COMPAT_METADATA_CSUM`).
const RO_COMPAT_CHECKSUMS: u32 = 0x10 | 0x400;
/// The features of ext4 that ext3 has not: large files of many blocks, checksums, many folders, inodes with more fields.
const RO_COMPAT_EXT4: u32 = 0x8 | 0x10 | 0x20 | 0x40 | 0x400;

/// Blocks of a group at least, where there is more than one: what `mke2fs -g` lets pass, in eights. With fewer, a small file would claim groups without end.
const LEAST_BLOCKS_PER_GROUP: u64 = 256;

const MAGIC: u16 = 0xef53;
const EXTENT_MAGIC: u16 = 0xf30a;
const BG_INODE_UNINIT: u16 = 1;

/// A longer extent is reserved, and reads as zeros.
const LONGEST_EXTENT: u16 = 1 << 15;

/// Why bytes are no superblock that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something else is there.
    Foreign,
    /// Features that are not known: their bits.
    Unsupported(u32),
    /// A field has a value that it cannot have.
    Inconsistent(&'static str),
}

/// What a superblock says.
#[derive(Debug, Clone)]
pub(crate) struct Superblock {
    /// The length of a block in bytes: 1 to 64 KiB.
    pub(crate) block: u64,
    /// How many blocks there are.
    pub(crate) blocks: u64,
    /// How many of them are not in use.
    pub(crate) free_blocks: u64,
    pub(crate) groups: u64,
    pub(crate) inodes_per_group: u64,
    pub(crate) inode_len: usize,
    /// The length of a group descriptor in bytes: 32 or 64.
    pub(crate) descriptor_len: u64,
    /// The byte offset of the group descriptors.
    pub(crate) descriptors: u64,
    pub(crate) incompat: u32,
    pub(crate) uuid: [u8; 16],
    /// Up to the first zero; empty where there is none.
    pub(crate) label: Vec<u8>,
    /// `ext2`, `ext3` or `ext4`.
    pub(crate) kind: &'static str,
    says_unused: bool,
}

impl Superblock {
    /// Reads the bytes at [`SUPERBLOCK`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        if short(bytes, 56) != Some(MAGIC) {
            return Err(Refusal::Foreign);
        }
        Self::fields(bytes).ok_or(Refusal::Foreign)?
    }

    fn fields(bytes: &[u8]) -> Option<Result<Self, Refusal>> {
        let (compat, features, ro_compat) = (long(bytes, 92)?, long(bytes, 96)?, long(bytes, 100)?);
        if features & !incompat::KNOWN != 0 {
            return Some(Err(Refusal::Unsupported(features & !incompat::KNOWN)));
        }
        let exponent = long(bytes, 24)?;
        if exponent > 6 {
            return Some(Err(Refusal::Inconsistent("the length of its blocks is out of bounds")));
        }
        let block = 1024 << exponent;
        let wide = features & incompat::BITS_64 != 0;
        let both = |low: usize, high: usize| Some(u64::from(long(bytes, low)?) | if wide { u64::from(long(bytes, high)?) << 32 } else { 0 });
        let (blocks, free_blocks, first) = (both(4, 336)?, both(12, 344)?, u64::from(long(bytes, 20)?));
        let (blocks_per_group, inodes_per_group) = (u64::from(long(bytes, 32)?), u64::from(long(bytes, 40)?));
        // The first revision has inodes of 128 bytes, and no field for their length.
        let inode_len = if long(bytes, 76)? == 0 { 128 } else { usize::from(short(bytes, 88)?) };
        let descriptor_len = if wide { u64::from(short(bytes, 254)?) } else { 32 };
        // A block of bits each says which are in use; with clusters of blocks it counts more of them.
        let counts = 1..=8 * block;
        let groups = blocks.saturating_sub(first).div_ceil(blocks_per_group.max(1));
        let consistent = blocks_per_group > 0
            && blocks_per_group.is_multiple_of(8)
            && (blocks_per_group >= LEAST_BLOCKS_PER_GROUP || groups <= 1)
            && counts.contains(&inodes_per_group)
            && blocks < 1 << 48
            && free_blocks <= blocks
            && first == u64::from(block == 1024)
            && inode_len.is_power_of_two()
            && (128..=4096).contains(&inode_len)
            && inode_len as u64 <= block
            && [32, 64].contains(&descriptor_len);
        if !consistent {
            return Some(Err(Refusal::Inconsistent("its superblock contradicts itself")));
        }
        let has_ext4 = features & (incompat::EXTENTS | incompat::BITS_64) != 0 || ro_compat & RO_COMPAT_EXT4 != 0;
        let kind = match (has_ext4, compat & COMPAT_HAS_JOURNAL != 0) {
            (true, _) => "ext4",
            (false, true) => "ext3",
            (false, false) => "ext2",
        };
        Some(Ok(Self {
            block,
            blocks,
            free_blocks,
            groups,
            inodes_per_group,
            inode_len,
            descriptor_len,
            descriptors: (first + 1) * block,
            incompat: features,
            uuid: bytes.get(104..120)?.try_into().ok()?,
            label: bytes.get(120..136)?.split(|byte| *byte == 0).next().unwrap_or_default().to_vec(),
            kind,
            says_unused: ro_compat & RO_COMPAT_CHECKSUMS != 0,
        }))
    }

    /// Where the inode table of the group of this descriptor begins, in bytes, and how many of its inodes were ever used.
    pub(crate) fn group(&self, descriptor: &[u8]) -> Option<(u64, u64)> {
        let wide = self.descriptor_len == 64;
        let high = |at: usize| if wide { long(descriptor, at).map_or(0, u64::from) } else { 0 };
        let high_short = |at: usize| if wide { short(descriptor, at).map_or(0, u64::from) } else { 0 };
        let table = u64::from(long(descriptor, 8)?) | high(40) << 32;
        let mut used = self.inodes_per_group;
        if self.says_unused {
            if short(descriptor, 18)? & BG_INODE_UNINIT != 0 {
                return None;
            }
            used = used.checked_sub(u64::from(short(descriptor, 28)?) | high_short(50) << 16)?;
        }
        Some((table.checked_mul(self.block)?, used))
    }
}

/// What an inode says.
#[derive(Debug, Clone)]
pub(crate) struct Inode {
    /// Kind and permissions, as in `st_mode`.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Bytes of content.
    pub(crate) size: u64,
    /// Seconds since the epoch.
    pub(crate) modified: i64,
    pub(crate) flags: u32,
    /// The map of its blocks, the target of a short link, or the number of a device.
    pub(crate) map: [u8; 60],
    /// The block that has extended attributes of it; 0 where there is none.
    pub(crate) attributes: u64,
}

impl Inode {
    /// Its map is a tree of extents.
    pub(crate) const EXTENTS: u32 = 0x8_0000;
    /// Its content is in the inode itself.
    pub(crate) const INLINE: u32 = 0x1000_0000;

    /// The bits of `mode` that say what it is.
    pub(crate) fn kind(&self) -> u16 {
        self.mode & 0o170_000
    }

    /// Reads the bytes of an inode, of which there are at least 128.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mode = short(bytes, 0)?;
        let half = |low: usize, high: usize| Some(u32::from(short(bytes, low)?) | u32::from(short(bytes, high)?) << 16);
        // Above the 32 bits are two more in an extra field, where the inode is large enough for it.
        let has_extra = bytes.len() > 128 && short(bytes, 128)? >= 12;
        let epoch = if has_extra { long(bytes, 136)? & 3 } else { 0 };
        Some(Self {
            mode,
            uid: half(2, 120)?,
            gid: half(24, 122)?,
            size: u64::from(long(bytes, 4)?) | u64::from(long(bytes, 108)?) << 32,
            modified: i64::from(long(bytes, 16)?.cast_signed()) + (i64::from(epoch) << 32),
            flags: long(bytes, 32)?,
            map: bytes.get(40..100)?.try_into().ok()?,
            attributes: u64::from(long(bytes, 104)?) | u64::from(short(bytes, 118)?) << 32,
        })
    }

    /// Major and minor number of a device.
    pub(crate) fn device(&self) -> (u32, u32) {
        let number = |at: usize| long(&self.map, at).unwrap_or_default();
        match number(0) {
            0 => {
                let new = number(4);
                ((new & 0xf_ff00) >> 8, new & 0xff | (new >> 12) & 0xf_ff00)
            }
            old => (old >> 8 & 0xff, old & 0xff),
        }
    }
}

/// A node of a tree of extents: the root in an inode, or a block.
#[derive(Debug)]
pub(crate) struct ExtentNode<'a> {
    /// Levels below it; 0 is a leaf.
    pub(crate) depth: u16,
    entries: &'a [u8],
}

/// An entry of a leaf.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtentEntry {
    /// The first block of the file that it has.
    pub(crate) logical: u64,
    /// The block of the disk that it is at.
    pub(crate) physical: u64,
    pub(crate) blocks: u64,
    /// Reserved, and read as zeros.
    pub(crate) unwritten: bool,
}

impl<'a> ExtentNode<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (entries, depth) = (usize::from(short(bytes, 2)?), short(bytes, 6)?);
        (short(bytes, 0)? == EXTENT_MAGIC && depth <= 5).then_some(())?;
        let all = bytes.get(12..)?;
        Some(Self { depth, entries: &all[..all.len().min(entries * 12)] })
    }

    /// The entries of a leaf.
    pub(crate) fn extents(&self) -> impl Iterator<Item = ExtentEntry> + use<'a> {
        self.entries.chunks_exact(12).filter_map(|entry| {
            let blocks = short(entry, 4)?;
            let unwritten = blocks > LONGEST_EXTENT;
            Some(ExtentEntry {
                logical: long(entry, 0)?.into(),
                physical: u64::from(long(entry, 8)?) | u64::from(short(entry, 6)?) << 32,
                blocks: u64::from(if unwritten { blocks - LONGEST_EXTENT } else { blocks }),
                unwritten,
            })
        })
    }

    /// The blocks of the nodes below.
    pub(crate) fn below(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.entries.chunks_exact(12).filter_map(|entry| Some(u64::from(long(entry, 4)?) | u64::from(short(entry, 8)?) << 32))
    }
}

/// The entries of a block of a folder, with their inodes: unused ones left out. An error is a block whose entries contradict themselves.
pub(crate) fn entries(block: &[u8]) -> impl Iterator<Item = Result<(u32, &[u8]), &'static str>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let Some((inode, name, len)) = entry(rest, block.len()) else {
                rest = &[];
                return Some(Err("a folder has an entry that is out of bounds"));
            };
            rest = &rest[len..];
            if inode != 0 && !name.is_empty() {
                return Some(Ok((inode, name)));
            }
        }
        None
    })
}

fn entry(bytes: &[u8], block: usize) -> Option<(u32, &[u8], usize)> {
    let (inode, len, name_len) = (long(bytes, 0)?, usize::from(short(bytes, 4)?), usize::from(*bytes.get(6)?));
    // In blocks of 64 KiB an entry may be as long as no 16 bits can say.
    let len = if block == 1 << 16 && (len == 0 || len == 0xffff) { block } else { len };
    let fits = len >= 8 && len.is_multiple_of(4) && len <= bytes.len();
    // The names of unused entries, and of checksums in their form, are nothing.
    let name = if inode == 0 { Some(&[][..]) } else { bytes.get(8..8 + name_len).filter(|_| 8 + name_len <= len) };
    fits.then_some((inode, name?, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_in_their_block() {
        let mut block = vec![0; 1024];
        block[..8].copy_from_slice(&[11, 0, 0, 0, 12, 0, 1, 2]);
        block[8] = b'.';
        block[12..20].copy_from_slice(&[12, 0, 0, 0, 0xf4, 3, 4, 1]);
        block[20..24].copy_from_slice(b"name");
        let all = |block: &[u8]| entries(block).map(|entry| entry.map(|(inode, name)| (inode, name.to_vec()))).collect::<Vec<_>>();
        assert_eq!(all(&block), [Ok((11, b".".to_vec())), Ok((12, b"name".to_vec()))]);
        for wrong in [0_u16, 4, 9, 0x3f8, 0xffff] {
            block[16..18].copy_from_slice(&wrong.to_le_bytes());
            assert!(all(&block).last().unwrap().is_err(), "{wrong}");
        }
        block[16..18].copy_from_slice(&8_u16.to_le_bytes());
        assert!(all(&block)[1].is_err(), "a name that is longer than its entry");
    }

    #[test]
    fn devices_have_numbers_of_both_kinds() {
        let mut inode = Inode::decode(&[0; 128]).unwrap();
        inode.map[0..4].copy_from_slice(&0x0103_u32.to_le_bytes());
        assert_eq!(inode.device(), (1, 3));
        inode.map[0..8].copy_from_slice(&(u64::from(0x1230_1245_u32) << 32).to_le_bytes());
        assert_eq!(inode.device(), (0x12, 0x1_2345));
    }

    #[test]
    fn bytes_that_are_no_superblock_are_refused() {
        assert_eq!(Superblock::decode(&[0; 1024]).unwrap_err(), Refusal::Foreign);
        let mut bytes = vec![0; 1024];
        bytes[56..58].copy_from_slice(&MAGIC.to_le_bytes());
        assert!(matches!(Superblock::decode(&bytes), Err(Refusal::Inconsistent(_))));
        bytes[96] = 0x10;
        assert_eq!(Superblock::decode(&bytes).unwrap_err(), Refusal::Unsupported(0x10));
        assert_eq!(Superblock::decode(&bytes[..60]).unwrap_err(), Refusal::Foreign);
    }

    #[test]
    fn groups_are_as_large_as_real_ones() {
        let groups = |blocks: u32, per_group: u32| {
            let mut bytes = vec![0; 1024];
            // Blocks of 4 KiB, 32 inodes of 128 bytes in a group.
            for (at, number) in [(4, blocks), (24, 2), (32, per_group), (40, 32)] {
                bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            }
            bytes[56..58].copy_from_slice(&MAGIC.to_le_bytes());
            Superblock::decode(&bytes).map(|superblock| superblock.groups).ok()
        };
        assert_eq!([256, 264, 32_768].map(|per_group| groups(1 << 20, per_group)), [Some(4096), Some(3972), Some(32)]);
        assert_eq!([0, 1, 8, 248, 255, 257, 260].map(|per_group| groups(1 << 28, per_group)), [None; 7]);
        // A small file system that is one group.
        assert_eq!([groups(64, 64), groups(65, 64), groups(64, 60)], [Some(1), None, None]);
    }
}
