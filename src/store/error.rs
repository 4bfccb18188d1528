//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access::WhyReadOnly;
use crate::digest::Digest;
use crate::format::FormatError;
use crate::progress::Cancelled;
use crate::units::{ByteSize, human_duration};

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as in “write”.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What was to be stored could not be read.
    #[error("cannot read what is to be stored")]
    Source(#[source] io::Error),
    /// There is no room for what was to be stored.
    #[error("the store {} lacks about {}: {} are free on its file system", path.display(), ByteSize(*missing), ByteSize(*free))]
    NoRoom {
        /// The store.
        path: PathBuf,
        /// Bytes that are missing, as far as they are known.
        missing: u64,
        /// Bytes that are free once what was begun is gone.
        free: u64,
        /// What was tried.
        #[source]
        source: Box<Self>,
    },
    /// The directory holds other things.
    #[error("{} is neither empty nor a store", .0.display())]
    NotAStore(PathBuf),
    /// The file that says which format a store has says something else.
    #[error("{} does not say which format the store has", .0.display())]
    Unformatted(PathBuf),
    /// A later version of the program made the store.
    #[error("the store {} has format {found}, this program reads formats up to {supported}", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The highest format understood.
        supported: u32,
    },
    /// The database of the index failed.
    #[error("the index {} failed", path.display())]
    Index {
        /// Its file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Box<redb::Error>,
    },
    /// A row of the index cannot be read.
    #[error("the index {} has a row that cannot be read, in the table of {table}", path.display())]
    Row {
        /// Its file.
        path: PathBuf,
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        #[source]
        source: FormatError,
    },
    /// There are files, and no index that says what they are.
    #[error("the index {} is not there, and the store is not empty", .0.display())]
    NoIndex(PathBuf),
    /// A program that wrote to the index was killed, and the index cannot be repaired where nothing can be written.
    #[error("the index {} was not closed, and cannot be repaired: {reason}", path.display())]
    Unclean {
        /// Its file.
        path: PathBuf,
        /// Why not.
        reason: WhyReadOnly,
    },
    /// The store cannot be written to.
    #[error("the store {} cannot be changed: {reason}", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
        /// Why not.
        reason: WhyReadOnly,
    },
    /// Other processes have the store open, and it is needed alone.
    #[error("the store {} is in use by {}", path.display(), names(.holders))]
    InUse {
        /// The store.
        path: PathBuf,
        /// Who has it open, as far as that is known.
        holders: Vec<String>,
    },
    /// Another process writes to the index for too long.
    #[error("the store {} is busy: waited {} for {holder}", path.display(), human_duration(*waited))]
    Busy {
        /// The store.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
        /// Who writes.
        holder: String,
    },
    /// A time limit that is not a number.
    #[error("{LOCK_TIMEOUT} is “{0}”, which is not a number of seconds")]
    LockTimeout(String),
    /// Stored bytes are wrong or missing. They are marked as lost: the caller treats this as a miss.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Chunks that were there when an image was taken in were collected before it was complete, several times.
    #[error("chunks of the image were removed from the store while it was being stored")]
    Vanished,
    /// What was to be written does not fit the format.
    #[error("this does not fit the format of the store")]
    Format(#[from] FormatError),
    /// The user asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The environment variable with the longest wait for another process, in seconds.
pub const LOCK_TIMEOUT: &str = "IMAGE_COMPOSER_LOCK_TIMEOUT";

/// The way out of a damaged index.
pub const REBUILD_HINT: &str = "“image-composer cache rebuild-index” makes the index again from the files of the store";

/// Stored bytes that are wrong or missing.
#[derive(Debug, thiserror::Error)]
#[error("{} in the store is damaged: {problem}", path.display())]
pub struct Damage {
    /// What it was.
    pub object: Object,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// Something that the store keeps under a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A whole blob.
    Blob(Digest),
    /// A chunk.
    Chunk(Digest),
    /// A pack, with all chunks in it.
    Pack(Digest),
}

/// What is wrong with stored bytes.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file is not there.
    #[error("it is missing")]
    Missing,
    /// The file has another length than the index says.
    #[error("it is {found} bytes long instead of {expected}")]
    Length {
        /// What the index says.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// The device cannot read it.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// The compression is broken.
    #[error("it cannot be decompressed")]
    Compression(#[source] io::Error),
    /// The content has another digest than its name says.
    #[error("its content has the digest {found}")]
    Digest {
        /// The digest of the bytes that were read.
        found: Digest,
    },
    /// Its structure is wrong.
    #[error("its structure is wrong")]
    Format(#[source] FormatError),
}

/// What most functions of the store return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err` after an operation on a file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether stored bytes are wrong or missing: a miss for those who asked for them.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }

    /// Whether another process held the store for too long.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::InUse { .. })
    }

    /// Whether the index is not what it should be: a new one can be made from the files.
    pub fn is_of_index(&self) -> bool {
        match self {
            Self::Row { .. } | Self::NoIndex(_) => true,
            Self::Index { source, .. } => match source.as_ref() {
                redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) | redb::Error::TableTypeMismatch { .. } => true,
                // Said of files that are no database.
                redb::Error::Io(error) => matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether there is no room for what should be stored.
    pub fn is_full(&self) -> bool {
        if let Self::NoRoom { .. } = self {
            return true;
        }
        self.system_error().is_some_and(|error| FULL.contains(&error.kind()))
    }

    /// What the operating system said, where that is the cause.
    fn system_error(&self) -> Option<&io::Error> {
        // The database shows the text of its cause, and not the cause.
        if let Self::Index { source, .. } = self
            && let redb::Error::Io(error) = source.as_ref()
        {
            return Some(error);
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Some(error);
            }
            cause = error.source();
        }
        None
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAStore(_) => Some("choose an empty directory, or one that does not exist yet".to_owned()),
            Self::Newer { .. } => Some("use the version of the program that made the store, or another directory".to_owned()),
            Self::Busy { .. } => Some(format!("wait for it to end, or set {LOCK_TIMEOUT} to more seconds")),
            Self::InUse { .. } => Some("wait until it has ended".to_owned()),
            Self::ReadOnly { .. } => Some("use a store that you may write to; looking, building and exporting work with this one".to_owned()),
            Self::Unclean { .. } => Some(
                "open it once where it can be written to, as “image-composer cache list” does; “cache seal” leaves a store ready for such a place"
                    .to_owned(),
            ),
            Self::Unformatted(_) => Some("if this version of the program made the store, remove that file: it is written again".to_owned()),
            error if error.is_of_index() => Some(REBUILD_HINT.to_owned()),
            Self::LockTimeout(_) => Some("write a whole number of seconds, such as 600".to_owned()),
            Self::NoRoom { source, .. } => source.hint(),
            Self::Io { .. } | Self::Index { .. } => self.system_error().and_then(io_hint),
            Self::Vanished => Some("run the command again".to_owned()),
            _ => None,
        }
    }
}

fn names(holders: &[String]) -> String {
    if holders.is_empty() { super::lease::somebody() } else { holders.join(", ") }
}

/// What the operating system says where there is no room.
const FULL: [io::ErrorKind; 3] = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];

fn io_hint(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space on the file system of the store, or use another directory".to_owned())
        }
        io::ErrorKind::PermissionDenied => Some("use a store that you may write to".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_wherever_it_shows() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let index = Error::Index { path: "index.redb".into(), source: Box::new(redb::Error::Io(full())) };
        for error in [Error::io("write", Path::new("x"))(full()), index] {
            assert!(error.is_full() && error.hint().unwrap().contains("free some space"), "{error}");
        }
        let broken = Error::Index { path: "index.redb".into(), source: Box::new(redb::Error::Corrupted(String::new())) };
        assert!(!broken.is_full() && broken.hint().unwrap().contains("rebuild-index"));
    }
}
