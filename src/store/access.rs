//! Whether this process may change a store. Found out by asking the operating system, never by trying: a store on a read-only medium, and one of another
//! user, can still be listed, built from and exported from.

use std::fmt;
use std::io;
use std::path::Path;

use rustix::fs::Access as Wish;
use rustix::io::Errno;

use super::error::{Error, Result};
use super::layout::Layout;

/// Whether this process may change a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may.
    ReadWrite,
    /// It may only look.
    ReadOnly(WhyReadOnly),
}

/// Why a process may only look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyReadOnly {
    /// Nobody can write there now.
    FileSystem,
    /// This user may not.
    Permission,
    /// It was asked to.
    Wish,
}

impl fmt::Display for WhyReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileSystem => "its file system is read-only",
            Self::Permission => "this user may not write to it",
            Self::Wish => "it was opened for looking",
        })
    }
}

impl Access {
    /// What this process may do with a store that is there. Who may not write to one of the places that every writer needs may write to none.
    pub(super) fn of(layout: &Layout) -> Result<Self> {
        for path in [layout.root().to_owned(), layout.leases(), layout.tmp(), layout.index()] {
            match may_write(&path)? {
                Self::ReadWrite => {}
                read_only @ Self::ReadOnly(_) => return Ok(read_only),
            }
        }
        Ok(Self::ReadWrite)
    }
}

fn may_write(path: &Path) -> Result<Access> {
    match rustix::fs::access(path, Wish::WRITE_OK) {
        // What is not there is made by whoever may write to the folder.
        Ok(()) | Err(Errno::NOENT) => Ok(Access::ReadWrite),
        Err(Errno::ROFS) => Ok(Access::ReadOnly(WhyReadOnly::FileSystem)),
        Err(Errno::ACCESS | Errno::PERM) => Ok(Access::ReadOnly(WhyReadOnly::Permission)),
        Err(error) => Err(Error::io("inspect", path)(io::Error::from(error))),
    }
}
