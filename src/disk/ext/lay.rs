//! Gives everything its inode and its blocks, and writes what is in these.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rayon::prelude::*;

use super::attributes::{self, Encoded};
use super::checksum::{Checksums, EXTENTS_TAIL};
use super::features::Features;
use super::geometry::Geometry;
use super::inode::{self, ATTRIBUTES_AT, EXTENTS_FLAG, Inode};
use super::map::{self, Extent, MAP_LEN, Map};
use super::scan::{self, Kind, LOST_AND_FOUND, Node};
use super::space::{Full, Space};
use super::tables::{self, Identity, Tables};
use super::{BLOCK, FIRST_INODE, INODE, JOURNAL_INODE, NUMBERS_PER_BLOCK, Out, RESIZE_INODE, ROOT_INODE, folder, too_small};
use crate::deferred::Deferred;
use crate::disk::error::Error;
use crate::disk::layout::Partition;
use crate::progress::Cancel;
use crate::store::{Stretch, Window};
use crate::tree::{self, Tree};

/// Blocks of `lost+found`: there is room for names in it when no block can be taken any more.
const LOST_AND_FOUND_BLOCKS: usize = 4;

/// How many files a thread copies before it asks for more.
const BATCH: usize = 256;

/// Blocks that nodes take at least: all but a few of maps, where files cannot lie in one piece.
pub(super) fn blocks_of(nodes: &[Node], features: Features) -> u64 {
    let of_content = |node: &Node| match &node.kind {
        Kind::File { data, .. } => {
            let blocks = data.iter().map(|range| range.end - range.start).sum();
            blocks + map::least_nodes(blocks, data.len() as u64, features.has_extents())
        }
        Kind::Folder { names, .. } => {
            let blocks = folder::blocks(names.iter().map(|(name, _)| name.as_encoded_bytes()), features.has_checksums());
            blocks.max(least_blocks(node)) as u64
        }
        Kind::Link(target) => u64::from(target.len() >= MAP_LEN),
        Kind::Device(..) | Kind::Fifo => 0,
    };
    let of_attributes = |node: &Node| u64::from(attributes::encode(&node.attributes).is_ok_and(|encoded| encoded.block.is_some()));
    nodes.iter().map(|node| of_content(node) + of_attributes(node)).sum()
}

/// How many blocks a folder has at least.
fn least_blocks(node: &Node) -> usize {
    if node.path == Path::new(LOST_AND_FOUND) { LOST_AND_FOUND_BLOCKS } else { 1 }
}

/// The number of the inode of a node.
fn number(node: usize) -> u32 {
    if node == 0 { ROOT_INODE } else { FIRST_INODE - 1 + node as u32 }
}

fn folder_blocks(nodes: &[Node], node: &Node, own: u32, checksums: Checksums) -> Vec<u8> {
    let Kind::Folder { parent, names } = &node.kind else { return Vec::new() };
    let entries = names.iter().map(|(name, child)| folder::Entry { name: name.as_encoded_bytes(), inode: number(*child), mode: nodes[*child].mode });
    folder::encode(own, number(*parent), entries, least_blocks(node), checksums)
}

/// A file whose blocks have their places.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    path: &'a Path,
    len: u64,
    /// Where its bytes are in the kept root, if they are not in the tree.
    deferred: Option<u64>,
    extents: Vec<Extent>,
}

/// A file system that is being laid down.
pub(super) struct Lay<'a> {
    geometry: &'a Geometry,
    identity: &'a Identity<'a>,
    checksums: Checksums,
    pub(super) space: Space,
    /// All inodes up to the last that is in use.
    inodes: Vec<u8>,
    out: &'a Out<'a>,
    partition: &'a Partition,
}

impl<'a> Lay<'a> {
    pub(super) fn new(geometry: &'a Geometry, identity: &'a Identity<'a>, out: &'a Out<'a>, partition: &'a Partition) -> Self {
        let checksums = Checksums::new(geometry.features, &identity.uuid);
        Self { geometry, identity, checksums, space: Space::new(geometry), inodes: Vec::new(), out, partition }
    }

    /// Lays down what is the file system's own: a journal of so many blocks, and what lets it grow.
    pub(super) fn own(&mut self, journal: u64) -> Result<(), Error> {
        if self.geometry.reserved_blocks > 0 {
            self.resize_inode()?;
        }
        if journal > 0 {
            let extents = self.take(std::iter::once(0..journal))?;
            self.out.write(&tables::journal(journal as u32, self.identity), extents[0].physical * BLOCK)?;
            let inode = self.mapped(JOURNAL_INODE, Inode { size: journal * BLOCK, blocks: journal, ..Inode::own(self.identity.time) }, &extents)?;
            self.keep(JOURNAL_INODE, &inode, &Encoded::default());
        }
        Ok(())
    }

    /// The file that has the room for more descriptors, as if it were its blocks: the primary ones, as blocks of numbers, each of its copies.
    fn resize_inode(&mut self) -> Result<(), Error> {
        let Geometry { descriptor_blocks, reserved_blocks, blocks_per_group, .. } = *self.geometry;
        let numbers = NUMBERS_PER_BLOCK;
        let mut above = vec![0; BLOCK as usize];
        for reserved in 0..reserved_blocks {
            let block = 1 + descriptor_blocks + reserved;
            let at = ((descriptor_blocks + reserved) % numbers * 4) as usize;
            above[at..at + 4].copy_from_slice(&(block as u32).to_le_bytes());
            let copies: Vec<u8> = self.geometry.copies().flat_map(|group| ((group * blocks_per_group + block) as u32).to_le_bytes()).collect();
            if !copies.is_empty() {
                self.out.write(&copies, block * BLOCK)?;
            }
        }
        let place = self.one()?;
        self.out.write(&above, place * BLOCK)?;
        let mut inode = Inode::own(self.identity.time);
        // The second of the three levels of blocks of numbers, and as long as that reaches.
        inode.map[13 * 4..14 * 4].copy_from_slice(&(place as u32).to_le_bytes());
        inode.size = (12 + numbers + numbers * numbers) * BLOCK;
        inode.blocks = 1 + reserved_blocks * (1 + self.geometry.copies().count() as u64);
        self.keep(RESIZE_INODE, &inode, &Encoded::default());
        Ok(())
    }

    /// Lays down all nodes but for what is in files: these are returned, in their order on the disk.
    pub(super) fn nodes<'n>(&mut self, nodes: &'n [Node], cancel: &Cancel) -> Result<Vec<Placed<'n>>, Error> {
        self.check(nodes)?;
        self.inodes.reserve_exact(((u64::from(FIRST_INODE) + nodes.len() as u64) * INODE) as usize);
        for (index, node) in nodes.iter().enumerate().filter(|(_, node)| !matches!(node.kind, Kind::File { .. })) {
            cancel.check()?;
            let (number, inode) = (number(index), Inode::of(node, self.identity.time));
            let inode = match &node.kind {
                Kind::Folder { .. } => self.filled(number, inode, &folder_blocks(nodes, node, number, self.checksums))?,
                Kind::Link(target) if target.len() >= MAP_LEN => {
                    let mut block = target.clone();
                    block.resize(BLOCK as usize, 0);
                    Inode { size: target.len() as u64, ..self.filled(number, inode, &block)? }
                }
                Kind::Link(target) => {
                    let mut map = [0; MAP_LEN];
                    map[..target.len()].copy_from_slice(target);
                    Inode { size: target.len() as u64, map, ..inode }
                }
                Kind::Device(major, minor) => Inode { map: inode::device(*major, *minor), ..inode },
                Kind::Fifo | Kind::File { .. } => inode,
            };
            self.keep_node(number, inode, node)?;
        }
        let mut placed = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let Kind::File { len, data, deferred } = &node.kind else { continue };
            let extents = self.take(data.iter().cloned())?;
            let blocks = extents.iter().map(|extent| extent.blocks).sum();
            let inode = self.mapped(number(index), Inode { size: *len, blocks, ..Inode::of(node, self.identity.time) }, &extents)?;
            self.keep_node(number(index), inode, node)?;
            if !extents.is_empty() {
                placed.push(Placed { path: &node.path, len: *len, deferred: *deferred, extents });
            }
        }
        Ok(placed)
    }

    /// Whether the file system can hold nodes like these.
    fn check(&self, nodes: &[Node]) -> Result<(), Error> {
        let most = self.geometry.features.most_links();
        let Some(node) = nodes.iter().find(|node| node.links > most) else { return Ok(()) };
        let what = if matches!(node.kind, Kind::Folder { .. }) { "folders in it" } else { "names" };
        Err(Error::BadFile {
            path: format!("/{}", node.path.display()),
            problem: format!("has more {what} than the {most} that the file system counts"),
        })
    }

    /// An inode with this content, which is written.
    fn filled(&mut self, number: u32, mut inode: Inode, content: &[u8]) -> Result<Inode, Error> {
        let blocks = content.len() as u64 / BLOCK;
        let extents = self.take(std::iter::once(0..blocks))?;
        for Extent { logical, physical, blocks } in &extents {
            self.out.write(&content[(logical * BLOCK) as usize..((logical + blocks) * BLOCK) as usize], physical * BLOCK)?;
        }
        (inode.size, inode.blocks) = (blocks * BLOCK, blocks);
        self.mapped(number, inode, &extents)
    }

    /// An inode whose blocks are these, with the blocks that its map takes.
    fn mapped(&mut self, number: u32, mut inode: Inode, extents: &[Extent]) -> Result<Inode, Error> {
        let has_extents = self.geometry.features.has_extents();
        let mut place = |mut bytes: Vec<u8>| {
            if has_extents {
                self.checksums.block_of_file(number, &mut bytes, EXTENTS_TAIL);
            }
            let block = self.one()?;
            self.out.write(&bytes, block * BLOCK)?;
            Ok::<u64, Error>(block)
        };
        let Map { bytes, nodes } = if has_extents { map::by_extents(extents, &mut place) } else { map::by_blocks(extents, &mut place) }?;
        (inode.map, inode.flags) = (bytes, if has_extents { EXTENTS_FLAG } else { 0 });
        inode.blocks += nodes;
        Ok(inode)
    }

    /// Keeps the inode of a node, with its attributes.
    fn keep_node(&mut self, number: u32, mut inode: Inode, node: &Node) -> Result<(), Error> {
        let bad = |problem| Error::BadFile { path: format!("/{}", node.path.display()), problem };
        let mut attributes = attributes::encode(&node.attributes).map_err(bad)?;
        if let Some(block) = &mut attributes.block {
            inode.attributes = self.one()?;
            inode.blocks += 1;
            self.checksums.attributes(inode.attributes, block);
            self.out.write(block, inode.attributes * BLOCK)?;
        }
        self.keep(number, &inode, &attributes);
        Ok(())
    }

    fn keep(&mut self, number: u32, inode: &Inode, attributes: &Encoded) {
        let mut bytes = inode.encode(self.identity.time);
        if let Some(attributes) = &attributes.in_inode {
            bytes[ATTRIBUTES_AT..].copy_from_slice(attributes);
        }
        self.checksums.inode(number, &mut bytes);
        let at = (number as usize - 1) * INODE as usize;
        if self.inodes.len() < at + bytes.len() {
            self.inodes.resize(at + bytes.len(), 0);
        }
        self.inodes[at..at + bytes.len()].copy_from_slice(&bytes);
    }

    /// Takes blocks for these ranges of a file.
    fn take(&mut self, data: impl Iterator<Item = Range<u64>>) -> Result<Vec<Extent>, Error> {
        let mut extents = Vec::with_capacity(data.size_hint().0);
        for range in data {
            let mut logical = range.start;
            let taken = self.space.take(range.end - range.start).map_err(|Full| too_small(self.partition, 1))?;
            for piece in taken {
                let blocks = piece.end - piece.start;
                extents.push(Extent { logical, physical: piece.start, blocks });
                logical += blocks;
            }
        }
        Ok(extents)
    }

    fn one(&mut self) -> Result<u64, Error> {
        self.space.take_one().map_err(|Full| too_small(self.partition, 1))
    }

    /// Writes inodes, bitmaps, descriptors and superblocks; returns how many bytes are in use.
    pub(super) fn finish(self, nodes: &[Node], cancel: &Cancel) -> Result<u64, Error> {
        let folders = nodes.iter().enumerate().filter(|(_, node)| matches!(node.kind, Kind::Folder { .. })).map(|(index, _)| number(index));
        let tables = Tables { geometry: self.geometry, identity: self.identity, checksums: self.checksums, space: &self.space, inodes: &self.inodes };
        tables.write(folders, self.out, cancel)?;
        Ok((self.geometry.blocks - self.space.free()) * BLOCK)
    }
}

/// Which files the disk has from the kept root as they are there: in one piece, and without holes.
pub(super) fn shared(files: &[Placed<'_>], partition: &Partition) -> Vec<Stretch> {
    let stretch = |file: &Placed<'_>| match (file.deferred, &*file.extents) {
        (Some(from), [Extent { logical: 0, physical, blocks }]) if *blocks == file.len.div_ceil(BLOCK) => {
            Some(Stretch { at: partition.start + physical * BLOCK, from, len: blocks * BLOCK })
        }
        _ => None,
    };
    files.iter().filter_map(stretch).collect()
}

/// Copies what is in files to where they have their places.
pub(super) fn copy((tree, deferred): (&Tree, &Deferred), files: &[Placed<'_>], out: &Out<'_>, cancel: &Cancel) -> Result<(), Error> {
    let (filling, partition) = out.filling();
    files.par_chunks(BATCH).try_for_each(|files| {
        let (mut gather, mut window) = (filling.gather(), Window::narrow());
        for Placed { path, len, deferred: kept_at, extents } in files {
            let file = if kept_at.is_none() { Some(File::from(scan::open(tree, path)?)) } else { None };
            for extent in extents {
                let (start, end) = (extent.logical * BLOCK, ((extent.logical + extent.blocks) * BLOCK).min(*len));
                gather.take(partition + extent.physical * BLOCK, end - start, |part, done| {
                    cancel.check()?;
                    match &file {
                        Some(file) => file.read_exact_at(part, start + done).map_err(|error| tree::Error::at("read", path)(error).into()),
                        None => deferred.read(&mut window, part, kept_at.unwrap_or(0) + start + done).map_err(Error::UnreadableRoot),
                    }
                })?;
            }
            if let Some(offset) = kept_at {
                ends_in_zeros(deferred, &mut window, offset + len)?;
            }
        }
        gather.flush()
    })
}

/// Checks that nothing follows the end of a file in its last block: the disk has zeros there, and is said to have what the kept root has.
fn ends_in_zeros(deferred: &Deferred, window: &mut Window, end: u64) -> Result<(), Error> {
    let mut rest = vec![0; (end.next_multiple_of(BLOCK) - end) as usize];
    deferred.read(window, &mut rest, end).map_err(Error::UnreadableRoot)?;
    if rest.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    Err(Error::UnreadableRoot(std::io::Error::new(std::io::ErrorKind::InvalidData, "something follows the end of a file")))
}
