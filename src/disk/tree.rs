//! A root tree from the outside: every path is resolved beneath the tree, whatever symbolic links it holds.
//!
//! `/boot -> /etc` in the tree means the tree's own `/etc`, never the host's: the kernel resolves each path with the tree as its root (`openat2(2)`,
//! `RESOLVE_IN_ROOT`).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode, ResolveFlags};
use rustix::io::Errno;

use super::error::Error;

/// A finished root tree. Paths are relative to it, without a leading `/`, and are shown with one.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// One name in a folder of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) name: String,
    pub(super) is_folder: bool,
}

impl Tree {
    /// The tree at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::io("open the root tree", path))?;
        Ok(Self { root, path: path.to_owned() })
    }

    /// Where the tree is on the host.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file for reading; none if there is nothing. Symbolic links are followed within the tree.
    pub(super) fn file(&self, path: &str) -> Result<Option<File>, Error> {
        // A FIFO must not block us.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let Some(file) = self.resolve(path, flags)? else { return Ok(None) };
        let stat = rustix::fs::fstat(&file).map_err(Error::io("read", shown(path)))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::BadFile { path: shown(path), problem: "is not a regular file".to_owned() });
        }
        Ok(Some(file.into()))
    }

    /// Reads a small file whole; none if there is nothing.
    pub(super) fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io("read", shown(path)))?;
        if bytes.len() as u64 > limit {
            return Err(Error::BadFile { path: shown(path), problem: format!("is larger than {limit} bytes") });
        }
        Ok(Some(bytes))
    }

    /// The names in a folder, sorted; none if there is no such folder. Names that are no UTF-8 are left out.
    pub(super) fn list(&self, path: &str) -> Result<Option<Vec<Name>>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let Some(folder) = self.resolve(path, flags)? else { return Ok(None) };
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder).map_err(Error::io("read", shown(path)))? {
            let entry = entry.map_err(Error::io("read", shown(path)))?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::io("read", shown(path)))?;
            names.push(Name { name: name.to_owned(), is_folder: FileType::from_raw_mode(stat.st_mode) == FileType::Directory });
        }
        names.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(names))
    }

    /// Makes a folder and all above it, mode 0755, where there are none.
    pub(super) fn make_folder(&self, path: &str) -> Result<(), Error> {
        self.folder(path).map(drop)
    }

    /// Writes a file with exactly these permission bits, in place of whatever had its name. What was there is unlinked first, never written into: it
    /// may be a symbolic link, or have other names.
    pub(super) fn write(&self, path: &str, bytes: &[u8], mode: RawMode) -> Result<(), Error> {
        let (folder, name) = split(path);
        let folder = self.folder(folder)?;
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::io("replace", shown(path))(errno)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(mode)).map_err(Error::io("write", shown(path)))?;
        // The mode above went through the umask.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(Error::io("write", shown(path)))?;
        File::from(file).write_all(bytes).map_err(Error::io("write", shown(path)))
    }

    /// Removes a file, or an empty folder.
    pub(super) fn remove(&self, path: &str, is_folder: bool) -> Result<(), Error> {
        let (folder, name) = split(path);
        let folder = self.folder(folder)?;
        let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        rustix::fs::unlinkat(&folder, name, flags).map_err(Error::io("remove", shown(path)))
    }

    /// Opens a folder, making what is missing of it.
    fn folder(&self, path: &str) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        if let Some(folder) = self.resolve(path, flags)? {
            return Ok(folder);
        }
        let (above, name) = split(path);
        let above = self.folder(above)?;
        match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => rustix::fs::chmodat(&above, name, Mode::from_raw_mode(0o755), AtFlags::empty()).map_err(Error::io("make", shown(path)))?,
            // A symbolic link that leads nowhere.
            Err(Errno::EXIST) => return Err(Error::BadFile { path: shown(path), problem: "is not a folder".to_owned() }),
            Err(errno) => return Err(Error::io("make", shown(path))(errno)),
        }
        self.resolve(path, flags)?.ok_or_else(|| Error::BadFile { path: shown(path), problem: "is not a folder".to_owned() })
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<Option<OwnedFd>, Error> {
        let path = if path.is_empty() { "." } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            return match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Ok(file) => Ok(Some(file)),
                Err(Errno::NOENT) => Ok(None),
                // Somebody renamed something meanwhile (`openat2(2)`): ask again.
                Err(Errno::AGAIN) => continue,
                Err(Errno::NOTDIR) => Err(Error::BadFile { path: shown(path), problem: "is not a folder, or not in one".to_owned() }),
                Err(Errno::LOOP) => Err(Error::BadFile { path: shown(path), problem: "leads through a loop of symbolic links".to_owned() }),
                Err(errno) => Err(Error::io("open", shown(path))(errno)),
            };
        }
    }
}

/// The folder of a path, and the last name in it.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A path as seen in the image.
fn shown(path: &str) -> String {
    format!("/{path}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tree")).unwrap();
        let tree = Tree::open(&folder.path().join("tree")).unwrap();
        (folder, tree)
    }

    #[test]
    fn writes_and_reads_beneath_itself() {
        let (folder, tree) = tree();
        tree.write("etc/kernel/cmdline", b"quiet", 0o640).unwrap();
        assert_eq!(tree.read("etc/kernel/cmdline", 10).unwrap().unwrap(), b"quiet");
        assert_eq!(folder.path().join("tree/etc/kernel/cmdline").metadata().unwrap().permissions().mode() & 0o7777, 0o640);
        assert!(tree.read("etc/kernel/cmdline", 4).is_err());
        assert!(tree.read("etc/nothing", 4).unwrap().is_none());
        tree.make_folder("etc/a").unwrap();
        let names: Vec<_> = tree.list("etc").unwrap().unwrap().into_iter().map(|name| (name.name, name.is_folder)).collect();
        assert_eq!(names, [("a".to_owned(), true), ("kernel".to_owned(), true)]);
    }

    #[test]
    fn no_symbolic_link_leads_outside() {
        let (folder, tree) = tree();
        let outside = folder.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), "host").unwrap();
        symlink(&outside, tree.path().join("boot")).unwrap();
        symlink("../outside", tree.path().join("etc")).unwrap();
        symlink(outside.join("secret"), tree.path().join("link")).unwrap();

        assert!(tree.list("boot").unwrap().is_none());
        assert!(tree.read("etc/secret", 100).unwrap().is_none());
        assert!(tree.read("../outside/secret", 100).unwrap().is_none());
        assert!(tree.read("link", 100).unwrap().is_none());
        assert!(tree.write("boot/secret", b"x", 0o644).is_err());
        assert!(tree.write("etc/new", b"x", 0o644).is_err());
        tree.write("link", b"tree", 0o644).unwrap();

        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "host");
        assert_eq!(std::fs::read_to_string(tree.path().join("link")).unwrap(), "tree");
    }

    #[test]
    fn links_within_the_tree_are_followed_with_the_tree_as_root() {
        let (_folder, tree) = tree();
        tree.write("usr/lib/os-release", b"ID=debian", 0o644).unwrap();
        tree.make_folder("etc").unwrap();
        symlink("/usr/lib/os-release", tree.path().join("etc/os-release")).unwrap();
        assert_eq!(tree.read("etc/os-release", 100).unwrap().unwrap(), b"ID=debian");
    }

    #[test]
    fn replaces_a_hard_link_without_touching_its_other_name() {
        let (_folder, tree) = tree();
        tree.write("etc/fstab", b"old", 0o644).unwrap();
        std::fs::hard_link(tree.path().join("etc/fstab"), tree.path().join("kept")).unwrap();
        tree.write("etc/fstab", b"new", 0o644).unwrap();
        assert_eq!(tree.read("kept", 100).unwrap().unwrap(), b"old");
    }

    #[test]
    fn does_not_wait_for_a_fifo() {
        let (_folder, tree) = tree();
        rustix::fs::mknodat(rustix::fs::CWD, tree.path().join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        assert!(tree.file("fifo").unwrap_err().to_string().contains("not a regular file"));
    }
}
