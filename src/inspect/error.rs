//! Why an image cannot be looked into.

use std::io;
use std::path::{Path, PathBuf};

use super::problem::Problem;
use crate::cache;
use crate::disk::formats;
use crate::progress::Cancelled;

/// An image that cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A folder, a device or the like.
    #[error("{} is no regular file", .0.display())]
    NotAFile(PathBuf),
    /// A file without a byte.
    #[error("{} is empty: it has no disk", .0.display())]
    Empty(PathBuf),
    /// A file that is no disk image that can be read.
    #[error(transparent)]
    Format(#[from] formats::Error),
    /// The caches.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A part of the image.
    #[error("{place} of {image} cannot be read: {problem}")]
    Damaged {
        /// The file, or the id of the image.
        image: String,
        /// Which part.
        place: String,
        /// Why not.
        #[source]
        problem: Problem,
    },
    /// A system without what is to be taken out of it, or started.
    #[error("the system of the image has {what}")]
    Lacks {
        /// What it has not.
        what: &'static str,
        /// The way out.
        hint: &'static str,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What the functions of this room return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(super) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source: source.into() }
    }

    /// Whether the image is not what it should be.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { problem, .. } => matches!(problem, Problem::CutOff | Problem::Wrong(_)),
            Self::Format(error) => error.is_damage(),
            Self::Cache(error) => error.is_damage(),
            _ => false,
        }
    }

    /// Whether what was asked for cannot be looked into at all: another name would have to be given.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NotAFile(_) | Self::Empty(_) => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("what is compressed is unpacked among the temporary files: set TMPDIR to a folder with more room".to_owned())
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name a file that is there, or the id of an image, as “image-composer cache list” shows it".to_owned())
            }
            Self::NotAFile(_) | Self::Empty(_) => Some("name a disk image: raw, qcow2, vhd, vhdx, vmdk or vdi, compressed or not".to_owned()),
            Self::Format(formats::Error::NoRoom { .. }) => {
                Some("set TMPDIR to a folder with more room: what is compressed is unpacked there".to_owned())
            }
            Self::Format(error) => error.hint(),
            Self::Cache(error) => error.hint(),
            Self::Lacks { hint, .. } => Some((*hint).to_owned()),
            Self::Damaged { problem: Problem::Unsupported(_), .. } => Some("“image-composer inspect” shows what can be read of it".to_owned()),
            Self::Damaged { .. } => Some("copy or fetch the file again; “image-composer inspect” shows what can be read of it".to_owned()),
            Self::Io { .. } | Self::Cancelled(_) => None,
        }
    }
}
