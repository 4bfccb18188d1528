//! Where things lie: the only code that turns a digest into a path.
//!
//! ```text
//! CACHEDIR.TAG          backup programs leave the store out
//! format                "image-composer store 1\n"
//! index.redb            the index
//! writer                who wrote to the index last (for messages alone)
//! blobs/ab/<64 hex>.zst whole blobs, by the digest of their raw bytes
//! packs/<64 hex>.pack   chunks, by the digest of the pack's table
//! leases/<id>.lease     locked by the process that it names
//! leases/<64 hex>.claim locked by the process that makes what has this key
//! tmp/<id>/             what that process has in the making
//! partials/             downloads that can be resumed
//! quarantine/           damaged files, out of the way
//! ```

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::failpoint;
use crate::digest::Digest;

/// The format of the store as a whole. Raise it when an older program must not touch the store any more.
pub(super) const FORMAT: u32 = 1;

const FORMAT_PREFIX: &str = "image-composer store ";

/// <https://bford.info/cachedir/>: the first line is fixed.
const CACHEDIR_TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is a cache of image-composer. Its content can be made again.\n";

/// The names that a store may have in its directory.
const NAMES: [&str; 10] = ["CACHEDIR.TAG", "format", "index.redb", "writer", "blobs", "packs", "leases", "tmp", "partials", "quarantine"];

/// The paths of one store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes the directories of a store, or checks those that are there.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::io("create", root))?;
        let root = root.canonicalize().map_err(Error::io("open", root))?;
        let layout = Self { root };
        match layout.format()? {
            Some(FORMAT) => {}
            Some(found) => return Err(Error::Newer { path: layout.root, found, supported: FORMAT }),
            None => layout.create()?,
        }
        Ok(layout)
    }

    /// A store that is there.
    ///
    /// # Errors
    /// [`Error::NotAStore`] for anything else.
    pub(crate) fn existing(root: &Path) -> Result<Self> {
        let root = root.canonicalize().map_err(Error::io("open", root))?;
        let layout = Self { root };
        match layout.format()? {
            Some(FORMAT) => Ok(layout),
            Some(found) => Err(Error::Newer { path: layout.root, found, supported: FORMAT }),
            None => Err(Error::NotAStore(layout.root)),
        }
    }

    fn format(&self) -> Result<Option<u32>> {
        let path = self.format_file();
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => file.take(100).read_to_string(&mut text).map_err(Error::io("read", &path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let number = text.strip_prefix(FORMAT_PREFIX).and_then(|rest| rest.trim_end().parse().ok());
        // Any folder may have a file of this name.
        number.map(Some).ok_or_else(|| if self.index().exists() { Error::Unformatted(path) } else { Error::NotAStore(self.root.clone()) })
    }

    /// Refuses a store that has files and no index: with an empty one, they would all seem to be left over.
    ///
    /// # Errors
    /// [`Error::NoIndex`].
    pub(crate) fn check_index(&self) -> Result<()> {
        let path = self.index();
        // A database that was never written to is empty.
        let there = fs::metadata(&path).is_ok_and(|file| file.len() > 0);
        if there || !self.has_files()? { Ok(()) } else { Err(Error::NoIndex(path)) }
    }

    /// Whether there is any blob or pack.
    fn has_files(&self) -> Result<bool> {
        let (blobs, packs) = (self.blobs(), self.packs());
        if !names(&packs)?.is_empty() {
            return Ok(true);
        }
        for name in names(&blobs)? {
            let dir = blobs.join(name);
            if dir.is_dir() && !names(&dir)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fills an empty directory. What a killed process began is finished; a directory with anything else in it is refused, because collections
    /// remove what the store does not know.
    fn create(&self) -> Result<()> {
        for entry in fs::read_dir(&self.root).map_err(Error::io("list", &self.root))? {
            let entry = entry.map_err(Error::io("list", &self.root))?;
            let name = entry.file_name();
            if !NAMES.iter().any(|known| *known == name) && !name.as_encoded_bytes().starts_with(b".format") {
                return Err(Error::NotAStore(self.root.clone()));
            }
        }
        for (name, mode) in [("blobs", 0o777), ("packs", 0o777), ("leases", 0o777), ("partials", 0o700), ("quarantine", 0o700), ("tmp", 0o700)] {
            // tmp/ holds root trees with set-uid programs: nobody else may reach them.
            create_dir(&self.root.join(name), mode)?;
        }
        self.create_file("CACHEDIR.TAG", CACHEDIR_TAG)?;
        // The folders above may be as new as the store. Some belong to others: those are older, and may not be ours to open.
        for dir in self.root.ancestors().skip(1) {
            match sync_dir(dir) {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => break,
                synced => synced?,
            }
        }
        self.create_file("format", &format!("{FORMAT_PREFIX}{FORMAT}\n"))?;
        sync_dir(&self.root)
    }

    fn create_file(&self, name: &str, content: &str) -> Result<()> {
        let path = self.root.join(name);
        failpoint!("store::layout::create_file");
        let mut file = tempfile::Builder::new().prefix(".format").tempfile_in(&self.root).map_err(Error::io("create a file in", &self.root))?;
        file.write_all(content.as_bytes()).and_then(|()| file.as_file().sync_data()).map_err(Error::io("write", &path))?;
        set_readable(file.as_file(), &path)?;
        file.persist(&path).map_err(|error| Error::io("create", &path)(error.error))?;
        failpoint!("store::layout::file_created");
        Ok(())
    }

    /// The directory of the store, absolute.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn format_file(&self) -> PathBuf {
        self.root.join("format")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    pub(crate) fn writer(&self) -> PathBuf {
        self.root.join("writer")
    }

    pub(crate) fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// The claim to make what has this key.
    pub(crate) fn claim(&self, key: &Digest) -> PathBuf {
        self.leases().join(format!("{key}.claim"))
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn partials(&self) -> PathBuf {
        self.root.join("partials")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn packs(&self) -> PathBuf {
        self.root.join("packs")
    }

    /// Where the blob with this digest lies.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let mut path = self.root.join("blobs");
        path.push(&name[..2]);
        path.push(format!("{name}.zst"));
        path
    }

    /// Where the pack with this name lies.
    pub(crate) fn pack(&self, id: &Digest) -> PathBuf {
        self.packs().join(format!("{id}.pack"))
    }

    /// The directories of blobs that there are.
    pub(crate) fn blob_dirs(&self) -> Result<Vec<PathBuf>> {
        let blobs = self.root.join("blobs");
        let entries = fs::read_dir(&blobs).map_err(Error::io("list", &blobs))?;
        let paths = entries.map(|entry| Ok(entry.map_err(Error::io("list", &blobs))?.path()));
        paths.filter(|path| path.as_ref().map_or(true, |path| path.is_dir())).collect()
    }

    pub(crate) fn quarantine_dir(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// Where a damaged file goes: `attempt` tells it from earlier ones of the same name.
    pub(crate) fn quarantine(&self, damaged: &Path, attempt: u32) -> PathBuf {
        let mut name = damaged.file_name().unwrap_or_default().to_owned();
        if attempt > 0 {
            name.push(format!(".{attempt}"));
        }
        self.quarantine_dir().join(name)
    }
}

/// Makes a directory unless it is there. `mode` is narrowed by the process's umask.
pub(crate) fn create_dir(path: &Path, mode: u32) -> Result<()> {
    failpoint!("store::layout::create_dir");
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            failpoint!("store::layout::dir_created");
            sync_dir(path.parent().unwrap_or(path))
        }
        // Who made it may have died before its name was durable. Where nothing has changed this costs nothing.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => sync_dir(path.parent().unwrap_or(path)),
        Err(error) => Err(Error::io("create", path)(error)),
    }
}

/// Renames into place, making the directory first where it is missing, and makes the new name durable.
pub(crate) fn publish(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(to);
    create_dir(parent, 0o777)?;
    failpoint!("store::publish::rename");
    fs::rename(from, to).map_err(Error::io("create", to))?;
    failpoint!("store::publish::renamed");
    sync_dir(parent)?;
    failpoint!("store::publish::synced");
    Ok(())
}

/// The names in a directory.
pub(crate) fn names(dir: &Path) -> Result<Vec<std::ffi::OsString>> {
    let entries = fs::read_dir(dir).map_err(Error::io("list", dir))?;
    entries.map(|entry| Ok(entry.map_err(Error::io("list", dir))?.file_name())).collect()
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", path))
}

fn set_readable(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(Error::io("set the permissions of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_a_store_once_and_finds_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/store");
        let layout = Layout::open(&root).unwrap();
        assert!(fs::read_to_string(root.join("CACHEDIR.TAG")).unwrap().starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
        assert_eq!(Layout::open(&root).unwrap().root(), layout.root());
    }

    #[test]
    fn finishes_what_a_killed_process_began() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("blobs")).unwrap();
        fs::write(dir.path().join(".formatAbC"), "").unwrap();
        assert!(Layout::open(dir.path()).is_ok());
    }

    #[test]
    fn refuses_a_later_format_and_a_directory_of_others() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("format"), "image-composer store 2\n").unwrap();
        let error = Layout::open(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Newer { found: 2, .. }) && error.hint().is_some());
        fs::write(dir.path().join("format"), "something else").unwrap();
        assert!(matches!(Layout::open(dir.path()), Err(Error::NotAStore(_))));
        fs::write(dir.path().join("index.redb"), "").unwrap();
        assert!(matches!(Layout::open(dir.path()), Err(Error::Unformatted(_))));
        fs::remove_file(dir.path().join("format")).unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        assert!(matches!(Layout::open(dir.path()), Err(Error::NotAStore(_))));
    }

    #[test]
    fn a_digest_has_one_path() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let name = Digest::of(b"").to_string();
        assert!(layout.blob(&Digest::of(b"")).ends_with(format!("blobs/af/{name}.zst")));
        assert!(layout.pack(&Digest::of(b"")).ends_with(format!("packs/{name}.pack")));
    }
}
