//! What a build did: what hit, what missed, and why.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::tidy::Collection;
use super::timings::Timings;
use super::why::Nearest;
use crate::cache::{Import, ReleaseDate, SpecHash};
use crate::digest::Digest;
use crate::resolve::Matched;
use crate::units::ByteSize;

/// The outcome of one build.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The key that the image is kept under.
    pub spec_hash: SpecHash,
    /// The image's name and version.
    pub name: String,
    /// See `name`.
    pub version: String,
    /// How the image came about.
    pub image: ImageOutcome,
    /// Which packages were needed, and where they came from; none on a hit of the image cache.
    pub packages: Option<PackageCounts>,
    /// Whether the installed packages were in the root cache; none on a hit of the image cache, and where the root cache is off.
    pub root: Option<RootOutcome>,
    /// What patterns of package names, and the version of a kernel, meant; empty on a hit of the image cache.
    pub matched: Vec<Matched>,
    /// The states of the repositories that the image was made from.
    pub releases: Vec<ReleaseDate>,
    /// The digest of the raw disk; none when the image was not kept and so never digested.
    pub image_digest: Option<Digest>,
    /// The logical size of the disk in bytes.
    pub disk_size: ByteSize,
    /// What was written, in the order of the spec.
    pub outputs: Vec<Output>,
    /// Wall time of the whole command.
    pub duration: Duration,
    /// What was done, and when.
    #[serde(skip)]
    pub timings: Timings,
    /// What a person should know although the build succeeded.
    pub warnings: Vec<String>,
    /// What went so that the caches keep to their limits; none where nothing had to.
    pub collection: Option<Collection>,
    /// The kept image that was nearest to the one that had to be built.
    #[serde(skip)]
    pub nearest: Option<Nearest>,
}

/// How an image came about.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ImageOutcome {
    /// It was in the image cache.
    Hit {
        /// When it was built: seconds since the epoch.
        built_at: u64,
        /// How long that took.
        build_seconds: u64,
        /// The file that it was imported from, if it was not built: what is in it was vouched for by who imported it.
        imported: Option<Import>,
    },
    /// It was built.
    Built {
        /// Why the image cache did not have it.
        because: MissReason,
        /// Whether it is in the image cache now.
        kept: bool,
    },
}

/// How the installed packages of an image came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum RootOutcome {
    /// They were in the root cache.
    Hit,
    /// Those of the first stages were in the root cache, and the others were installed.
    Base {
        /// Whether all are in the root cache now.
        kept: bool,
    },
    /// They were installed.
    Installed {
        /// Whether they are in the root cache now.
        kept: bool,
    },
}

/// Why an image was not taken from the image cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissReason {
    /// There is none of this spec.
    NotThere,
    /// The cached image was damaged; it has been set aside.
    Damaged,
    /// The image cache is off (command, spec or configuration).
    CacheOff,
    /// `--rebuild`.
    Rebuild,
    /// `--refresh`, and the repositories have other packages for the spec than the cached image has.
    NotCurrent,
    /// None of the keys that signed a list of packages, which the cached image was made from, is believed any more.
    Withdrawn,
}

/// Where a build's packages came from.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct PackageCounts {
    /// All of the image.
    pub total: usize,
    /// Fetched by this build.
    pub fetched: usize,
    /// Bytes of the fetched package files.
    pub fetched_bytes: ByteSize,
    /// Taken from the package cache.
    pub present: usize,
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotThere => "there was no image of this spec",
            Self::Damaged => "the image of this spec was damaged",
            Self::CacheOff => "it is off",
            Self::NotCurrent => "the repositories have other packages than the kept image",
            Self::Withdrawn => "the keys that signed what the kept image was made from are not believed any more",
            Self::Rebuild => "passed over, as --rebuild says",
        })
    }
}

impl PackageCounts {
    /// The counts of a build that gathered its packages before, and now again because some were damaged.
    pub(super) fn after(self, earlier: Self) -> Self {
        let fetched = self.fetched + earlier.fetched;
        let fetched_bytes = ByteSize(self.fetched_bytes.0 + earlier.fetched_bytes.0);
        Self { total: self.total, fetched, fetched_bytes, present: (self.fetched + self.present).saturating_sub(fetched) }
    }
}

/// One written file.
#[derive(Debug, Clone, Serialize)]
pub struct Output {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: ByteSize,
    /// The bytes that it takes on disk.
    pub allocated: ByteSize,
}
