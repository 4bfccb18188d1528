//! The door of a store: every process that has it open keeps the file `format` locked, shared with the others. Who must be alone (to put another index in
//! place, to leave the store as a medium needs it) locks it for itself. Locks end with their process.

use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

use super::error::{Error, Result};
use super::layout::Layout;
use super::{Access, Options, Waiting, lease};

/// How long to wait before saying so.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pause between two attempts. Who is alone in a store is so for seconds.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock of a process that is in; ends when dropped.
#[derive(Debug)]
#[must_use = "the lock ends when this is dropped"]
pub(super) struct Door {
    _file: File,
}

impl Door {
    /// Goes in beside others. Waits for one who is alone in there.
    ///
    /// # Errors
    /// [`Error::Busy`] after the time limit; the user's wish not to wait.
    pub(super) fn enter(layout: &Layout, access: Access, options: &Options) -> Result<Self> {
        let file = open(layout)?;
        let begun = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock_shared() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                // Some media know no locks, and nobody changes what is on them.
                Err(TryLockError::Error(_)) if access != Access::ReadWrite => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &layout.format_file())(error)),
            }
            options.cancel.check()?;
            let waited = begun.elapsed();
            let holder = || lease::holders(layout).ok().and_then(|mut holders| holders.pop()).unwrap_or_else(lease::somebody);
            if waited >= options.lock_timeout {
                return Err(Error::Busy { path: layout.root().to_owned(), waited, holder: holder() });
            }
            if waited >= PATIENCE && !told {
                told = true;
                (options.on_wait)(&Waiting { store: layout.root(), holder: &holder() });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Goes in, and lets nobody else in.
    ///
    /// # Errors
    /// [`Error::InUse`] where somebody is in there.
    pub(super) fn shut(layout: &Layout) -> Result<Self> {
        let file = open(layout)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: layout.root().to_owned(), holders: lease::holders(layout)? }),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &layout.format_file())(error)),
        }
    }
}

fn open(layout: &Layout) -> Result<File> {
    let path = layout.format_file();
    File::open(&path).map_err(Error::io("open", &path))
}
