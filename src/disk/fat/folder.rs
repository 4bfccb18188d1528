//! Folders of a FAT file system: from paths to pieces, each a run of neighbouring clusters with known content.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::geometry::Geometry;
use super::{Error, FatFile, Source, Tree, names};

const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_FOLDER: u8 = 0x10;
const ATTRIBUTE_ARCHIVE: u8 = 0x20;

/// FAT times begin in 1980 and end in 2107.
const FIRST_TIME: i64 = 315_532_800;
const LAST_TIME: i64 = 4_354_819_198;

/// The most entries that a folder may have: 2 MiB of 32 bytes.
const FOLDER_ENTRIES: u64 = 65_536;

/// What a piece is made of.
#[derive(Debug)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    Tree { path: String, len: u64 },
}

/// A folder that is being gathered; by folded name, so that the order is the same every time.
#[derive(Debug, Default)]
pub(super) struct Folder {
    nodes: BTreeMap<String, (String, Node)>,
}

#[derive(Debug)]
enum Node {
    Folder(Folder),
    File(Content),
}

/// A run of clusters.
#[derive(Debug)]
pub(super) struct Piece {
    /// The first cluster; none for a root folder with its own place.
    pub(super) cluster: Option<u64>,
    /// How many clusters.
    pub(super) clusters: u64,
    pub(super) content: Content,
}

/// All pieces in the order of their clusters, without a gap.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) pieces: Vec<Piece>,
    /// The first cluster that is free.
    pub(super) next_cluster: u64,
}

impl Content {
    /// The content of a file; opens it to learn its length.
    pub(super) fn of(file: &FatFile, tree: &Tree) -> Result<Self, Error> {
        let content = match &file.source {
            Source::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Source::Tree(path) => {
                let missing = || Error::BadFile { path: format!("/{path}"), problem: "is not there".to_owned() };
                let opened = tree.file(path)?.ok_or_else(missing)?;
                let len = opened.metadata().map_err(Error::io("read", format!("/{path}")))?.len();
                Self::Tree { path: path.clone(), len }
            }
        };
        if content.len() > u64::from(u32::MAX) {
            return Err(Error::FatName { path: file.path.clone(), problem: "a file on FAT is smaller than 4 GiB" });
        }
        Ok(content)
    }

    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Tree { len, .. } => *len,
        }
    }
}

impl Folder {
    /// Adds a file, and the folders above it.
    pub(super) fn insert(&mut self, path: &str, content: Content) -> Result<(), Error> {
        let error = |problem| Error::FatName { path: path.to_owned(), problem };
        let mut folder = self;
        let mut parts = path.split('/').peekable();
        while let Some(name) = parts.next() {
            if let Some(problem) = names::problem(name) {
                return Err(error(problem));
            }
            let key = names::folded(name);
            if parts.peek().is_none() {
                if folder.nodes.insert(key, (name.to_owned(), Node::File(content))).is_some() {
                    return Err(error("there is another file of this name (FAT does not tell capitals from small letters)"));
                }
                return Ok(());
            }
            let (_, node) = folder.nodes.entry(key).or_insert_with(|| (name.to_owned(), Node::Folder(Self::default())));
            match node {
                Node::Folder(next) => folder = next,
                Node::File(_) => return Err(error("a part of the path is a file")),
            }
        }
        Ok(())
    }
}

/// Gives everything its clusters: a folder, then what is in it, and so on.
pub(super) fn lay_out(root: Folder, geometry: &Geometry, label: Option<[u8; 11]>, time: u64) -> Result<Plan, Error> {
    let mut layouter = Layouter { geometry, stamp: Stamp::of(time), plan: Plan { pieces: Vec::new(), next_cluster: 2 } };
    let mut head = Vec::new();
    if let Some(label) = label {
        head.extend_from_slice(&layouter.entry(label, ATTRIBUTE_LABEL, 0, 0));
    }
    layouter.folder(root, "", head, geometry.fixed_root_entries(), None)?;
    Ok(layouter.plan)
}

struct Layouter<'a> {
    geometry: &'a Geometry,
    stamp: Stamp,
    plan: Plan,
}

impl Layouter<'_> {
    /// Lays out a folder; `bytes` is what it begins with, `fixed` the number of its entries where it has its own place. `above` is the first cluster
    /// of the folder above, none for the root. Returns its own first cluster.
    fn folder(&mut self, folder: Folder, path: &str, mut bytes: Vec<u8>, fixed: Option<u64>, above: Option<u64>) -> Result<u64, Error> {
        let names: Vec<&str> = folder.nodes.values().map(|(name, _)| name.as_str()).collect();
        let names = names::written(&names);
        let dots = if above.is_some() { 2 } else { 0 };
        let entries = bytes.len() as u64 / 32 + dots + names.iter().map(names::WrittenName::entries).sum::<u64>();
        if entries > fixed.unwrap_or(FOLDER_ENTRIES) {
            return Err(Error::FatName { path: path.to_owned(), problem: "there are too many files in one folder" });
        }
        let at = self.plan.pieces.len();
        let cluster = if fixed.is_none() { self.piece(entries.max(1) * 32) } else { self.fixed_piece() };
        if let Some(above) = above {
            bytes.extend_from_slice(&self.entry(*b".          ", ATTRIBUTE_FOLDER, cluster, 0));
            bytes.extend_from_slice(&self.entry(*b"..         ", ATTRIBUTE_FOLDER, above, 0));
        }
        for ((name, node), written) in folder.nodes.into_values().zip(names) {
            let entry = match node {
                Node::Folder(folder) => {
                    // To a folder in it, the root is number 0 whatever its cluster.
                    let here = if above.is_some() { cluster } else { 0 };
                    let first = self.folder(folder, &format!("{path}/{name}"), Vec::new(), None, Some(here))?;
                    self.entry(written.short, ATTRIBUTE_FOLDER, first, 0)
                }
                Node::File(content) => {
                    let len = content.len();
                    let first = if len == 0 { 0 } else { self.piece(len) };
                    if let Some(piece) = self.plan.pieces.last_mut().filter(|_| len > 0) {
                        piece.content = content;
                    }
                    self.entry(written.short, ATTRIBUTE_ARCHIVE, first, len)
                }
            };
            bytes.extend_from_slice(&written.long_entries());
            bytes.extend_from_slice(&entry);
        }
        self.plan.pieces[at].content = Content::Bytes(bytes);
        Ok(cluster)
    }

    /// The next clusters for so many bytes; the content is filled in by the caller.
    fn piece(&mut self, len: u64) -> u64 {
        let clusters = len.div_ceil(self.geometry.cluster_len());
        let cluster = self.plan.next_cluster;
        self.plan.next_cluster += clusters;
        self.plan.pieces.push(Piece { cluster: Some(cluster), clusters, content: Content::Bytes(Vec::new()) });
        cluster
    }

    fn fixed_piece(&mut self) -> u64 {
        self.plan.pieces.push(Piece { cluster: None, clusters: 0, content: Content::Bytes(Vec::new()) });
        0
    }

    fn entry(&self, name: [u8; 11], attributes: u8, cluster: u64, len: u64) -> [u8; 32] {
        let mut entry = [0; 32];
        let mut put = |offset: usize, bytes: &[u8]| entry[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, &name);
        put(11, &[attributes]);
        if attributes != ATTRIBUTE_LABEL {
            put(13, &[self.stamp.hundredths]);
            put(14, &self.stamp.time.to_le_bytes());
            put(16, &self.stamp.date.to_le_bytes());
            put(18, &self.stamp.date.to_le_bytes());
        }
        put(20, &((cluster >> 16) as u16).to_le_bytes());
        put(22, &self.stamp.time.to_le_bytes());
        put(24, &self.stamp.date.to_le_bytes());
        put(26, &(cluster as u16).to_le_bytes());
        put(28, &(len as u32).to_le_bytes());
        entry
    }
}

/// A time as FAT has it, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    date: u16,
    time: u16,
    hundredths: u8,
}

impl Stamp {
    fn of(seconds: u64) -> Self {
        let seconds = i64::try_from(seconds).unwrap_or(LAST_TIME).clamp(FIRST_TIME, LAST_TIME);
        let time = Offset::UTC.to_datetime(Timestamp::from_second(seconds).expect("between 1980 and 2107"));
        let part = |number: i8| u16::from(number.unsigned_abs());
        Self {
            date: (time.year() - 1980).unsigned_abs() << 9 | part(time.month()) << 5 | part(time.day()),
            time: part(time.hour()) << 11 | part(time.minute()) << 5 | (part(time.second()) / 2),
            hundredths: if time.second() % 2 == 1 { 100 } else { 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Years since 1980; units of two seconds.
    fn stamp_of((year, month, day): (u16, u16, u16), (hour, minute, second): (u16, u16, u16), hundredths: u8) -> Stamp {
        Stamp { date: year << 9 | month << 5 | day, time: hour << 11 | minute << 5 | second, hundredths }
    }

    #[test]
    fn times_stay_within_what_fat_knows() {
        // 2023-11-14 22:13:21 UTC
        let stamp = Stamp::of(1_700_000_001);
        assert_eq!(stamp, stamp_of((43, 11, 14), (22, 13, 10), 100));
        assert_eq!(Stamp::of(0), stamp_of((0, 1, 1), (0, 0, 0), 0));
        assert_eq!(Stamp::of(u64::MAX), stamp_of((127, 12, 31), (23, 59, 29), 0));
    }
}
