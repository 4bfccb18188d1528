//! Files that one process at a time has.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// The file at `path`, which is made where there is none, with its lock; none where another process has it.
///
/// # Errors
/// What the operating system refuses; what is no file of its own (where others may write, a link may lead to anything).
pub(crate) fn open(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = open_as(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Its last owner may have removed it between our opening and our locking.
        if is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

/// Whether another process has the lock of the file at `path`, if there is one.
///
/// # Errors
/// As for [`open`].
pub(crate) fn is_taken(path: &Path) -> io::Result<bool> {
    match open_as(path, OpenOptions::new().read(true)) {
        Ok(file) => Ok(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether this is still the file at `path`.
///
/// # Errors
/// What the operating system refuses.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn open_as(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()).open(path)?;
    let found = file.metadata()?;
    if found.is_file() && found.nlink() <= 1 { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_processs_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert!(!is_taken(&path).unwrap());
        let file = open(&path).unwrap().unwrap();
        assert!(open(&path).unwrap().is_none() && is_taken(&path).unwrap() && is_at(&file, &path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap() && !is_taken(&path).unwrap());
        let another = open(&path).unwrap().unwrap();
        assert!(!is_at(&file, &path).unwrap());
        drop(another);
        assert!(!is_taken(&path).unwrap());
    }

    #[test]
    fn what_leads_elsewhere_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("pipe"));
        std::fs::write(&file, "kept").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        for path in [&link, &pipe, &dir.path().to_owned()] {
            assert!(open(path).is_err() && is_taken(path).is_err(), "{}", path.display());
        }
        std::fs::remove_file(&link).unwrap();
        std::fs::hard_link(&file, &link).unwrap();
        assert!(open(&link).is_err());
    }
}
