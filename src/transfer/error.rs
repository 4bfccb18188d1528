//! Why an image could not leave or come in.

use std::io;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::disk::formats::{self, Contents};
use crate::inspect;
use crate::progress::Cancelled;
use crate::store;
use crate::units::ByteSize;

/// Why an image could not leave or come in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caches.
    #[error(transparent)]
    Cache(cache::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A file of another program.
    #[error(transparent)]
    Format(formats::Error),
    /// The files of an image cannot be read.
    #[error(transparent)]
    Inspect(inspect::Error),
    /// The operating system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A name that does not say which format is meant.
    #[error("“{}” does not say which format it shall have", .0.display())]
    NoFormat(PathBuf),
    /// There is a file already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// Something other than a file.
    #[error("{} is no regular file", .0.display())]
    NotAFile(PathBuf),
    /// A file without a byte.
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
    /// No room for what is to be written.
    #[error("{} has room for {free}, and {needs} are needed: {missing} are missing", folder.display())]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// What is to be written, as far as it is known.
        needs: ByteSize,
        /// What can be written.
        free: ByteSize,
        /// The difference.
        missing: ByteSize,
    },
    /// A file whose name says a format that its content is not.
    #[error("{} is called {name}, and is none: it does not begin as such a file does", path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// What its name says.
        name: Contents,
    },
    /// A file that shall be read as what has no disk.
    #[error("{} cannot be imported as {contents}: an image is a disk", path.display())]
    NoDisk {
        /// The file.
        path: PathBuf,
        /// What it shall be read as.
        contents: Contents,
    },
    /// A disk that cannot be the one of a spec.
    #[error("the disk in {} has {found} ({} bytes), and the spec’s has {expected} ({} bytes)", path.display(), found.0, expected.0)]
    OtherSize {
        /// The file.
        path: PathBuf,
        /// The length of its disk.
        found: ByteSize,
        /// What the spec says.
        expected: ByteSize,
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

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Format(error) => error.hint(),
            Self::Inspect(error) => error.hint(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => Some("free some space there, or use another folder".to_owned()),
            Self::NoFormat(_) => Some(
                "end the name with .raw, .qcow2, .vhd, .vhdx, .vmdk, .vdi, .tar, .initrd or .vmlinuz (and .zst, .xz, .gz or .bz2 after it), or say --format".to_owned(),
            ),
            Self::Exists(_) => Some("choose another name, or write over it with --force".to_owned()),
            Self::NotAFile(_) => Some("name a regular file; what a device or a pipe holds can be copied to one, and an image from one".to_owned()),
            Self::NoRoom { .. } => Some("free some space there, or use another folder".to_owned()),
            Self::Misnamed { .. } => Some("fetch or copy the file again; if its bytes are the disk’s as they are, say --format raw".to_owned()),
            Self::NoDisk { .. } => Some("name a file that has a disk: raw, qcow2, vhd, vhdx, vmdk or vdi".to_owned()),
            Self::OtherSize { .. } => Some("give the spec’s disk.size that size, or import it without --spec".to_owned()),
            Self::Io { action: "inspect", source, .. } if source.kind() == io::ErrorKind::NotFound => Some("make the folder first".to_owned()),
            Self::Empty(_) => Some("fetch or copy the file again".to_owned()),
            Self::Io { .. } | Self::Cancelled(_) => None,
        }
    }
}

impl From<cache::Error> for Error {
    fn from(error: cache::Error) -> Self {
        match error {
            cache::Error::Store(error) => Self::Store(error),
            other => Self::Cache(other),
        }
    }
}

impl From<inspect::Error> for Error {
    fn from(error: inspect::Error) -> Self {
        match error {
            inspect::Error::Cancelled(cancelled) => Self::Cancelled(cancelled),
            other => Self::Inspect(other),
        }
    }
}

impl From<formats::Error> for Error {
    fn from(error: formats::Error) -> Self {
        match error {
            formats::Error::Cancelled(cancelled) => Self::Cancelled(cancelled),
            other => Self::Format(other),
        }
    }
}
