//! What can go wrong while a root tree is made.

use std::path::PathBuf;

use super::sandbox::SandboxError;
use crate::digest::Digest;

/// A root tree that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something in the tree.
    #[error(transparent)]
    Tree(#[from] crate::tree::Error),
    /// The operating system refused something outside the tree.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried, as a verb (`write`, `read`).
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A package file that cannot be read.
    #[error("package {package}: {problem}")]
    BadPackage {
        /// Its name and version.
        package: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Reading a package's bytes failed: truncated, corrupt, or unreadable.
    #[error("package {package}: cannot read its contents")]
    Unreadable {
        /// Its name and version.
        package: String,
        /// The blob that holds it, where it lies in the store.
        blob: Option<Digest>,
        /// Why not.
        source: std::io::Error,
    },
    /// A kept root.
    #[error("the kept root cannot be read")]
    UnreadableRoot(#[source] std::io::Error),
    /// A program looked into a file that is not laid down.
    #[error(transparent)]
    Touched(#[from] crate::deferred::Touched),
    /// An archive entry that must not be unpacked.
    #[error("package {package} wants to write “{path}”: {problem}")]
    HostileEntry {
        /// The package.
        package: String,
        /// The name in the archive.
        path: String,
        /// Why it is refused.
        problem: &'static str,
    },
    /// Two packages ship the same file, and neither replaces the other.
    #[error("packages {first} and {second} both contain {path}, and neither says that it replaces the other")]
    FileConflict {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The file.
        path: String,
    },
    /// A program in the root ended with an error.
    #[error("{what} failed with {status}")]
    Script {
        /// Which script or command, and whose.
        what: String,
        /// Its exit status in words.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The sandbox could not be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Something of the spec that this root cannot fulfil.
    #[error("{problem}")]
    Unfulfilled {
        /// What.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A tree that its archive's format cannot hold.
    #[error("the tree cannot be kept")]
    Archive(#[source] crate::format::FormatError),
    /// The user asked to stop.
    #[error(transparent)]
    Cancelled(#[from] crate::progress::Cancelled),
}

/// For `map_err` after an operation on a path of the tree.
pub(super) fn refused(action: &'static str, path: impl AsRef<std::path::Path>) -> impl FnOnce(rustix::io::Errno) -> Error {
    let error = crate::tree::Error::at(action, path);
    move |errno| Error::Tree(error(errno))
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } | Self::Tree(crate::tree::Error { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("the work tree is full: free memory, or make room on the file system of the store (without a store, of TMPDIR)".to_owned())
            }
            Self::Unreadable { .. } => Some("fetch it again with --no-package-cache".to_owned()),
            Self::UnreadableRoot(_) => Some("install the packages with --no-root-cache".to_owned()),
            Self::Sandbox(error) => error.hint(),
            Self::Unfulfilled { hint, .. } => Some(hint.clone()),
            _ => None,
        }
    }

    /// The blob whose bytes could not be read, where that was the problem.
    pub fn unreadable_blob(&self) -> Option<Digest> {
        match self {
            Self::Unreadable { blob, .. } => *blob,
            _ => None,
        }
    }

    /// The end of what a failed program printed.
    pub fn output(&self) -> Option<&str> {
        match self {
            Self::Script { output, .. } => Some(output),
            _ => None,
        }
    }
}
