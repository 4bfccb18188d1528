//! Checks everything that a store keeps, and mends what can be mended.
//!
//! ```text
//!  snapshot.rs ─► rows and files of one moment ─► packs.rs, blobs.rs ─► names.rs, count.rs ─► Findings ─► repair.rs
//!                                                 every byte is read    rows against files
//! ```
//!
//! The findings are a value: without a repair nothing is changed. Rows and files are taken at one moment, while nothing can appear or disappear; the bytes
//! are read afterwards, beside other processes, and what they removed meanwhile is left out in the end.

mod blobs;
mod count;
mod counters;
mod names;
mod packs;
mod repair;
mod snapshot;

use std::collections::HashMap;
use std::path::PathBuf;

pub(super) use count::{Recount, named};
pub use repair::Repaired;

use super::error::{Damage, Object, Problem, Result};
use super::{Scratch, Store, inspect};
use crate::digest::Digest;
use crate::format::pack::Entry;
use crate::format::row::ChunkRow;
use crate::progress::{Cancel, Event, Phase, Progress};
use snapshot::Snapshot;

/// What a check found.
#[derive(Debug, Default)]
pub struct Findings {
    /// How much was checked.
    pub checked: Checked,
    /// Bytes that are wrong or missing and were not known to be; sorted.
    pub damaged: Vec<Damage>,
    /// Packs that are wrong around their chunks, which are whole and can be put into a whole pack; sorted.
    pub framing: Vec<Framing>,
    /// Rows that say something else than their file, which is whole.
    pub rows: Vec<WrongRow>,
    /// Names that point to nothing, or that their file contradicts.
    pub names: Vec<WrongName>,
    /// Images that are served and have parts that are lost: their keys and records, sorted.
    pub images: Vec<(Digest, Digest)>,
    /// Counts of references that are wrong.
    pub counts: Vec<WrongCount>,
    /// How many counters of the index (totals, live bytes of packs) are not what its rows add up to.
    pub counters: u64,
    /// Files that nothing in the index knows.
    pub orphans: Vec<Orphan>,
    /// Files that are none of a store's. They stay where they are.
    pub strangers: Vec<PathBuf>,
    /// Names that no file has: a new index made from the files would not have them. No damage.
    pub unwritten: Vec<Name>,
    /// How many blobs and chunks that something refers to were known to be lost before.
    pub known_lost: u64,
    /// Which manifests name a damaged chunk.
    pub(crate) users: HashMap<Digest, Vec<Digest>>,
    /// Name and version of images, by their keys.
    pub(crate) image_names: HashMap<Digest, (String, String)>,
}

/// How much was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Whole blobs.
    pub blobs: u64,
    /// Packs.
    pub packs: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Bytes of all these files.
    pub bytes: u64,
}

/// A pack that is wrong around its chunks.
#[derive(Debug)]
pub struct Framing {
    /// What is wrong.
    pub damage: Damage,
    pub(crate) entries: Vec<Entry>,
}

/// A row that says something else than its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongRow {
    /// Of a blob: kind, lengths, or whether it is lost.
    Blob(Digest),
    /// Of a chunk: where it lies.
    Chunk(Digest, ChunkRow),
    /// Of a pack: its length, or how many chunks it has.
    Pack(Digest),
    /// Of an image: its parts are others than its record says.
    Image(Digest),
}

/// The key of a name in its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A package: name, version, architecture and repository, separated by NUL.
    Package(Vec<u8>),
    /// A file of a repository: archive and path, separated by NUL.
    Metadata(Vec<u8>),
    /// An image: the hash of its spec.
    Image(Digest),
}

/// A name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongName {
    /// Which.
    pub name: Name,
    /// What it stands for: of an image its record.
    pub(crate) blob: Digest,
    /// Why not.
    pub reason: &'static str,
}

/// A count of references that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongCount {
    /// A blob or a chunk.
    pub object: Object,
    /// What the index says.
    pub found: u32,
    /// What a recount says.
    pub counted: u32,
}

/// A file that nothing in the index knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// What it would be.
    pub object: Object,
    /// Where.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
}

impl Findings {
    /// Whether anything is not what it should be. What nobody misses (orphans, names without a file) is not counted.
    pub fn is_damaged(&self) -> bool {
        let Self { damaged, framing, rows, names, images, counts, counters, .. } = self;
        !(damaged.is_empty() && framing.is_empty() && rows.is_empty() && names.is_empty() && images.is_empty() && counts.is_empty()) || *counters > 0
    }
}

impl Store {
    /// Reads and checks everything. Changes nothing. Reports the bytes of files as [`Phase::Inspect`].
    ///
    /// # Errors
    /// An index that cannot be read ([`super::Error::is_of_index`]), a file system that fails, the user's wish to stop.
    pub(crate) fn check(&self, progress: &dyn Progress, cancel: &Cancel) -> Result<Findings> {
        match self.scratch().and_then(|scratch| self.index.check(&scratch)) {
            // A store without room can be checked all the same.
            Err(error) if error.is_full() => self.index.check(&Scratch::elsewhere()?)?,
            checked => checked?,
        }
        let snapshot = Snapshot::take(self)?;
        progress.report(Event::Start { phase: Phase::Inspect, total: Some(snapshot.files.total_len()) });
        let mut findings = Findings { strangers: snapshot.files.strangers.clone(), ..Findings::default() };
        let chunks = packs::check(self, &snapshot, &mut findings, progress, cancel)?;
        let seen = blobs::check(self, &snapshot, &chunks, &mut findings, progress, cancel)?;
        names::check(&snapshot, &seen, &mut findings);
        Recount::of(&snapshot, &seen).compare(&snapshot, &mut findings);
        findings.counters = counters::wrong(&snapshot);
        findings.orphans.extend(snapshot.orphans(self));
        findings.known_lost = snapshot.known_lost();
        self.drop_outdated(&mut findings)?;
        findings.damaged.sort_by_key(|damage| damage.object);
        progress.report(Event::Finish { phase: Phase::Inspect });
        Ok(findings)
    }

    fn damage(&self, object: Object, problem: Problem) -> Damage {
        let path = match &object {
            Object::Blob(digest) => self.layout.blob(digest),
            Object::Pack(id) => self.layout.pack(id),
            Object::Chunk(_) => self.dir().to_owned(),
        };
        Damage { object, path, problem }
    }
}
