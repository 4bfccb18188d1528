//! Files in the making: they appear whole under their names, or not at all.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread::JoinHandle;

/// Where unfinished files are told from others.
const PREFIX: &str = ".image-composer-";
const SUFFIX: &str = ".partial";

/// A file that is being written; dropped before it is published, it is removed.
#[derive(Debug)]
pub(crate) struct Partial {
    file: tempfile::NamedTempFile,
    /// A sync that was begun.
    sync: Option<JoinHandle<io::Result<()>>>,
}

impl Partial {
    /// A new, empty, unfinished file in a folder.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        // As any program would make the file: the umask narrows it.
        builder.prefix(PREFIX).suffix(SUFFIX).permissions(std::fs::Permissions::from_mode(0o666));
        loop {
            let file = builder.tempfile_in(dir)?;
            // Held while the process lives, so that others can tell it from a leftover.
            file.as_file().lock()?;
            // Another process may have taken it for one just before.
            if file.as_file().metadata()?.nlink() > 0 {
                return Ok(Self { file, sync: None });
            }
        }
    }

    /// Where it is now.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The open file.
    pub(crate) fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// Begins to make durable what is in the file, while whoever has it goes on: the device works beside the processors. (Of a disk of 1.4 GB that is most of
    /// a second.)
    pub(crate) fn begin_sync(&mut self) -> io::Result<()> {
        let file = self.file.as_file().try_clone()?;
        self.sync = Some(std::thread::Builder::new().name("early sync".to_owned()).spawn(move || file.sync_data())?);
        Ok(())
    }

    /// Gives a finished file its name in the same folder, in place of an older one, and makes both durable. Returns its length and the bytes that it
    /// takes on the disk.
    pub(crate) fn publish(self, path: &Path) -> io::Result<(u64, u64)> {
        if let Some(sync) = self.sync {
            // The kernel tells an error of the device only once.
            sync.join().unwrap_or_else(|_| Err(io::Error::other("the thread of the sync panicked")))?;
        }
        self.file.as_file().sync_all()?;
        let file = self.file.persist(path)?;
        File::open(folder(path)).and_then(|dir| dir.sync_all())?;
        let metadata = file.metadata()?;
        Ok((metadata.len(), metadata.blocks() * 512))
    }
}

/// The folder that a path names a file in.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes what killed processes left in a folder.
pub(crate) fn remove_stale(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            match File::open(entry.path()) {
                // What cannot be removed is another user's, or another process was quicker: nothing of it matters to this one.
                Ok(file) if file.try_lock().is_ok() => drop(std::fs::remove_file(entry.path())),
                // Another process writes it, or it is another user's.
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_and_files_in_the_making_stay() {
        let dir = tempfile::tempdir().unwrap();
        let living = Partial::new(dir.path()).unwrap();
        let stale = dir.path().join(".image-composer-dead.partial");
        std::fs::write(&stale, "half").unwrap();
        remove_stale(dir.path()).unwrap();
        assert!(living.path().exists() && !stale.exists());
        std::fs::write(living.path(), "whole").unwrap();
        assert_eq!(living.publish(&dir.path().join("demo-1.raw")).unwrap().0, 5);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn processes_that_begin_together_leave_each_others_files_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        remove_stale(dir.path()).unwrap();
                        assert!(Partial::new(dir.path()).unwrap().path().exists());
                    }
                });
            }
        });
    }

    #[test]
    fn an_error_of_an_early_sync_is_told_and_nothing_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = Partial::new(dir.path()).unwrap();
        file.begin_sync().unwrap();
        file.publish(&dir.path().join("whole")).unwrap();
        let mut file = Partial::new(dir.path()).unwrap();
        file.sync = Some(std::thread::spawn(|| Err(io::Error::other("the device is broken"))));
        assert_eq!(file.publish(&dir.path().join("broken")).unwrap_err().to_string(), "the device is broken");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_published_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(Partial::new(dir.path()).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
