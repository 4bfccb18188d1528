//! What can go wrong with the files of other programs.

use std::io;
use std::path::{Path, PathBuf};

use super::{Format, Problem};
use crate::progress::Cancelled;
use crate::units::ByteSize;

/// A disk image that could not be written or read.
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
    /// A size that the format cannot hold.
    #[error("a disk of {size} ({} bytes) cannot be written as {format}: {rule}", size.0)]
    Size {
        /// The length of the disk.
        size: ByteSize,
        /// The format.
        format: Format,
        /// What a size must be.
        rule: &'static str,
    },
    /// A file that cannot be read as a disk.
    #[error("{} cannot be read as {name}: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it was taken for.
        name: &'static str,
        /// Why not.
        #[source]
        problem: Problem,
    },
    /// A disk that is longer than it may be.
    #[error("the disk in {} is longer than {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: ByteSize,
    },
    /// No room for what is in the file.
    #[error("{} holds at least {needs} of data, and {} has room for {free}: {missing} are missing", path.display(), folder.display())]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// Where it was to be unpacked.
        folder: PathBuf,
        /// What is to be written.
        needs: ByteSize,
        /// What can be written.
        free: ByteSize,
        /// The difference.
        missing: ByteSize,
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

    /// Whether the file is not what it should be, rather than the machine.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Unreadable { problem: Problem::CutOff | Problem::Wrong(_) | Problem::Compression(_), .. })
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => Some("free some space there, or use another folder".to_owned()),
            Self::Size { .. } => Some("choose another format: raw holds a disk of any size".to_owned()),
            Self::Unreadable { problem, path, .. } => problem.hint(path),
            Self::TooLong { .. } => Some("if it is trusted, allow more with --max-size".to_owned()),
            Self::NoRoom { .. } => Some("free some space there, or use a store on another file system".to_owned()),
            Self::Io { .. } | Self::Cancelled(_) => None,
        }
    }
}
