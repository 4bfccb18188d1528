//! Why repository metadata cannot be used.

use std::fmt;

use super::deb::packages::PackagesError;
use super::deb::release::ReleaseError;
use super::list::Unreadable;
use super::rpm::XmlError;
use super::signature::SignatureError;
use super::utc;
use crate::digest::Sha256;
use crate::progress::Cancelled;
use crate::{cache, fetch};

/// Why the metadata of repositories cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name in the configuration of an archive cannot be part of an address.
    #[error("“{name}” cannot be the name of a suite or component (archive {archive})")]
    Name {
        /// The archive.
        archive: String,
        /// The refused name.
        name: String,
    },
    /// It is not known where the archive is.
    #[error("there is no mirror of {archive}")]
    NoMirror {
        /// The archive.
        archive: String,
    },
    /// No mirror has metadata of a suite that can be used.
    #[error("the metadata of {suite} ({archive}) cannot be used{}", and_others(.others))]
    Suite {
        /// The archive.
        archive: String,
        /// The suite.
        suite: String,
        /// What is wrong: of several mirrors what weighs most, and then what the first of them did.
        #[source]
        cause: Box<Failure>,
        /// What the other mirrors did.
        others: Vec<Failure>,
    },
    /// The build is offline, and the store does not have everything.
    #[error("the store does not have the metadata that an offline build needs: {}", list(.0))]
    Offline(Vec<Missing>),
    /// The store failed.
    #[error("repository metadata cannot be kept in the store")]
    Cache(#[from] cache::Error),
    /// The user asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// A file that did not come, or that must not be used.
#[derive(Debug, thiserror::Error)]
#[error("{url}")]
pub struct Failure {
    /// Its address, without user name and password.
    pub url: String,
    /// Why.
    #[source]
    pub cause: Cause,
}

/// What can be wrong with one file of metadata.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It did not come.
    #[error("it did not come")]
    Fetch(#[from] fetch::Error),
    /// Its signatures do not prove it.
    #[error("it is not proven")]
    Signature(#[from] SignatureError),
    /// It has no signature, and comes from an address that does not prove itself.
    #[error("there is no signature, and nothing else proves who answered: the address is not https")]
    Unproven,
    /// It is no Release file that can be used.
    #[error("it is no Release file for this build")]
    Release(#[from] ReleaseError),
    /// It is not the file that the archive's Release, or the repository's `repomd.xml`, vouches for.
    #[error(
        "it is not what the repository's signed metadata vouches for: expected {expected_len} bytes with the SHA-256 {expected}, got {found_len} with {found}"
    )]
    Digest {
        /// What was promised.
        expected: Sha256,
        /// Bytes that were promised.
        expected_len: u64,
        /// What came.
        found: Sha256,
        /// Bytes that came.
        found_len: u64,
    },
    /// It is longer than was promised, or than this program allows.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// How long it may be.
        limit: u64,
    },
    /// It cannot be decompressed.
    #[error("it cannot be decompressed")]
    Decompress(#[source] std::io::Error),
    /// The signed Release does not list an index that it should have.
    #[error("the Release lists no index of {component} for {arch}")]
    NotListed {
        /// The component.
        component: String,
        /// The architecture.
        arch: String,
    },
    /// It is no file of an RPM repository.
    #[error("it cannot be read as metadata of an RPM repository")]
    Xml(#[from] XmlError),
    /// It is no list of mirrors.
    #[error("it cannot be read as a list of mirrors")]
    Mirrors(#[source] XmlError),
    /// It is not one of those that the repository's metalink vouches for.
    #[error("the repository's metalink does not know it")]
    Unknown,
    /// It is compressed in a way that this program does not know.
    #[error("it is compressed in an unknown way: gzip, xz and zstd are known")]
    Compression,
    /// Its packages belong to modules.
    #[error("the repository has modules, which are not supported: which of its packages may be chosen depends on them")]
    Modules,
    /// It is older than what the store has seen of the repository.
    #[error("it is of {}, and one of {} has been seen", utc(*.found), utc(*.kept))]
    Older {
        /// Its time, in seconds since the epoch.
        found: u64,
        /// The newest time that was seen.
        kept: u64,
    },
    /// It is no Packages file.
    #[error("it is no index of packages")]
    Packages(#[from] PackagesError),
    /// What was made of it cannot be read again.
    #[error("the list that was made of it cannot be used")]
    List(#[from] Unreadable),
}

/// A file of metadata that an offline build lacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The archive.
    pub archive: String,
    /// Its path beneath the archive's base address.
    pub path: String,
}

impl Error {
    /// The error of a suite whose mirrors failed so, in their order. `failures` must not be empty.
    pub(super) fn of_suite(archive: &str, suite: &str, mut failures: Vec<Failure>) -> Self {
        let heaviest = failures.iter().position(|failure| failure.cause.is_integrity()).unwrap_or(0);
        let cause = Box::new(failures.remove(heaviest));
        Self::Suite { archive: archive.to_owned(), suite: suite.to_owned(), cause, others: failures }
    }

    /// Whether something came that is not what it should be: changed, not proven, or out of date.
    pub fn is_integrity(&self) -> bool {
        matches!(self, Self::Suite { cause, .. } if cause.cause.is_integrity())
    }

    /// Whether a mirror had something that is good, but older than what the store has seen, or than it may be.
    pub(super) fn is_of_the_past(&self) -> bool {
        let Self::Suite { cause, others, .. } = self else { return false };
        let is_old = |cause: &Cause| matches!(cause, Cause::Older { .. } | Cause::Release(ReleaseError::Older { .. } | ReleaseError::Expired(_)));
        std::iter::once(&**cause).chain(others).any(|failure| is_old(&failure.cause))
    }

    /// Whether a file is not there, or not the one that is vouched for: a mirror may have it of another state of the repository. (A folder has one state.)
    pub(super) fn is_of_two_states(&self) -> bool {
        let Self::Suite { cause, others, .. } = self else { return false };
        let is_other = |cause: &Cause| match cause {
            Cause::Digest { .. } | Cause::TooLong { .. } => true,
            Cause::Fetch(error) => error.is_not_found(),
            _ => false,
        };
        std::iter::once(&**cause).chain(others).any(|failure| !failure.url.starts_with("file:") && is_other(&failure.cause))
    }

    /// Whether something that the user has configured cannot be used.
    pub fn is_of_configuration(&self) -> bool {
        matches!(self, Self::Suite { cause, .. } if matches!(&cause.cause, Cause::Fetch(fetch::Error::Certificate { .. })))
    }

    /// Whether something is not there, and nothing else is wrong.
    pub fn is_not_available(&self) -> bool {
        match self {
            Self::Offline(_) | Self::NoMirror { .. } => true,
            Self::Suite { cause, .. } => matches!(&cause.cause, Cause::Fetch(error) if error.is_not_found()),
            _ => false,
        }
    }

    /// Whether the user asked to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// A way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoMirror { .. } => {
                Some("name one: --mirror, or `mirrors:` in the configuration (on Debian and Ubuntu they come from apt's sources)".to_owned())
            }
            Self::Suite { cause, .. } => cause.cause.hint(),
            Self::Offline(_) => Some("fetch it where there is a network: the same command without --offline".to_owned()),
            Self::Cache(error) => error.hint(),
            Self::Name { .. } | Self::Cancelled(_) => None,
        }
    }
}

impl Cause {
    fn is_integrity(&self) -> bool {
        !matches!(
            self,
            Self::Fetch(_)
                | Self::Mirrors(_)
                | Self::Modules
                | Self::NotListed { .. }
                | Self::Release(ReleaseError::Architecture { .. } | ReleaseError::Component { .. })
        )
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(error) if error.is_not_found() => Some("check the name of the suite, or try another mirror".to_owned()),
            Self::Fetch(error) => error.hint(),
            Self::Signature(error) => error.hint(),
            Self::Unproven => Some("use the https address of the repository, or a mirror that has one".to_owned()),
            Self::Release(error) => error.hint(),
            Self::Mirrors(_) => Some("check the address of the list: `metalink` and `mirrorlist` are different formats".to_owned()),
            Self::Digest { .. } | Self::Unknown | Self::TooLong { .. } | Self::Decompress(_) | Self::Older { .. } => {
                Some("the mirror may be in the middle of an update: try again in a few minutes, or try another mirror".to_owned())
            }
            Self::Modules => Some("name a repository without modules: releases of the distribution that still have them cannot be built".to_owned()),
            Self::NotListed { .. } | Self::Packages(_) | Self::List(_) | Self::Xml(_) | Self::Compression => None,
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.archive)
    }
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn and_others(failures: &[Failure]) -> String {
    if failures.is_empty() { String::new() } else { format!("; {} other tries failed, too", failures.len()) }
}
