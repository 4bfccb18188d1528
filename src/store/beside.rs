//! What lies in the store beside blobs and packs, and is in no counter.

use std::fs;
use std::io;
use std::path::Path;

use super::Store;
use super::error::{Error, Result};

/// Some files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Files {
    /// How many.
    pub count: u64,
    /// Their lengths, in bytes.
    pub len: u64,
}

/// What lies in the store beside blobs and packs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beside {
    /// The length of the index in bytes.
    pub index: u64,
    /// Interrupted downloads.
    pub partials: Files,
    /// Files that were found damaged.
    pub quarantine: Files,
}

impl Store {
    /// Looks how much there is beside blobs and packs.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn beside(&self) -> Result<Beside> {
        let index = self.layout.index();
        let index = fs::metadata(&index).map_err(Error::io("inspect", &index))?.len();
        Ok(Beside { index, partials: files(&self.layout.partials())?, quarantine: files(&self.layout.quarantine_dir())? })
    }
}

/// The files of a directory; none where it is not there, or is another user's: interrupted downloads are for their owner's eyes alone.
fn files(dir: &Path) -> Result<Files> {
    let mut files = Files::default();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => return Ok(files),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(Error::io("list", dir))?;
        // Another process may have been faster.
        if let Ok(file) = entry.metadata()
            && file.is_file()
        {
            files.count += 1;
            files.len += file.len();
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        fs::create_dir_all(dir.path().join("quarantine/folder")).unwrap();
        fs::write(dir.path().join("quarantine/a"), "123").unwrap();
        fs::write(store.partials_dir().join("b"), "12345").unwrap();
        fs::write(store.partials_dir().join("c"), "").unwrap();
        let Beside { index, partials, quarantine } = store.beside().unwrap();
        assert_eq!(index, fs::metadata(dir.path().join("index.redb")).unwrap().len());
        assert_eq!((partials, quarantine), (Files { count: 2, len: 5 }, Files { count: 1, len: 3 }));
    }
}
