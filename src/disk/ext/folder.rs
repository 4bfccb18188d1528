//! The blocks of a folder: names and the numbers of their inodes, one after the other.

use super::BLOCK;
use super::checksum::{Checksums, FOLDER_TAIL};

/// One name in a folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u32,
    /// Kind and permissions of what it names, as in `st_mode`.
    pub(super) mode: u16,
}

/// What stands where a file's kind would be, in the entry that is a checksum.
const CHECKSUM_KIND: u8 = 0xde;

/// All blocks of the folder with this number, at least so many of them, with `.`, `..` and then these names in them.
pub(super) fn encode<'a>(number: u32, parent: u32, names: impl IntoIterator<Item = Entry<'a>>, least: usize, checksums: Checksums) -> Vec<u8> {
    const FOLDER: u16 = 0o040_000;
    let room = BLOCK as usize - if checksums.exist() { FOLDER_TAIL } else { 0 };
    let own = [Entry { name: b".", inode: number, mode: FOLDER }, Entry { name: b"..", inode: parent, mode: FOLDER }];
    let mut bytes = Vec::new();
    // Where the block begins, and its last entry: the one that has what is left of it.
    let (mut block, mut last) = (0, 0);
    for entry in own.into_iter().chain(names) {
        if bytes.len() + entry_len(entry.name) > block + room {
            close(&mut bytes, last, block + room);
            block += BLOCK as usize;
            bytes.resize(block, 0);
        }
        last = bytes.len();
        bytes.extend_from_slice(&entry.inode.to_le_bytes());
        bytes.extend_from_slice(&(entry_len(entry.name) as u16).to_le_bytes());
        bytes.extend_from_slice(&[entry.name.len() as u8, kind(entry.mode)]);
        bytes.extend_from_slice(entry.name);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    close(&mut bytes, last, block + room);
    bytes.resize(block + BLOCK as usize, 0);
    while bytes.len() < least * BLOCK as usize {
        // Nothing but one entry that is not in use.
        block = bytes.len();
        bytes.resize(block + BLOCK as usize, 0);
        close(&mut bytes, block, block + room);
    }
    if checksums.exist() {
        for block in bytes.chunks_exact_mut(BLOCK as usize) {
            block[room + 4..room + 6].copy_from_slice(&(FOLDER_TAIL as u16).to_le_bytes());
            block[room + 7] = CHECKSUM_KIND;
            checksums.block_of_file(number, block, FOLDER_TAIL);
        }
    }
    bytes
}

/// How many blocks a folder with these names has.
pub(super) fn blocks<'a>(names: impl IntoIterator<Item = &'a [u8]>, has_checksums: bool) -> usize {
    let room = BLOCK as usize - if has_checksums { FOLDER_TAIL } else { 0 };
    let own: [&[u8]; 2] = [b".", b".."];
    let lengths = own.into_iter().chain(names).map(entry_len);
    let (full, _) = lengths.fold((0, 0), |(full, used), len| if used + len > room { (full + 1, len) } else { (full, used + len) });
    full + 1
}

/// Lets the entry at `last` end at `end`.
fn close(bytes: &mut [u8], last: usize, end: usize) {
    bytes[last + 4..last + 6].copy_from_slice(&((end - last) as u16).to_le_bytes());
}

fn entry_len(name: &[u8]) -> usize {
    (8 + name.len()).next_multiple_of(4)
}

/// The kind of a file as an entry says it (kernel, `EXT4_FT_…`).
fn kind(mode: u16) -> u8 {
    match mode & 0o170_000 {
        0o100_000 => 1,
        0o040_000 => 2,
        0o020_000 => 3,
        0o060_000 => 4,
        0o010_000 => 5,
        0o120_000 => 7,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::Features;
    use super::*;
    use crate::disk::kind::FileSystem;
    use crate::format::ext::entries;

    #[test]
    fn names_are_read_as_they_were_written() {
        let longest = "x".repeat(255);
        for filesystem in [FileSystem::Ext2, FileSystem::Ext4] {
            let checksums = Checksums::new(Features::of(filesystem), &[7; 16]);
            for count in [0, 1, 14, 15, 16, 500] {
                let names: Vec<String> = (0..count).map(|number| format!("{number}{}", &longest[..number * 7 % 250])).collect();
                let named = names.iter().zip(12..).map(|(name, inode)| Entry { name: name.as_bytes(), inode, mode: 0o100_644 });
                let bytes = encode(11, 2, named, 4, checksums);
                assert!(bytes.len() >= 4 * BLOCK as usize && bytes.len().is_multiple_of(BLOCK as usize));
                let read: Vec<(u32, Vec<u8>)> = bytes
                    .chunks_exact(BLOCK as usize)
                    .flat_map(entries)
                    .map(|entry| entry.map(|(inode, name)| (inode, name.to_vec())).unwrap())
                    .collect();
                let own = [(11, b".".to_vec()), (2, b"..".to_vec())];
                let expected: Vec<_> = own.into_iter().chain((12..).zip(names.iter().map(|name| name.clone().into_bytes()))).collect();
                assert_eq!(read, expected, "{filesystem:?}, {count}");
                let blocks = blocks(names.iter().map(String::as_bytes), checksums.exist());
                assert_eq!(bytes.len(), blocks.max(4) * BLOCK as usize);
            }
        }
    }
}
