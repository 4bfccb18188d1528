//! What a collection would remove, as a value.

use std::path::PathBuf;

use serde::Serialize;

use crate::cache::{Coordinates, SpecHash};
use crate::digest::Digest;

/// What goes, why, and how many bytes that frees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The names that go, in the order in which they were chosen.
    pub entries: Vec<Entry>,
    /// What nothing refers to, before anything is removed: blobs, and their bytes on disk.
    pub unreferenced: (u64, u64),
    /// Packs of which nothing is needed any more, and that are removed.
    pub empty_packs: u64,
    /// Packs of which less than half is needed, or that stand in the way of a limit, and that are written anew.
    pub half_packs: u64,
    /// Bytes on disk that all of it frees.
    pub freed: u64,
    /// Bytes on disk before.
    pub before: Sizes,
    /// Bytes on disk after.
    pub after: Sizes,
    /// What would go, and stays.
    pub kept: Kept,
    /// Limits that are not met even so: what is left is pinned or in use.
    pub unmet: Vec<Limit>,
    /// The packs of `half_packs`.
    pub(super) rewritten: Vec<Digest>,
}

/// One name that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub name: Name,
    /// Why it goes.
    pub because: Reason,
    /// Bytes that nothing needs any more without it. What it shares with others counts with the last of them.
    pub bytes: u64,
    /// When it was last used, seconds since the epoch.
    pub last_used: u64,
    /// How often it was used.
    pub uses: u32,
    /// The blob by which it is known that nothing has changed since.
    pub(super) blob: Digest,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A package.
    Package(Coordinates),
    /// A file of a repository.
    Metadata {
        /// The identity of the archive.
        archive: String,
        /// The path within it.
        path: String,
    },
    /// A package that is kept decompressed.
    Plain {
        /// The identity of its archive.
        archive: String,
        /// Its name, version and architecture, as `NAME_VERSION_ARCHITECTURE`.
        package: String,
    },
    /// An image.
    Image {
        /// Its key.
        spec_hash: SpecHash,
        /// What its spec calls it; empty if its record is damaged.
        name: String,
        /// The version that its spec gives it.
        version: String,
    },
    /// A root tree.
    Root {
        /// Its key.
        key: Digest,
        /// What it is, in words; empty if its record is damaged.
        name: String,
    },
    /// An unfinished download that nobody went on with.
    Partial(PathBuf),
    /// A damaged file in the quarantine.
    Quarantined(PathBuf),
    /// A file that a crash left without a row in the index.
    Orphan(PathBuf),
}

/// Why a name goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was not used for so long.
    Age,
    /// Its cache is too large.
    Size,
    /// There are too many of its kind.
    Count,
    /// The file system has too little room.
    Room,
    /// The user asked for it.
    Asked,
    /// Nothing knows it, or nothing will go on with it.
    Leftover,
}

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// [`super::Limits::package_bytes`].
    PackageSize,
    /// [`super::Limits::image_bytes`].
    ImageSize,
    /// [`super::Limits::image_count`].
    ImageCount,
    /// [`super::Limits::root_count`].
    RootCount,
    /// [`super::Limits::min_free`].
    MinFree,
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Packages and metadata of repositories.
    pub packages: u64,
    /// Images and root trees, with their packs.
    pub images: u64,
}

/// How many names stay although their turn had come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Because they are pinned.
    pub pinned: u64,
    /// Because a process uses them now.
    pub in_use: u64,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.unreferenced.0 == 0 && self.empty_packs == 0 && self.half_packs == 0
    }

    /// How many images go.
    pub fn images(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.name, Name::Image { .. })).count()
    }

    /// How many root trees go.
    pub fn roots(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.name, Name::Root { .. })).count()
    }

    /// How many packages go that are kept decompressed.
    pub fn plain(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.name, Name::Plain { .. })).count()
    }

    /// How many packages go.
    pub fn packages(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.name, Name::Package(_))).count()
    }
}
