//! FAT with 12, 16 and 32 bits, and its long names, read (Microsoft's “FAT: General Overview of On-Disk Format”, 1.03).

mod folder;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashSet;

use super::node::{Kind, Limits, Node, Walk};
use super::problem::{Problem, Result};
use super::volume::{Run, Volume, push};
use crate::format::number::{long, short};
use crate::progress::Cancel;

/// The longest folder, in bytes: 65,536 entries of 32 bytes, as the format has it.
const FOLDER_LIMIT: u64 = 2 << 20;

/// Bytes of the table that are read at a time.
const WINDOW: u64 = 64 << 10;

/// How many bits an entry of the table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Bits12,
    Bits16,
    Bits32,
}

/// A FAT file system.
pub(super) struct Fat<'a> {
    volume: Volume<'a>,
    width: Width,
    /// The length of a cluster in bytes.
    cluster: u64,
    /// How many clusters there are.
    clusters: u32,
    /// The byte offset and the length of the first table.
    table: (u64, u64),
    /// Where the first cluster is, which has the number 2.
    data: u64,
    /// Where the root folder is: a stretch of its own, or the chain of a cluster.
    root: Root,
    /// Its serial number, as Linux shows it.
    pub(super) uuid: String,
    pub(super) label: Vec<u8>,
    window: RefCell<(u64, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy)]
enum Root {
    Fixed(Run),
    Chain(u32),
}

impl<'a> Fat<'a> {
    /// None where something else is there.
    pub(super) fn open(volume: Volume<'a>) -> Result<Option<Self>> {
        if volume.len < 512 {
            return Ok(None);
        }
        let head = volume.read(0, 512)?;
        let is_ours = head[510..] == [0x55, 0xaa] && matches!((head[0], head[2]), (0xeb, 0x90) | (0xe9, _));
        if !is_ours {
            return Ok(None);
        }
        Ok(Self::fields(volume, &head))
    }

    fn fields(volume: Volume<'a>, head: &[u8]) -> Option<Self> {
        let sector = u64::from(short(head, 11)?);
        let (per_cluster, reserved, tables) = (u64::from(head[13]), u64::from(short(head, 14)?), u64::from(head[16]));
        let root_entries = u64::from(short(head, 17)?);
        let sectors = match short(head, 19)? {
            0 => u64::from(long(head, 32)?),
            few => few.into(),
        };
        let per_table = match short(head, 22)? {
            0 => u64::from(long(head, 36)?),
            few => few.into(),
        };
        let plausible = [512, 1024, 2048, 4096].contains(&sector) && per_cluster.is_power_of_two() && reserved > 0 && tables > 0 && per_table > 0;
        plausible.then_some(())?;
        let root_len = (root_entries * 32).next_multiple_of(sector);
        let root_at = (reserved + tables * per_table) * sector;
        let data = root_at + root_len;
        let cluster = per_cluster * sector;
        let clusters = u32::try_from((sectors * sector).checked_sub(data)? / cluster).ok()?;
        // The number of clusters alone says how wide the entries are.
        let width = match clusters {
            ..4085 if root_entries > 0 => Width::Bits12,
            ..65_525 if root_entries > 0 => Width::Bits16,
            _ => Width::Bits32,
        };
        let (root, id) =
            if width == Width::Bits32 { (Root::Chain(long(head, 44)?), 67) } else { (Root::Fixed(Run { len: root_len, at: Some(root_at) }), 39) };
        let serial = long(head, id)?;
        let label = head.get(id + 4..id + 15)?;
        let label = if label.starts_with(b"NO NAME") { &[] } else { label.trim_ascii_end() };
        Some(Self {
            volume,
            width,
            cluster,
            clusters,
            table: (reserved * sector, per_table * sector),
            data,
            root,
            uuid: format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff),
            label: label.to_vec(),
            window: RefCell::default(),
        })
    }

    /// Its name.
    pub(super) fn kind(&self) -> &'static str {
        match self.width {
            Width::Bits12 => "fat12",
            Width::Bits16 => "fat16",
            Width::Bits32 => "fat32",
        }
    }

    /// Its length, as it says itself.
    pub(super) fn len(&self) -> u64 {
        self.data + u64::from(self.clusters) * self.cluster
    }

    /// How many bytes are in use, tables and all.
    pub(super) fn used(&self, cancel: &Cancel) -> Result<u64> {
        let mut free = 0_u64;
        for number in 2..self.clusters.saturating_add(2) {
            if number % (1 << 16) == 0 {
                cancel.check()?;
            }
            if self.entry(number)? == 0 {
                free += 1;
            }
        }
        Ok(self.len() - free * self.cluster)
    }

    /// What the table says of a cluster: 0 is free, [`END`] the last of its file, else the next one.
    fn entry(&self, number: u32) -> Result<u32> {
        let (at, len) = match self.width {
            Width::Bits12 => (u64::from(number) * 3 / 2, 2),
            Width::Bits16 => (u64::from(number) * 2, 2),
            Width::Bits32 => (u64::from(number) * 4, 4),
        };
        if at + len > self.table.1 {
            return Err(Problem::Wrong("its table is too short"));
        }
        let mut window = self.window.borrow_mut();
        let end = window.0 + window.1.len() as u64;
        if at < window.0 || at + len > end {
            let begin = at - at % 4;
            *window = (begin, self.volume.read(self.table.0 + begin, WINDOW.min(self.table.1 - begin))?);
        }
        let offset = (at - window.0) as usize;
        let short = || short(&window.1, offset).map(u32::from).ok_or(Problem::CutOff);
        Ok(match self.width {
            Width::Bits12 => {
                let both = short()?;
                let value = if number.is_multiple_of(2) { both & 0xfff } else { both >> 4 };
                if value >= 0xff8 { END } else { value }
            }
            Width::Bits16 => Some(short()?).filter(|value| *value < 0xfff8).unwrap_or(END),
            Width::Bits32 => Some(long(&window.1, offset).ok_or(Problem::CutOff)? & END).filter(|value| *value < 0x0fff_fff8).unwrap_or(END),
        })
    }

    /// The clusters of a file from this one on, `limit` bytes of them at most.
    fn chain(&self, first: u32, limit: u64) -> Result<Vec<Run>> {
        let (mut runs, mut number, mut len) = (Vec::new(), first, 0);
        let mut seen = HashSet::new();
        while number != END && len < limit {
            if !seen.insert(number) {
                return Err(Problem::Wrong("the clusters of a file go in a circle"));
            }
            let place = number.checked_sub(2).filter(|place| *place < self.clusters);
            let at = self.data + u64::from(place.ok_or(Problem::Wrong("a file has a cluster that there is not"))?) * self.cluster;
            let part = self.cluster.min(limit - len);
            if at + part > self.volume.len {
                return Err(Problem::CutOff);
            }
            push(&mut runs, Run { len: part, at: Some(at) });
            len += part;
            number = self.entry(number)?;
        }
        Ok(runs)
    }

    /// All names, the root first.
    pub(super) fn nodes(&self, limits: Limits, cancel: &Cancel) -> Result<Vec<Node>> {
        let root =
            Node { path: Vec::new(), kind: Kind::Folder, mode: None, owner: (0, 0), size: 0, modified: 0, handle: ROOT, has_attributes: false };
        let mut walk = Walk::new(root, limits);
        while let Some(pending) = walk.folder() {
            cancel.check()?;
            self.folder(&pending, &mut walk)?;
        }
        Ok(walk.nodes)
    }

    fn folder(&self, pending: &super::node::Pending, walk: &mut Walk) -> Result<()> {
        let runs = match (pending.handle, self.root) {
            (ROOT, Root::Fixed(run)) => vec![run],
            (ROOT, Root::Chain(first)) => self.chain(first, FOLDER_LIMIT)?,
            (handle, _) => self.chain(handle as u32, FOLDER_LIMIT)?,
        };
        walk.spend(runs.iter().map(|run| run.len).sum())?;
        let bytes = self.volume.read_runs(&runs, FOLDER_LIMIT)?;
        for found in folder::entries(&bytes) {
            let path = walk.path(pending, found.name.as_bytes())?;
            let kind = if found.is_folder { Kind::Folder } else { Kind::File };
            // An empty file has no clusters.
            let handle = u64::from(found.first);
            let (size, modified) = (found.size, found.modified);
            walk.take(pending, Node { path, kind, mode: None, owner: (0, 0), size, modified, handle, has_attributes: false })?;
        }
        Ok(())
    }

    /// Where the content of a file lies.
    pub(super) fn runs(&self, node: &Node) -> Result<Vec<Run>> {
        if node.size == 0 {
            return Ok(Vec::new());
        }
        let runs = self.chain(node.handle as u32, node.size)?;
        let has: u64 = runs.iter().map(|run| run.len).sum();
        if has == node.size { Ok(runs) } else { Err(Problem::Wrong("a file has fewer clusters than bytes")) }
    }
}

/// No cluster follows.
const END: u32 = 0x0fff_ffff;

/// Stands for the root folder, which may have no cluster.
const ROOT: u64 = u64::MAX;
