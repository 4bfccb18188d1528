//! Why a part of an image cannot be read.

use std::io;

use crate::progress::Cancelled;

/// Why a part of an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system refused, or the store has other bytes than it should.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
    /// Something lies beyond the end of the partition or of the disk.
    #[error("it ends too early")]
    CutOff,
    /// A field has a value that it cannot have.
    #[error("{0}")]
    Wrong(&'static str),
    /// It needs something that is not supported.
    #[error("it has {0}, which is not supported")]
    Unsupported(String),
    /// The user asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Problem {
    /// Whether the image is not what it should be, rather than the machine: what else is in the image can be told all the same.
    pub(super) fn is_of_image(&self) -> bool {
        !matches!(self, Self::Io(_) | Self::Cancelled(_))
    }
}

/// What the readers of this room return.
pub(super) type Result<T, E = Problem> = std::result::Result<T, E>;
