//! An inode's 256 bytes.

use super::INODE;
use super::map::MAP_LEN;
use super::scan::Node;

/// Bytes of the fields behind the first 128, of every inode.
const EXTRA_LEN: u16 = 32;

/// Where extended attributes begin in an inode.
pub(super) const ATTRIBUTES_AT: usize = 128 + EXTRA_LEN as usize;

/// The offsets of times: of their 32 bits of seconds, and of the extra field above them.
const ACCESS: (usize, usize) = (8, 140);
const CHANGE: (usize, usize) = (12, 132);
const MODIFICATION: (usize, usize) = (16, 136);
const BIRTH: (usize, usize) = (144, 148);

/// Flag: the field `i_block` is the root of a tree of extents.
pub(super) const EXTENTS_FLAG: u32 = 0x8_0000;

/// What an inode says, but for its attributes and its checksum.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    /// Kind and permissions, as in `st_mode`.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Bytes of content.
    pub(super) size: u64,
    /// When the content was last changed, in seconds since the epoch.
    pub(super) modified: u64,
    /// Its names; of a folder also `.` in it, and `..` in those in it.
    pub(super) links: u32,
    pub(super) flags: u32,
    /// The field `i_block`: a map of blocks, a short link's target, or a device's number.
    pub(super) map: [u8; MAP_LEN],
    /// Blocks of content, map and attributes.
    pub(super) blocks: u64,
    /// The block of attributes; 0 if there is none.
    pub(super) attributes: u64,
}

impl Inode {
    /// An inode without content.
    pub(super) fn of(node: &Node, latest: u64) -> Self {
        Self {
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            size: 0,
            modified: u64::try_from(node.modified).unwrap_or(0).min(latest),
            links: node.links,
            flags: 0,
            map: [0; MAP_LEN],
            blocks: 0,
            attributes: 0,
        }
    }

    /// A file of the file system itself, without content.
    pub(super) fn own(time: u64) -> Self {
        Self { mode: 0o100_600, uid: 0, gid: 0, size: 0, modified: time, links: 1, flags: 0, map: [0; MAP_LEN], blocks: 0, attributes: 0 }
    }

    /// The bytes, with `time` (in seconds since the epoch) for all times but the modification's.
    pub(super) fn encode(&self, time: u64) -> [u8; INODE as usize] {
        let mut bytes = [0; INODE as usize];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        let low = |value: u64| (value as u32).to_le_bytes();
        let sectors = self.blocks * (super::BLOCK / 512);
        put(0, &self.mode.to_le_bytes());
        put(2, &(self.uid as u16).to_le_bytes());
        put(4, &low(self.size));
        put(24, &(self.gid as u16).to_le_bytes());
        put(26, &(self.links as u16).to_le_bytes());
        put(28, &low(sectors));
        put(32, &self.flags.to_le_bytes());
        put(40, &self.map);
        put(104, &low(self.attributes));
        put(108, &low(self.size >> 32));
        put(116, &((sectors >> 32) as u16).to_le_bytes());
        put(118, &((self.attributes >> 32) as u16).to_le_bytes());
        put(120, &((self.uid >> 16) as u16).to_le_bytes());
        put(122, &((self.gid >> 16) as u16).to_le_bytes());
        put(128, &EXTRA_LEN.to_le_bytes());
        for ((at, extra_at), time) in [(ACCESS, time), (CHANGE, time), (BIRTH, time), (MODIFICATION, self.modified)] {
            put(at, &low(time));
            put(extra_at, &epoch(time).to_le_bytes());
        }
        bytes
    }
}

/// The bits that a time in seconds has above 32: they count what its lower ones, which are signed, leave out (kernel, `ext4_encode_extra_time`).
fn epoch(time: u64) -> u32 {
    let signed = i64::from((time as u32).cast_signed());
    (time.wrapping_sub(signed.cast_unsigned()) >> 32) as u32 & 3
}

/// The field `i_block` of a device: 8 bits each of major and minor number, or 12 and 20 of them in the second word (kernel, `new_encode_dev`).
pub(super) fn device(major: u32, minor: u32) -> [u8; MAP_LEN] {
    let mut map = [0; MAP_LEN];
    if major < 256 && minor < 256 {
        map[..4].copy_from_slice(&(major << 8 | minor).to_le_bytes());
    } else {
        map[4..8].copy_from_slice(&(minor & 0xff | major << 8 | (minor & !0xff) << 12).to_le_bytes());
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ext;

    #[test]
    fn is_read_as_it_was_written() {
        for modified in [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_8000_0000, 0x3_7fff_ffff] {
            let inode =
                Inode { uid: 70_000, gid: 1 << 31, size: 5 << 32 | 7, modified, attributes: 9 << 32 | 3, flags: EXTENTS_FLAG, ..Inode::own(0) };
            let read = ext::Inode::decode(&inode.encode(4)).unwrap();
            assert_eq!((read.mode, read.uid, read.gid, read.size), (0o100_600, 70_000, 1 << 31, 5 << 32 | 7));
            assert_eq!((read.modified, read.attributes, read.flags), (modified.cast_signed(), 9 << 32 | 3, EXTENTS_FLAG));
        }
    }

    #[test]
    fn devices_are_read_as_they_were_written() {
        for numbers in [(1, 3), (255, 255), (256, 0), (8, 256), (0xfff, 0xf_ffff)] {
            let inode = Inode { map: device(numbers.0, numbers.1), ..Inode::own(0) };
            assert_eq!(ext::Inode::decode(&inode.encode(0)).unwrap().device(), numbers);
        }
    }
}
