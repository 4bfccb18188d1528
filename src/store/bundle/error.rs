//! What can go wrong with a bundle.

use std::io;

use crate::digest::{Digest, Sha256};
use crate::format::FormatError;
use crate::progress::Cancelled;
use crate::store::{self, Problem};
use crate::units::ByteSize;

/// What can go wrong with a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The bundle cannot be read.
    #[error("the bundle cannot be read")]
    Read(#[source] io::Error),
    /// The bundle cannot be written.
    #[error("the bundle cannot be written")]
    Write(#[source] io::Error),
    /// The bundle ends too early.
    #[error("the bundle is cut off: it has fewer than its {} bytes", .expected)]
    CutOff {
        /// How long it says to be, in bytes.
        expected: u64,
    },
    /// Something follows the bundle.
    #[error("something follows the end of the bundle, after {} bytes", .expected)]
    Trailing {
        /// How long it says to be, in bytes.
        expected: u64,
    },
    /// Its structure is wrong.
    #[error("the bundle cannot be understood")]
    Format(#[from] FormatError),
    /// A blob in it is not what it should be.
    #[error("the blob {} in the bundle is damaged: {problem}", .digest.short())]
    Blob {
        /// Which.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
    /// A frame in it is not what it should be.
    #[error("frame {number} in the bundle is damaged: {problem}")]
    Frame {
        /// Which, counted from 0.
        number: usize,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
    /// Something else in it is not what it should be: a byte between two parts, or one that changes nothing that is decoded.
    #[error("the bundle is damaged: not all of its bytes are what they were")]
    Between,
    /// A package in it is another one than its name says.
    #[error("the package {name} in the bundle has the SHA-256 {found}, its name says {expected}")]
    Package {
        /// What it is called.
        name: String,
        /// What its name says.
        expected: Sha256,
        /// What it has.
        found: Sha256,
    },
    /// A name in it is none.
    #[error("the bundle has a name that nothing can have: {0}")]
    Name(String),
    /// Its parts contradict each other.
    #[error("the image {image} in the bundle contradicts itself: {reason}")]
    Image {
        /// The beginning of its spec hash.
        image: String,
        /// Which parts do not fit.
        reason: &'static str,
    },
    /// There is no room for what is missing in the store.
    #[error("the store has no room for the bundle: it needs {needed}, and {free} are free")]
    NoRoom {
        /// What would be added.
        needed: ByteSize,
        /// What the file system of the store has.
        free: ByteSize,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl BundleError {
    /// Whether the bundle's bytes are wrong, and not this machine.
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::Read(_) | Self::Write(_) | Self::NoRoom { .. } => false,
            Self::Store(error) => error.is_damage(),
            _ => true,
        }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoRoom { .. } => Some("free some space, or use a store on another file system".to_owned()),
            Self::Format(FormatError::Version { .. }) => Some("use the version of the program that made the bundle".to_owned()),
            Self::Store(error) => error.hint(),
            Self::Write(_) => Some("free some space there, or write the bundle to another place".to_owned()),
            Self::Read(_) => None,
            _ => Some("nothing was imported; copy the bundle again, or make a new one".to_owned()),
        }
    }
}

impl From<Cancelled> for BundleError {
    fn from(cancelled: Cancelled) -> Self {
        Self::Store(cancelled.into())
    }
}
