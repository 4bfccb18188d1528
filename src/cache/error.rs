//! What can go wrong in the caches.

use super::{Coordinates, SpecHash};
use crate::digest::Sha256;
use crate::store::{self, BundleError};

/// What can go wrong in the caches.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The bytes of a package are not what the repository promised. Nothing was stored.
    #[error("{coordinates} has the SHA-256 {found}, its repository promised {expected}")]
    Mismatch {
        /// The package.
        coordinates: Box<Coordinates>,
        /// What was promised.
        expected: Sha256,
        /// What came.
        found: Sha256,
    },
    /// Another image has the key that an imported one shall have.
    #[error("the cache has another image of this spec already: {}", .0.short())]
    Taken(SpecHash),
    /// A bundle.
    #[error(transparent)]
    Bundle(BundleError),
    /// No image that can be served has such a key.
    #[error("the cache has no whole image with the id {}", .0.short())]
    NoImage(SpecHash),
    /// No package has these coordinates.
    #[error("the cache has no package {0} any more")]
    NoPackage(Box<Coordinates>),
    /// A name that a file of a repository cannot have.
    #[error("“{0}” cannot be the name of a file of a repository")]
    Name(String),
}

/// What the functions of the caches return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether stored bytes are wrong or missing: a miss for those who asked for them.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_damage())
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Mismatch { .. } => Some("try again; if it stays so, the mirror serves a changed file: use another one".to_owned()),
            Self::Taken(_) => Some("to put this one in its place, say --force".to_owned()),
            Self::Bundle(error) => error.hint(),
            Self::Name(_) | Self::NoImage(_) | Self::NoPackage(_) => None,
        }
    }
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Store(error) => Self::Store(error),
            other => Self::Bundle(other),
        }
    }
}
