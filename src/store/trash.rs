//! How files disappear: the row moves to the trash in one transaction, the file goes in a second.
//!
//! Between the two, a reader that already found the row still finds the file. Whoever publishes the same bytes takes them out of the trash again.

use std::fs;
use std::io;

use super::error::{Error, Object, Result};
use super::index::WriteTxn;
use super::{Store, failpoint, now};
use crate::digest::Digest;
use crate::format::row::{BlobRow, TrashRow};
use crate::progress::{Event, Phase, Progress, Silent};

impl WriteTxn<'_> {
    /// Moves the row of a blob without references to the trash. One that is referred to stays, and is reported as `false`.
    pub(super) fn discard_blob(&self, digest: &Digest) -> Result<bool> {
        let mut blobs = self.table::<BlobRow>()?;
        let Some(row) = blobs.get(digest.as_bytes())? else { return Ok(false) };
        if row.references > 0 {
            return Ok(false);
        }
        blobs.remove(digest.as_bytes())?;
        self.put(&Object::Blob(*digest).key(), &TrashRow { since: now(), stored_len: row.stored_len })?;
        failpoint!("store::trash::row_moved");
        Ok(true)
    }
}

impl Store {
    /// Removes blobs that nothing refers to and no process holds; others stay. Returns how many bytes that freed.
    ///
    /// # Errors
    /// An index that cannot be written, a file that cannot be unlinked.
    pub fn discard(&self, blobs: &[Digest]) -> Result<u64> {
        let txn = self.write()?;
        let held = self.held(&txn)?;
        for digest in blobs.iter().filter(|digest| !held.contains(&Object::Blob(**digest))) {
            txn.discard_blob(digest)?;
        }
        txn.commit()?;
        self.empty_trash(&Silent)
    }

    /// Unlinks everything in the trash; returns how many bytes that freed. Reports the same as [`Phase::Remove`], which the caller begins and ends.
    ///
    /// # Errors
    /// A file that cannot be unlinked; what was unlinked before it is gone, and the rest stays in the trash.
    pub fn empty_trash(&self, progress: &dyn Progress) -> Result<u64> {
        let txn = self.write()?;
        let mut freed = 0;
        let mut failed = Ok(());
        {
            let mut trash = txn.table::<TrashRow>()?;
            for (key, row) in trash.all()? {
                let path = match Object::from_key(&key) {
                    Some(Object::Blob(digest)) => self.layout.blob(&digest),
                    Some(Object::Pack(id)) => self.layout.pack(&id),
                    Some(Object::Chunk(_)) | None => continue,
                };
                failpoint!("store::trash::unlink");
                match fs::remove_file(&path) {
                    Ok(()) => {
                        freed += row.stored_len;
                        progress.report(Event::Advance { phase: Phase::Remove, by: row.stored_len });
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        failed = Err(Error::io("remove", &path)(error));
                        break;
                    }
                }
                failpoint!("store::trash::unlinked");
                trash.remove(&key)?;
            }
        }
        txn.commit()?;
        failed.map(|()| freed)
    }
}
