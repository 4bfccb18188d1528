//! A package file that is not whole yet.
//!
//! It lies beside the store's blobs under the digest that it will have, so that the next run goes on where this one ended, and it is locked while a process
//! writes it. Whatever it holds is hashed before it is continued: nothing about it is believed.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256 as Hasher};

use super::Error;
use crate::digest::Sha256;
use crate::locked;
use crate::progress::Cancel;

/// An open partial file with everything in it hashed.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    /// For messages; the file is at this place only if `named`.
    path: PathBuf,
    /// None other has it: it has a name, and we have its lock.
    named: bool,
    hasher: Hasher,
    length: u64,
}

impl Partial {
    /// Opens the partial file of the package with this digest in `dir`, and hashes what is in it; none while another process writes it.
    pub(super) fn open(dir: &Path, sha256: &Sha256, size: u64, cancel: &Cancel) -> Result<Option<Self>, Error> {
        let path = path(dir, sha256);
        let Some(file) = locked::open(&path).map_err(|source| Error::File { path: path.clone(), source })? else { return Ok(None) };
        let mut partial = Self { file, path, named: true, hasher: Hasher::new(), length: 0 };
        partial.read_back(size, cancel)?;
        Ok(Some(partial))
    }

    /// A file without a name, beside one that another process writes.
    pub(super) fn beside(dir: &Path, sha256: &Sha256) -> Result<Self, Error> {
        let path = path(dir, sha256);
        let file = tempfile::tempfile_in(dir).map_err(|source| Error::File { path: path.clone(), source })?;
        Ok(Self { file, path, named: false, hasher: Hasher::new(), length: 0 })
    }

    fn read_back(&mut self, size: u64, cancel: &Cancel) -> Result<(), Error> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            cancel.check()?;
            let length = self.file.read(&mut buffer).map_err(|source| self.failed(source))?;
            if length == 0 {
                break;
            }
            self.hasher.update(&buffer[..length]);
            self.length += length as u64;
            if self.length > size {
                return self.clear();
            }
        }
        Ok(())
    }

    /// How many bytes it holds.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The digest of what it holds.
    pub(super) fn digest(&self) -> Sha256 {
        Sha256::from_bytes(self.hasher.clone().finalize().into())
    }

    /// Adds bytes to its end.
    pub(super) fn append(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.file.write_all(piece).map_err(|source| self.failed(source))?;
        self.hasher.update(piece);
        self.length += piece.len() as u64;
        Ok(())
    }

    /// Empties it.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|source| self.failed(source))?;
        self.hasher = Hasher::new();
        self.length = 0;
        Ok(())
    }

    /// The file, to be read from its start.
    pub(super) fn whole(&mut self) -> Result<&mut File, Error> {
        self.file.seek(SeekFrom::Start(0)).map_err(|source| self.failed(source))?;
        Ok(&mut self.file)
    }

    /// Removes it from its place; what is held open stays readable.
    pub(super) fn remove(mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.named) || !self.is_there() {
            return Ok(());
        }
        std::fs::remove_file(&self.path).map_err(|source| self.failed(source))
    }

    /// Whether nobody has removed it.
    fn is_there(&self) -> bool {
        locked::is_at(&self.file, &self.path).unwrap_or(false)
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::File { path: self.path.clone(), source }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.named && self.length == 0 && self.is_there() {
            // Nothing is lost if an empty file stays.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn path(dir: &Path, sha256: &Sha256) -> PathBuf {
    dir.join(format!("{sha256}.partial"))
}

/// How long the file is that another process writes, in bytes.
pub(super) fn length_of(dir: &Path, sha256: &Sha256) -> u64 {
    std::fs::metadata(path(dir, sha256)).map_or(0, |file| file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_open(dir: &Path, size: u64) -> Option<Partial> {
        Partial::open(dir, &Sha256::of(b"whole"), size, &Cancel::default()).unwrap()
    }

    fn open(dir: &Path, size: u64) -> Partial {
        try_open(dir, size).unwrap()
    }

    fn names(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn is_continued_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), 5).append(b"who").unwrap();
        let mut again = open(dir.path(), 5);
        assert_eq!(again.length(), 3);
        again.append(b"le").unwrap();
        assert_eq!(again.digest(), Sha256::of(b"whole"));
        let mut text = String::new();
        again.whole().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole");
        again.remove().unwrap();
        assert_eq!(names(dir.path()), 0);
    }

    #[test]
    fn what_is_too_long_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), 5).append(b"whole and more").unwrap();
        let partial = open(dir.path(), 5);
        assert_eq!(partial.length(), 0);
        drop(partial);
        assert_eq!(names(dir.path()), 0, "an empty file stays");
    }

    #[test]
    fn two_writers_do_not_meet() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = open(dir.path(), 5);
        first.append(b"who").unwrap();
        assert!(try_open(dir.path(), 5).is_none());
        assert_eq!(length_of(dir.path(), &Sha256::of(b"whole")), 3);
        let mut second = Partial::beside(dir.path(), &Sha256::of(b"whole")).unwrap();
        second.append(b"whole").unwrap();
        second.remove().unwrap();
        assert_eq!((first.digest(), names(dir.path())), (Sha256::of(b"who"), 1));
    }
}
