//! Where the blocks of a file are: as extents (ext4), or block by block (ext2, ext3).

use super::checksum::EXTENTS_TAIL;
use super::{BLOCK, NUMBERS_PER_BLOCK as NUMBERS};

/// A run of blocks of a file that lie side by side on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Its first block in the file.
    pub(super) logical: u64,
    /// Its first block in the file system.
    pub(super) physical: u64,
    pub(super) blocks: u64,
}

/// What an inode says of its blocks, and how many more these took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Map {
    /// The field `i_block`.
    pub(super) bytes: [u8; MAP_LEN],
    /// Blocks of the map itself.
    pub(super) nodes: u64,
}

/// What takes a block of a map and says where it lies.
pub(super) type Place<'a, E> = &'a mut dyn FnMut(Vec<u8>) -> Result<u64, E>;

/// The fewest blocks that a map takes of a file with so many blocks of data in so many runs.
pub(super) fn least_nodes(blocks: u64, runs: u64, has_extents: bool) -> u64 {
    match has_extents {
        true if runs > IN_INODE as u64 => runs.div_ceil(IN_BLOCK as u64),
        true => 0,
        false => blocks.saturating_sub(DIRECT).div_ceil(NUMBERS),
    }
}

/// Bytes of the field `i_block`.
pub(super) const MAP_LEN: usize = 60;

const EXTENT_MAGIC: u16 = 0xf30a;
/// The most blocks of an extent.
const LONGEST_EXTENT: u64 = 1 << 15;
/// Bytes of a header of extents, of an extent, and of an entry of an inner node.
const ENTRY: usize = 12;
/// How many entries an inode has room for, and a block.
const IN_INODE: usize = MAP_LEN / ENTRY - 1;
const IN_BLOCK: usize = (BLOCK as usize - ENTRY - EXTENTS_TAIL) / ENTRY;

/// Maps by a tree of extents. Each block that is placed still needs its checksum.
pub(super) fn by_extents<E>(extents: &[Extent], place: Place<'_, E>) -> Result<Map, E> {
    let mut entries: Vec<[u8; ENTRY]> = Vec::new();
    for extent in extents {
        for done in (0..extent.blocks).step_by(LONGEST_EXTENT as usize) {
            let (physical, blocks) = (extent.physical + done, (extent.blocks - done).min(LONGEST_EXTENT));
            let mut entry = [0; ENTRY];
            entry[..4].copy_from_slice(&((extent.logical + done) as u32).to_le_bytes());
            entry[4..6].copy_from_slice(&(blocks as u16).to_le_bytes());
            entry[6..8].copy_from_slice(&((physical >> 32) as u16).to_le_bytes());
            entry[8..].copy_from_slice(&(physical as u32).to_le_bytes());
            entries.push(entry);
        }
    }
    let (mut depth, mut nodes) = (0, 0);
    while entries.len() > IN_INODE {
        let mut above = Vec::with_capacity(entries.len().div_ceil(IN_BLOCK));
        for part in entries.chunks(IN_BLOCK) {
            let block = place(node(part, IN_BLOCK, depth, BLOCK as usize))?;
            nodes += 1;
            let mut entry = [0; ENTRY];
            entry[..4].copy_from_slice(&part[0][..4]);
            entry[4..8].copy_from_slice(&(block as u32).to_le_bytes());
            entry[8..10].copy_from_slice(&((block >> 32) as u16).to_le_bytes());
            above.push(entry);
        }
        entries = above;
        depth += 1;
    }
    let mut bytes = [0; MAP_LEN];
    bytes.copy_from_slice(&node(&entries, IN_INODE, depth, MAP_LEN));
    Ok(Map { bytes, nodes })
}

/// A header and its entries, with room for `most`.
fn node(entries: &[[u8; ENTRY]], most: usize, depth: u16, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    for field in [EXTENT_MAGIC, entries.len() as u16, most as u16, depth, 0, 0] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend(entries.iter().flatten());
    bytes.resize(len, 0);
    bytes
}

/// Blocks that an inode numbers itself.
const DIRECT: u64 = 12;

/// Maps block by block: twelve in the inode, then through one, two and three levels of blocks of numbers. Zero is a hole.
pub(super) fn by_blocks<E>(extents: &[Extent], place: Place<'_, E>) -> Result<Map, E> {
    let mut map = Map { bytes: [0; MAP_LEN], nodes: 0 };
    let fields = (0..DIRECT).map(|logical| (logical, 0)).chain([(DIRECT, 1), (DIRECT + NUMBERS, 2), (DIRECT + NUMBERS + NUMBERS * NUMBERS, 3)]);
    for (field, (logical, level)) in map.bytes.chunks_exact_mut(4).zip(fields) {
        field.copy_from_slice(&number(extents, logical, level, place, &mut map.nodes)?.to_le_bytes());
    }
    Ok(map)
}

/// The block that has this block of a file, or with levels the numbers of those from it on.
fn number<E>(extents: &[Extent], logical: u64, level: u32, place: Place<'_, E>, nodes: &mut u64) -> Result<u32, E> {
    let reach = logical..logical + NUMBERS.pow(level);
    let first = extents.partition_point(|extent| extent.logical + extent.blocks <= reach.start);
    let within = &extents[first..];
    let Some(extent) = within.first().filter(|extent| extent.logical < reach.end) else { return Ok(0) };
    if level == 0 {
        return Ok((extent.physical + logical - extent.logical) as u32);
    }
    let mut bytes = Vec::with_capacity(BLOCK as usize);
    for at in 0..NUMBERS {
        bytes.extend(number(within, logical + at * NUMBERS.pow(level - 1), level - 1, place, nodes)?.to_le_bytes());
    }
    *nodes += 1;
    Ok(place(bytes)? as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;
    use crate::format::ext::ExtentNode;

    type Map<'a> = &'a dyn Fn(&[Extent], Place<'_, Infallible>) -> Result<super::Map, Infallible>;

    /// The map, and its blocks by their places: from 5,000,000,000 on for extents, which need more than 32 bits.
    fn made(map: Map<'_>, extents: &[Extent], from: u64) -> (super::Map, BTreeMap<u64, Vec<u8>>) {
        let mut blocks = BTreeMap::new();
        let made = map(extents, &mut |bytes| {
            let at = from + blocks.len() as u64;
            blocks.insert(at, bytes);
            Ok(at)
        });
        let made = made.unwrap();
        assert_eq!(made.nodes, blocks.len() as u64);
        (made, blocks)
    }

    /// What a reader finds, which reads nodes by rules of its own.
    fn read(node: &[u8], blocks: &BTreeMap<u64, Vec<u8>>, found: &mut Vec<Extent>) {
        let node = ExtentNode::decode(node).unwrap();
        if node.depth == 0 {
            found.extend(node.extents().map(|entry| Extent { logical: entry.logical, physical: entry.physical, blocks: entry.blocks }));
        } else {
            node.below().for_each(|block| read(&blocks[&block], blocks, found));
        }
    }

    #[test]
    fn extents_are_read_as_they_were_written() {
        for count in [0, 1, 4, 5, 340, 4 * 340, 4 * 340 + 1, 340 * 340 * 4 + 1] {
            let extents: Vec<Extent> = (0..count).map(|at| Extent { logical: 3 * at, physical: 6_000_000_000 + 5 * at, blocks: 2 }).collect();
            let (map, blocks) = made(&by_extents, &extents, 5_000_000_000);
            let mut found = Vec::new();
            read(&map.bytes, &blocks, &mut found);
            assert_eq!(found, extents, "{count}");
        }
    }

    #[test]
    fn a_long_run_is_several_extents() {
        let (map, _) = made(&by_extents, &[Extent { logical: 7, physical: 100, blocks: 70_000 }], 0);
        let mut found = Vec::new();
        read(&map.bytes, &BTreeMap::new(), &mut found);
        let expected = [(7, 100, 32_768), (32_775, 32_868, 32_768), (65_543, 65_636, 4464)];
        assert_eq!(found, expected.map(|(logical, physical, blocks)| Extent { logical, physical, blocks }));
    }

    #[test]
    fn block_numbers_reach_through_three_levels() {
        let far = DIRECT + NUMBERS + NUMBERS * NUMBERS;
        let extents = [
            Extent { logical: 2, physical: 1000, blocks: 20 },
            Extent { logical: DIRECT + NUMBERS - 1, physical: 2000, blocks: 2 },
            Extent { logical: far + 5 * NUMBERS * NUMBERS, physical: 3000, blocks: 1 },
        ];
        let (map, blocks) = made(&by_blocks, &extents, 500);
        let number = |bytes: &[u8], at: u64| u64::from(u32::from_le_bytes(bytes[at as usize * 4..][..4].try_into().unwrap()));
        let root = |at: u64| number(&map.bytes, at);
        assert_eq!((root(1), root(2), root(11)), (0, 1000, 1009));
        let (one, two, three) = (&blocks[&root(12)], &blocks[&root(13)], &blocks[&root(14)]);
        assert_eq!((number(one, 0), number(one, 9), number(one, 10), number(one, NUMBERS - 1)), (1010, 1019, 0, 2000));
        assert_eq!(number(&blocks[&number(two, 0)], 0), 2001);
        assert_eq!(number(two, 1), 0);
        assert_eq!(number(&blocks[&number(&blocks[&number(three, 5)], 0)], 0), 3000);
        // One, two of two, and three.
        assert_eq!(map.nodes, 1 + 2 + 3);
        assert_eq!(made(&by_blocks, &[], 0).0, super::Map { bytes: [0; MAP_LEN], nodes: 0 });
    }
}
