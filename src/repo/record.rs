//! One package as a repository describes it, whatever the distribution.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::list::List;
use crate::cache::Coordinates;
use crate::digest::{Digest, Sha256};

/// The longest licence in bytes; a longer one counts as none. TeX Live's longest have some hundreds.
pub const LICENCE_LIMIT: usize = 4096;

/// A package that a repository offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRecord {
    /// Its name, version, architecture and repository.
    pub coordinates: Coordinates,
    /// The digest of the package file, as the signed index states it.
    pub sha256: Sha256,
    /// The length of the package file in bytes.
    pub size: u64,
    /// Where the file lies beneath the archive's base address; checked to be relative and without `..`.
    pub filename: String,
    /// Unpacked size in bytes, as the packager estimated it.
    pub installed_size: u64,
    /// How important the distribution thinks it is; ranks the providers of a virtual package.
    pub priority: Priority,
    /// Whether every installation of the distribution must have it.
    pub essential: bool,
    /// Whether it can satisfy dependencies of other architectures.
    pub multi_arch: MultiArch,
    /// Virtual packages that this one stands for.
    pub provides: Vec<Provide>,
    /// Its licence as the packager wrote it (the License tag of RPM packages); Debian's have none in their fields. At most [`LICENCE_LIMIT`] bytes.
    pub licence: Option<Box<str>>,
    /// What it needs and excludes.
    pub relations: LazyRelations,
    /// The archive that it comes from.
    pub archive: Arc<Archive>,
}

/// A repository as one build uses it: an identity, and the addresses where its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The stable identity (`debian`, `debian-security`, or the address of a spec's own repository); part of every package's coordinates.
    pub id: String,
    /// Base addresses (`http`, `https` or `file`), each with all of the archive's files, to be tried in this order. Empty when offline.
    pub mirrors: Vec<String>,
    /// Rank against other archives with the same package: as with apt's pinning the higher wins, before versions are compared. 500 is the default.
    pub pin: i32,
}

/// Debian Policy §2.5, highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Needed for the system to work at all.
    Required,
    /// Expected on any Unix-like system.
    Important,
    /// The default character-mode system.
    Standard,
    /// Everything else.
    #[default]
    Optional,
    /// Deprecated since Policy 4.0.1; ranks after optional.
    Extra,
}

/// The `Multi-Arch` field (Debian Policy, `deb-control(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultiArch {
    /// Absent or `no`.
    #[default]
    No,
    /// `same`: co-installable with itself for other architectures.
    Same,
    /// `foreign`: satisfies dependencies of any architecture.
    Foreign,
    /// `allowed`: satisfies dependencies that say `:any`.
    Allowed,
}

/// The relations of a package, which may be read only when somebody looks at them: of the 63,000 packages of Debian's main index a build looks at some
/// hundreds, and making the relations of all is two thirds of the work of reading it.
#[derive(Clone)]
pub struct LazyRelations {
    read: OnceLock<Box<Relations>>,
    unread: Option<Passage>,
}

/// Where a list says it.
#[derive(Clone)]
struct Passage {
    list: Arc<List>,
    place: Range<usize>,
}

impl LazyRelations {
    /// What `list` says at `place`.
    pub(super) fn later(list: &Arc<List>, place: Range<usize>) -> Self {
        Self { read: OnceLock::new(), unread: Some(Passage { list: Arc::clone(list), place }) }
    }
}

impl From<Relations> for LazyRelations {
    fn from(relations: Relations) -> Self {
        Self { read: Box::new(relations).into(), unread: None }
    }
}

impl Deref for LazyRelations {
    type Target = Relations;

    fn deref(&self) -> &Relations {
        self.read.get_or_init(|| Box::new(self.unread.as_ref().map(|Passage { list, place }| list.relations(place.clone())).unwrap_or_default()))
    }
}

impl fmt::Debug for LazyRelations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for LazyRelations {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for LazyRelations {}

/// The relations of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relations {
    /// Must be configured before this package is unpacked.
    pub pre_depends: Vec<AnyOf>,
    /// Must be there.
    pub depends: Vec<AnyOf>,
    /// Would be there in all but unusual installations.
    pub recommends: Vec<AnyOf>,
    /// RPM: what this package is recommended with; each of these alone is enough, where all of its requirements hold. None of them is empty.
    pub supplements: Vec<Vec<Requirement>>,
    /// Must not be unpacked at the same time.
    pub conflicts: Vec<Requirement>,
    /// Must not be configured at the same time.
    pub breaks: Vec<Requirement>,
    /// Debian: may have its files overwritten by this package. RPM (`Obsoletes`): a package of this name, whatever others provide, gives way to this one.
    pub replaces: Vec<Requirement>,
    /// Must be there if something else is: rpm's `if`.
    pub conditional: Vec<Conditional>,
}

/// What must be there if something else is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditional {
    /// All of these must hold for it to count. Never empty.
    pub when: Vec<Requirement>,
    /// What must then be there.
    pub then: AnyOf,
}

/// Alternatives: one of them must hold. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnyOf(pub Vec<Requirement>);

/// A package, perhaps of some versions only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The name of a real or virtual package.
    pub name: String,
    /// The part after a colon: `any`, `native`, or an architecture.
    pub arch: Option<String>,
    /// The versions that satisfy it; none means every version.
    pub version: Option<(Comparison, String)>,
    /// What the same package must satisfy, too: rpm's `with`.
    pub with: Vec<Requirement>,
    /// What the same package must not satisfy: rpm's `without`.
    pub without: Vec<Requirement>,
}

/// A virtual package.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Provide {
    /// Its name.
    pub name: String,
    /// Its versions: on Debian exactly one, with rpm perhaps a range. Without one it satisfies no versioned dependency (Debian Policy §7.5), or with rpm each
    /// of them.
    pub version: Option<(Comparison, String)>,
}

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// The state of one suite that a lock was resolved from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReleaseInfo {
    /// The archive's identity.
    pub archive: String,
    /// The suite, such as `bookworm-updates`.
    pub suite: String,
    /// The `Date` field of the Release file, seconds since the epoch.
    pub date: u64,
    /// The digest of the InRelease file.
    pub digest: Digest,
    /// The fingerprints of the primary keys that made good signatures over it, in upper-case hexadecimal, sorted; none where nothing had to prove it, where it is
    /// only named by a lock file, and where an older program kept it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}
