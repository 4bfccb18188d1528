//! What happens to bytes that are found wrong: they are marked as lost, their file goes to the quarantine, and those who ask for them have a miss.
//!
//! In a store that this process may not write to, nothing is marked or moved: the process itself remembers what it found.
//!
//! The row stays, with its count of references. When the same bytes are stored again, they take the old place, and every name that points there works
//! again, whichever of them was rebuilt.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use super::error::{Damage, Error, Object, Problem, Result};
use super::index::WriteTxn;
use super::layout::Layout;
use super::{BlobReader, Store, failpoint, layout, open_file};
use crate::digest::Digest;
use crate::format::blob::BlobKind;
use crate::format::row::{BlobRow, ChunkRow, PackRow};

/// Damage that this process found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// To be reported.
    untold: Vec<Damage>,
    /// What could not be marked as lost.
    unmarked: HashSet<Object>,
}

impl Object {
    /// The key of this object in the tables of holds and trash.
    pub(crate) fn key(&self) -> [u8; 33] {
        let (kind, digest) = match self {
            Self::Blob(digest) => (0, digest),
            Self::Chunk(digest) => (1, digest),
            Self::Pack(digest) => (2, digest),
        };
        let mut key = [kind; 33];
        key[1..].copy_from_slice(digest.as_bytes());
        key
    }

    /// The object with this key.
    pub(crate) fn from_key(key: &[u8]) -> Option<Self> {
        let (kind, digest) = key.split_first()?;
        let digest = Digest::from_bytes(digest.try_into().ok()?);
        match kind {
            0 => Some(Self::Blob(digest)),
            1 => Some(Self::Chunk(digest)),
            2 => Some(Self::Pack(digest)),
            _ => None,
        }
    }
}

impl Store {
    /// Takes note of damage that a reader found: checks it once more, marks the bytes as lost, and moves their file out of the way.
    ///
    /// # Errors
    /// An index that cannot be written. Bytes that turn out to be right after all (another process has mended them) are no error.
    pub fn mark_lost(&self, damage: Damage) -> Result<()> {
        if !self.is_writable() {
            let mut found = self.found();
            if found.unmarked.insert(damage.object) {
                found.untold.push(damage);
            }
            return Ok(());
        }
        let txn = self.write()?;
        let marked = match damage.object {
            Object::Blob(digest) => self.lose_blob(&txn, &digest)?,
            Object::Chunk(digest) => self.lose_chunk(&txn, &digest, &damage.path)?,
            Object::Pack(id) => self.lose_pack(&txn, &id)?,
        };
        if marked {
            txn.commit()?;
            self.found().untold.push(damage);
        }
        Ok(())
    }

    /// All damage found since this was last asked, in the order in which it was found: for the report of a command.
    pub fn take_damage(&self) -> Vec<Damage> {
        std::mem::take(&mut self.found().untold)
    }

    /// Whether this process found something lost that it could not mark.
    pub(super) fn is_found_lost(&self, object: &Object) -> bool {
        !self.is_writable() && self.found().unmarked.contains(object)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // It is whole between any two statements.
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks what a failed result is about as lost, and returns the result.
    pub(crate) fn note_damage<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(Error::Damaged(Damage { object, path, problem })) = &result {
            let problem = problem.again();
            self.mark_lost(Damage { object: *object, path: path.clone(), problem })?;
        }
        result
    }

    pub(super) fn lose_blob(&self, txn: &WriteTxn<'_>, digest: &Digest) -> Result<bool> {
        let mut blobs = txn.table::<BlobRow>()?;
        let Some(mut row) = blobs.get(digest.as_bytes())?.filter(|row| !row.lost) else { return Ok(false) };
        let path = self.layout.blob(digest);
        match open_file(&path, digest).and_then(BlobReader::finish) {
            Ok(()) => return Ok(false),
            Err(Error::Damaged(_)) => quarantine(&self.layout, &path)?,
            Err(error) => return Err(error),
        }
        row.lost = true;
        blobs.put(digest.as_bytes(), &row)?;
        drop(blobs);
        if row.kind == BlobKind::Manifest {
            // Nobody can read any more which chunks it named.
            txn.recount_chunks(self)?;
        }
        Ok(true)
    }

    pub(super) fn lose_chunk(&self, txn: &WriteTxn<'_>, digest: &Digest, pack: &Path) -> Result<bool> {
        let mut chunks = txn.table::<ChunkRow>()?;
        let Some(mut row) = chunks.get(digest.as_bytes())?.filter(|row| !row.lost) else { return Ok(false) };
        if self.layout.pack(&row.pack) != pack {
            return Ok(false);
        }
        row.lost = true;
        chunks.put(digest.as_bytes(), &row)?;
        Ok(true)
    }

    fn lose_pack(&self, txn: &WriteTxn<'_>, id: &Digest) -> Result<bool> {
        let Some(row) = txn.get::<PackRow>(id.as_bytes())? else { return Ok(false) };
        let path = self.layout.pack(id);
        if fs::metadata(&path).is_ok_and(|file| file.len() == row.stored_len) {
            return Ok(false);
        }
        self.forget_pack(txn, id)
    }

    /// Puts a pack aside, with all chunks in it.
    pub(super) fn forget_pack(&self, txn: &WriteTxn<'_>, id: &Digest) -> Result<bool> {
        let mut packs = txn.table::<PackRow>()?;
        quarantine(&self.layout, &self.layout.pack(id))?;
        packs.remove(id.as_bytes())?;
        let mut chunks = txn.table::<ChunkRow>()?;
        for (key, mut row) in chunks.all()? {
            if row.pack == *id && !row.lost {
                row.lost = true;
                chunks.put(&key, &row)?;
            }
        }
        Ok(true)
    }
}

/// Puts a damaged file aside. One that is gone is fine.
pub(super) fn quarantine(layout: &Layout, path: &Path) -> Result<()> {
    let mut attempt = 0;
    let mut to = layout.quarantine(path, attempt);
    while to.exists() {
        attempt += 1;
        to = layout.quarantine(path, attempt);
    }
    failpoint!("store::damage::quarantine");
    match fs::rename(path, &to) {
        Ok(()) => path.parent().map_or(Ok(()), layout::sync_dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("move to the quarantine", path)(error)),
    }
}

impl Problem {
    /// The same problem for a second reader. (I/O errors cannot be cloned: kind and text are kept.)
    pub(crate) fn again(&self) -> Self {
        let copy = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        match self {
            Self::Missing => Self::Missing,
            Self::Length { expected, found } => Self::Length { expected: *expected, found: *found },
            Self::Unreadable(error) => Self::Unreadable(copy(error)),
            Self::Compression(error) => Self::Compression(copy(error)),
            Self::Digest { found } => Self::Digest { found: *found },
            Self::Format(error) => Self::Unreadable(io::Error::other(error.to_string())),
        }
    }
}
