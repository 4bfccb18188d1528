//! What can go wrong while a disk is made.

use std::path::PathBuf;

use super::layout::LayoutError;
use crate::progress::Cancelled;
use crate::units::ByteSize;

/// A disk that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layout contradicts itself.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Something in the tree.
    #[error(transparent)]
    Tree(#[from] crate::tree::Error),
    /// A file of the tree that lies in the store cannot be read there.
    #[error("the kept root cannot be read")]
    UnreadableRoot(#[source] std::io::Error),
    /// Something looked into a file of the tree that is not laid down.
    #[error(transparent)]
    Touched(#[from] crate::deferred::Touched),
    /// The operating system refused something.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried, as a verb (`write`, `read`).
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The partition table could not be written.
    #[error("cannot write the partition table of {path}")]
    Table {
        /// The disk.
        path: PathBuf,
        /// Why not.
        source: gptman::Error,
    },
    /// What goes into a partition does not fit.
    #[error("partition “{partition}” of {has} is too small: {missing} more are needed")]
    TooSmall {
        /// Its name.
        partition: String,
        /// Its length.
        has: ByteSize,
        /// What is missing, as well as it is known; never zero.
        missing: ByteSize,
    },
    /// The tree lacks something that a disk cannot boot without.
    #[error("{what} is not in the image: there is no {path}")]
    Missing {
        /// What it is.
        what: String,
        /// Where it would be.
        path: String,
        /// The package that has it.
        package: String,
    },
    /// A value that cannot be written where it has to go.
    #[error("{what} “{value}” {problem}")]
    Unusable {
        /// What it is (`the kernel command line`).
        what: &'static str,
        /// The refused text, cut to 80 characters.
        value: String,
        /// Why not, in words that follow the value.
        problem: &'static str,
    },
    /// A file of the tree that is not what it must be.
    #[error("{path} in the image {problem}")]
    BadFile {
        /// Where, as seen in the image.
        path: String,
        /// What is wrong with it, in words that follow the path.
        problem: String,
    },
    /// A name that a FAT file system cannot hold.
    #[error("a FAT partition cannot hold “{path}”: {problem}")]
    FatName {
        /// The path on the partition.
        path: String,
        /// Why not.
        problem: &'static str,
    },
    /// A command inside the tree failed.
    #[error("“{command}” failed inside the image")]
    Sandbox {
        /// The command.
        command: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Error {
    pub(super) fn io<E: Into<std::io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source: source.into() }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("the file system of the work files is full: make room, or use another one".to_owned())
            }
            Self::TooSmall { partition, missing, .. } => {
                Some(format!("make partition “{partition}” (and the disk) at least {missing} larger, or install less"))
            }
            Self::Missing { package, .. } => Some(format!("add “{package}” to the packages")),
            _ => None,
        }
    }
}
