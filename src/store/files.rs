//! All files of a store that its index should know, as they lie there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::{Error, Result};
use super::layout::{Layout, names};
use crate::digest::Digest;

/// A file, by what the file system says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lying {
    /// Its length in bytes.
    pub(super) len: u64,
    /// When it was written.
    pub(super) modified: SystemTime,
}

/// All files of a store that its index should know.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) blobs: BTreeMap<Digest, Lying>,
    pub(super) packs: BTreeMap<Digest, Lying>,
    /// What lies among them and is no file of a store; sorted.
    pub(super) strangers: Vec<PathBuf>,
}

impl Files {
    /// Lists a store.
    pub(super) fn of(layout: &Layout) -> Result<Self> {
        let mut files = Self::default();
        let (blobs, packs) = (layout.blobs(), layout.packs());
        for folder in names(&blobs)? {
            let folder = blobs.join(folder);
            if !folder.is_dir() {
                files.strangers.push(folder);
                continue;
            }
            for name in names(&folder)? {
                let path = folder.join(&name);
                match digest_of(&name, "zst").filter(|digest| layout.blob(digest) == path) {
                    Some(digest) => files.blobs.extend(lying(&path)?.map(|file| (digest, file))),
                    None => files.strangers.push(path),
                }
            }
        }
        for name in names(&packs)? {
            match digest_of(&name, "pack") {
                Some(id) => files.packs.extend(lying(&layout.pack(&id))?.map(|file| (id, file))),
                None => files.strangers.push(packs.join(name)),
            }
        }
        files.strangers.sort();
        Ok(files)
    }

    /// The bytes of all of them.
    pub(super) fn total_len(&self) -> u64 {
        self.blobs.values().chain(self.packs.values()).map(|file| file.len).sum()
    }
}

fn digest_of(name: &OsStr, extension: &str) -> Option<Digest> {
    let stem = name.to_str()?.strip_suffix(extension)?.strip_suffix('.')?;
    // Only one way to write it is right.
    stem.parse::<Digest>().ok().filter(|digest| digest.to_string() == stem)
}

/// What lies at a path; nothing if it went meanwhile.
fn lying(path: &Path) -> Result<Option<Lying>> {
    match fs::symlink_metadata(path) {
        Ok(file) => Ok(Some(Lying { len: file.len(), modified: file.modified().map_err(Error::io("inspect", path))? })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("inspect", path)(error)),
    }
}
