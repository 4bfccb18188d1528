//! The store: bytes under the digest of their raw content.
//!
//! ```text
//!  package, metadata, document ─► blob.rs ───────────────► blobs/ab/<digest>.zst ─► reader.rs ─► verified bytes
//!  disk image ─► cut.rs ─► ingest.rs ─► packs.rs ────────► packs/<id>.pack ───────► restore.rs ─► sparse file
//!                                  └─► manifest (a blob)
//! ```
//!
//! *To appear*, bytes are staged under `tmp/`, made durable, and renamed into place inside the write transaction that also writes their rows (`index.rs`).
//! *To disappear*, a row moves to the trash in one transaction, and the file goes in a second (`trash.rs`). So a crash leaves a file without a row at
//! worst, never a row without its file. Reading verifies always; what is found damaged is marked as lost (`damage.rs`) and mended by the next writer of
//! the same bytes. A row that is lost keeps its count of references: whoever stores the same bytes again repairs all names that point to them.
//!
//! A reference count says how many names and documents point to a blob, and how many manifests name a chunk. Counts change in the transaction that
//! changes what points there. Nothing is removed at zero: collecting is policy, and comes with its own plan.

mod access;
mod beside;
mod blob;
mod bundle;
mod claim;
mod cut;
mod damage;
mod door;
mod early_sync;
mod error;
pub(crate) mod failpoint;
mod files;
mod gc;
mod holds;
mod index;
mod ingest;
mod inspect;
mod layout;
mod lease;
mod packs;
mod random;
mod reader;
mod rebuild;
mod references;
mod restore;
mod scratch;
mod seal;
mod tally;
mod trash;
mod uses;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

pub use access::{Access, WhyReadOnly};
pub use beside::{Beside, Files};
pub(crate) use blob::{LEVEL_COMPRESSED, Published, StagedBlob};
pub(crate) use bundle::{Arrived, Wanted};
pub use bundle::{BundleError, BundlePlan, BundleReader};
pub use claim::Claim;
pub use error::{Damage, Error, LOCK_TIMEOUT, Object, Problem, REBUILD_HINT, Result};
pub(crate) use failpoint::failpoint;
pub(crate) use gc::{Foresight, Stray, StrayKind};
pub(crate) use index::{ReadTxn, WriteTxn};
pub(crate) use ingest::StagedImage;
pub use ingest::{LEVEL, LEVELS, Shared, Stretch};
pub use random::{ImageReader, Parts, Window};
pub use reader::{BlobReader, open_file};
pub use rebuild::{Rebuilt, rebuild_index};
pub use restore::Output;
pub use scratch::Scratch;
pub use seal::{Sealed, seal};
pub use uses::Counted;
pub(crate) use uses::Used;
pub use verify::{Checked, Findings, Framing, Name, Orphan, Repaired, WrongCount, WrongName, WrongRow};

use door::Door;
use index::Index;
use layout::Layout;
use lease::Lease;

use crate::digest::Digest;
use crate::format::row::BlobRow;
use crate::progress::Cancel;

/// The longest wait for another process's write transaction, unless told otherwise.
const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(600);

/// Another process is writing to the store, and we wait for it.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// The store.
    pub store: &'a Path,
    /// Who writes, as in “process 1234 (image-composer build spec.yml)”.
    pub holder: &'a str,
}

/// How a store behaves towards other processes.
#[derive(Clone)]
pub struct Options {
    /// How long to wait for another process's write transaction.
    pub lock_timeout: Duration,
    /// Called once for each wait that is longer than a second.
    pub on_wait: Arc<dyn Fn(&Waiting<'_>) + Send + Sync>,
    /// Ends such a wait when the user asks to stop.
    pub cancel: Cancel,
    /// Only looks at the store, also where it could be changed.
    pub look_only: bool,
}

impl Options {
    /// The defaults, with the time limit from the environment ([`LOCK_TIMEOUT`], in seconds) where it is set.
    ///
    /// # Errors
    /// A time limit that is not a whole number.
    pub fn from_env() -> Result<Self> {
        let lock_timeout = match std::env::var_os(LOCK_TIMEOUT) {
            None => DEFAULT_LOCK_TIMEOUT,
            Some(text) => {
                let seconds = text.to_str().and_then(|text| text.trim().parse().ok());
                Duration::from_secs(seconds.ok_or_else(|| Error::LockTimeout(text.to_string_lossy().into_owned()))?)
            }
        };
        Ok(Self { lock_timeout, on_wait: Arc::new(|_| {}), cancel: Cancel::default(), look_only: false })
    }
}

/// An open store; shared by reference between threads. Any number of processes may have the same directory open.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    index: Index,
    /// None where the store can only be looked at.
    lease: Option<Arc<Lease>>,
    access: Access,
    damage: Mutex<damage::Found>,
    notes: Mutex<uses::Notes>,
    compression_level: i32,
    // The last to go.
    _door: Door,
}

impl Store {
    /// Opens the store in `dir`, or makes one there, with [`Options::from_env`].
    ///
    /// # Errors
    /// A directory that holds other things, a store of a later format, a directory that cannot be written to.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, Options::from_env()?)
    }

    /// Opens the store in `dir`, or makes one there. What dead processes left in the making is removed. A store that this process may not write to is
    /// opened for looking: see [`Store::access`].
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn open_with(dir: &Path, options: Options) -> Result<Self> {
        let layout = Layout::open(dir)?;
        let access = if options.look_only { Access::ReadOnly(WhyReadOnly::Wish) } else { Access::of(&layout)? };
        let door = Door::enter(&layout, access, &options)?;
        Self::open_inside(layout, access, door, options)
    }

    fn open_inside(layout: Layout, access: Access, door: Door, options: Options) -> Result<Self> {
        layout.check_index()?;
        let (index, lease) = match access {
            Access::ReadWrite => {
                lease::clean(&layout)?;
                let lease = Arc::new(Lease::take(&layout)?);
                (Index::open(&layout, &lease, options)?, Some(lease))
            }
            Access::ReadOnly(reason) => (Index::open_read_only(&layout, reason, options)?, None),
        };
        Ok(Self { layout, index, lease, access, damage: Mutex::default(), notes: Mutex::default(), compression_level: LEVEL, _door: door })
    }

    /// Whether this process may change the store. Where it may not, everything that is asked for is found, marks of use and damage are not made, and
    /// whatever else would write is [`Error::ReadOnly`].
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether this process may change the store.
    pub fn is_writable(&self) -> bool {
        self.access == Access::ReadWrite
    }

    /// Fails where the store cannot be changed: for work that would be in vain.
    ///
    /// # Errors
    /// [`Error::ReadOnly`].
    pub fn check_writable(&self) -> Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly(reason) => Err(Error::ReadOnly { path: self.dir().to_owned(), reason }),
        }
    }

    /// The lease under which this process makes things.
    fn lease(&self) -> Result<&Arc<Lease>> {
        self.check_writable()?;
        Ok(self.lease.as_ref().expect("who may write has a lease"))
    }

    /// Compresses images that are kept from now on at this level, or at the nearest of [`LEVELS`].
    pub fn set_compression_level(&mut self, level: i32) {
        self.compression_level = level.clamp(*LEVELS.start(), *LEVELS.end());
    }

    /// The directory of the store, absolute.
    pub fn dir(&self) -> &Path {
        self.layout.root()
    }

    /// A new empty directory for work in the making: on the store's file system, or among the system's temporary files where the store cannot be changed.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn scratch(&self) -> Result<Scratch> {
        match &self.lease {
            Some(lease) => Scratch::new(lease),
            None => Scratch::elsewhere(),
        }
    }

    /// Where downloads that can be resumed lie; survives the process.
    pub fn partials_dir(&self) -> PathBuf {
        self.layout.partials()
    }

    /// Who has the store open now, this process included: a line for each, sorted.
    ///
    /// # Errors
    /// A store that cannot be listed.
    pub fn holders(&self) -> Result<Vec<String>> {
        lease::holders(&self.layout)
    }

    /// The bytes that are free on the store's file system for this user.
    ///
    /// # Errors
    /// A file system that does not say.
    pub fn free_bytes(&self) -> Result<u64> {
        let room = rustix::fs::statvfs(self.layout.root()).map_err(|error| Error::io("inspect", self.layout.root())(error.into()))?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }

    /// The same error, or, if it is that there is no room, one that says how much of `needed` bytes is missing. What was begun must be gone by now.
    pub(crate) fn lacking(&self, error: Error, needed: u64) -> Error {
        match self.free_bytes() {
            Ok(free) if error.is_full() && needed > free => {
                Error::NoRoom { path: self.dir().to_owned(), missing: needed - free, free, source: Box::new(error) }
            }
            _ => error,
        }
    }

    /// Where the file of a blob lies, for [`open_file`] in another process. Says nothing about whether it is there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.layout.blob(digest)
    }

    /// Opens a blob for reading. An [`std::io::Error`] while reading may have a [`Damage`] inside, which belongs to [`Store::mark_lost`].
    ///
    /// # Errors
    /// [`Error::Damaged`] for a missing file and for one that does not begin as a blob does; it is already marked as lost.
    pub fn open_blob(&self, digest: &Digest) -> Result<BlobReader> {
        self.note_damage(open_file(&self.layout.blob(digest), digest))
    }

    /// Reads a blob of at most `limit` bytes into memory.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is missing, wrong or longer; it is already marked as lost.
    pub(crate) fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let read = open_file(&self.layout.blob(digest), digest).and_then(|reader| reader.read_all(limit));
        self.note_damage(read)
    }

    /// [`Store::read_blob`], without taking note of damage.
    pub(crate) fn peek_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        open_file(&self.layout.blob(digest), digest)?.read_all(limit)
    }

    /// Reads a whole blob only to check it.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is missing or wrong; it is already marked as lost.
    pub fn verify_blob(&self, digest: &Digest) -> Result<()> {
        self.note_damage(open_file(&self.layout.blob(digest), digest).and_then(BlobReader::finish))
    }

    pub(crate) fn read(&self) -> Result<ReadTxn<'_>> {
        self.index.read()
    }

    pub(crate) fn write(&self) -> Result<WriteTxn<'_>> {
        self.index.write()
    }

    /// The row of a blob whose file is there with the right length. One that is not is marked as lost.
    pub(crate) fn intact_blob(&self, txn: &ReadTxn<'_>, digest: &Digest) -> Result<Option<BlobRow>> {
        self.intact_row(digest, txn.get::<BlobRow>(digest.as_bytes())?)
    }

    /// [`Store::intact_blob`] where the row was read already.
    pub(crate) fn intact_row(&self, digest: &Digest, row: Option<BlobRow>) -> Result<Option<BlobRow>> {
        let Some(row) = row.filter(|row| !row.lost) else { return Ok(None) };
        if self.is_found_lost(&Object::Blob(*digest)) {
            return Ok(None);
        }
        let path = self.layout.blob(digest);
        let problem = match std::fs::metadata(&path) {
            Ok(file) if file.len() == row.stored_len => return Ok(Some(row)),
            Ok(file) => Problem::Length { expected: row.stored_len, found: file.len() },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Problem::Missing,
            Err(error) => return Err(Error::io("inspect", &path)(error)),
        };
        self.mark_lost(Damage { object: Object::Blob(*digest), path, problem })?;
        Ok(None)
    }
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
pub(crate) mod tests;
