//! Files that no row knows: what crashes left, downloads that nobody went on with, and the quarantine.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::format::row::{BlobRow, PackRow, TrashRow};
use crate::locked;
use crate::store::error::{Error, Object, Result};
use crate::store::{Store, failpoint, layout};

/// A file that no row knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stray {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    /// When it came there or was last changed, seconds since the epoch.
    pub(crate) since: u64,
    pub(crate) kind: StrayKind,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StrayKind {
    /// In the place of a blob or a pack.
    Orphan,
    /// An unfinished download.
    Partial,
    /// In the quarantine.
    Quarantined,
}

impl Store {
    /// All of them, sorted by path. Files that appear meanwhile may be among them: whoever removes them looks again.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub(crate) fn strays(&self) -> Result<Vec<Stray>> {
        let mut strays = Vec::new();
        let txn = self.read()?;
        let mut of = |dir: &Path, kind: StrayKind| {
            for path in files(dir)? {
                // Another process may have been faster.
                let Ok(file) = fs::symlink_metadata(&path) else { continue };
                let known = match kind {
                    StrayKind::Orphan => match object_of(&path) {
                        Some(object @ Object::Blob(digest)) => {
                            txn.get::<BlobRow>(digest.as_bytes())?.is_some() || txn.get::<TrashRow>(&object.key())?.is_some()
                        }
                        Some(object @ Object::Pack(id)) => {
                            txn.get::<PackRow>(id.as_bytes())?.is_some() || txn.get::<TrashRow>(&object.key())?.is_some()
                        }
                        _ => false,
                    },
                    StrayKind::Partial | StrayKind::Quarantined => false,
                };
                if !known && !file.is_dir() {
                    // A file keeps its time of change when it is moved to the quarantine; the time of its inode is when.
                    let since = u64::try_from(file.ctime()).unwrap_or(0);
                    strays.push(Stray { path, len: file.len(), since, kind });
                }
            }
            Ok::<_, Error>(())
        };
        for dir in self.layout.blob_dirs()? {
            of(&dir, StrayKind::Orphan)?;
        }
        of(&self.layout.packs(), StrayKind::Orphan)?;
        of(&self.layout.partials(), StrayKind::Partial)?;
        of(&self.layout.quarantine_dir(), StrayKind::Quarantined)?;
        strays.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(strays)
    }

    /// Removes strays that still are; returns how many bytes that freed.
    ///
    /// # Errors
    /// An index that cannot be written, a file that cannot be removed.
    pub(crate) fn remove_strays<'s>(&self, strays: impl Iterator<Item = (&'s Path, StrayKind)>) -> Result<u64> {
        let mut strays = strays.peekable();
        if strays.peek().is_none() {
            return Ok(0);
        }
        // Files get their places inside the write transaction alone: none of these can be about to get its row.
        let txn = self.write()?;
        let (mut freed, mut dirs) = (0, std::collections::BTreeSet::new());
        for (path, kind) in strays {
            let removed = match kind {
                StrayKind::Orphan => {
                    let known = match object_of(path) {
                        Some(Object::Blob(digest)) => txn.get::<BlobRow>(digest.as_bytes())?.is_some(),
                        Some(Object::Pack(id)) => txn.get::<PackRow>(id.as_bytes())?.is_some(),
                        _ => false,
                    };
                    if known { None } else { Some(remove(path)?) }
                }
                StrayKind::Partial => remove_unlocked(path)?,
                StrayKind::Quarantined => Some(remove(path)?),
            };
            freed += removed.unwrap_or(0);
            dirs.extend(path.parent().map(Path::to_owned));
            failpoint!("store::gc::stray_removed");
        }
        for dir in dirs {
            layout::sync_dir(&dir)?;
        }
        Ok(freed)
    }
}

/// What a file would be, by its name.
fn object_of(path: &Path) -> Option<Object> {
    let name = path.file_name()?.to_str()?;
    let digest = |suffix| name.strip_suffix(suffix)?.parse::<Digest>().ok();
    digest(".zst").map(Object::Blob).or_else(|| digest(".pack").map(Object::Pack))
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(Error::io("list", dir))?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("list", dir)(error)),
    }
}

/// Removes a file; returns its length. Already gone is fine.
fn remove(path: &Path) -> Result<u64> {
    let len = fs::symlink_metadata(path).map_or(0, |file| file.len());
    match fs::remove_file(path) {
        Ok(()) => Ok(len),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

/// Removes a file that no process has locked.
fn remove_unlocked(path: &Path) -> Result<Option<u64>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    // The lock is kept while the name goes. It may be another file's by now.
    let is_ours = file.try_lock().is_ok() && locked::is_at(&file, path).map_err(Error::io("inspect", path))?;
    if is_ours { remove(path).map(Some) } else { Ok(None) }
}
