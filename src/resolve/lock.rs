//! The lock: the exact packages that a spec resolved to.

use serde::{Deserialize, Serialize};

use crate::cache::Coordinates;
use crate::digest::Sha256;
use crate::repo::ReleaseInfo;

/// The exact packages of an image, and the repository states that they were chosen from. Stored with each image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Sorted by name, then architecture.
    pub packages: Vec<LockedPackage>,
    /// Sorted by archive, then suite.
    pub releases: Vec<ReleaseInfo>,
}

/// One package of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedPackage {
    /// What it is called.
    pub coordinates: Coordinates,
    /// The digest of the package file, from the signed index.
    pub sha256: Sha256,
    /// The length of the package file in bytes.
    pub size: u64,
    /// Where the file lies beneath the archive's base address.
    pub filename: String,
    /// Unpacked size in bytes, as the packager estimated it.
    pub installed_size: u64,
    /// Whether the distribution marks it `Essential: yes`.
    pub essential: bool,
    /// Why it is in the image.
    pub reason: Reason,
}

/// Why a package is in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The distribution marks it as essential.
    Essential,
    /// The spec or the profile names it.
    Wanted,
    /// The named package depends on it (the first in name order).
    DependencyOf(String),
    /// It takes the place of the named package, which the spec or the profile names: rpm's Obsoletes.
    Obsoletes(String),
    /// The named package recommends it.
    RecommendedBy(String),
    /// It says that the named package is better with it: rpm's Supplements.
    Supplements(String),
}

impl std::fmt::Display for Reason {
    /// As it stands in a lock file: `wanted`, `needed-by libc6`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Essential => f.write_str("essential"),
            Self::Wanted => f.write_str("wanted"),
            Self::DependencyOf(name) => write!(f, "needed-by {name}"),
            Self::Obsoletes(name) => write!(f, "obsoletes {name}"),
            Self::RecommendedBy(name) => write!(f, "recommended-by {name}"),
            Self::Supplements(name) => write!(f, "supplements {name}"),
        }
    }
}
