//! A directory that is the root of an image, and the only way into it.
//!
//! Every path is resolved by the kernel as if the directory were `/` (`openat2(2)` with `RESOLVE_IN_ROOT`): neither `..` nor any symbolic link in the
//! tree leads out of it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use crate::format::tree::Attributes;

/// The most that is read of a file whose contents this program looks at: dpkg's lists of the largest installations have some 10 MiB.
const READ_LIMIT: u64 = 64 << 20;

/// The longest list of attributes' names, and the longest attribute (`xattr(7)`).
const ATTRIBUTE_LIMIT: usize = 1 << 16;

/// The operating system refused something in a tree, or what is there is not what it must be.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} /{} in the image", .path.display())]
pub struct Error {
    /// What was tried, as a verb (`write`, `read`).
    pub action: &'static str,
    /// Where, relative to the tree.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl Error {
    /// For `map_err` after an operation on a path of the tree.
    pub(crate) fn at<E: Into<io::Error>>(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().strip_prefix("/").unwrap_or(path.as_ref()).to_owned();
        move |source| Self { action, path, source: source.into() }
    }
}

/// The root of an image under construction.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

impl Tree {
    /// Opens an existing directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let root = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(Error::at("open", ""))?;
        Ok(Self { root, path: path.to_owned() })
    }

    /// Where it lies on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder of this tree as a tree of its own: a program of the host can be told its path, so no part of it may be a symbolic link.
    pub(crate) fn beneath(&self, path: &str) -> Result<Self, Error> {
        let no_links = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let root = rustix::fs::openat2(&self.root, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), no_links);
        Ok(Self { root: root.map_err(Error::at("open", path))?, path: self.path.join(path) })
    }

    /// Opens something in the tree, following symbolic links within it.
    pub(crate) fn open_at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
        let relative = relative(path);
        // The kernel answers EAGAIN when something was renamed while it resolved a path; it never persists.
        loop {
            match rustix::fs::openat2(&self.root, relative, flags | OFlags::CLOEXEC, mode, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS) {
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
    }

    /// A directory of the tree, to work in.
    pub(crate) fn directory(&self, path: &Path) -> Result<OwnedFd, Error> {
        self.open_at(path, OFlags::PATH | OFlags::DIRECTORY).map_err(Error::at("open", path))
    }

    /// The directory that holds `path`, and the name in it.
    pub(crate) fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Error> {
        let name = path.file_name().ok_or_else(|| Error::at("name", path)(Errno::INVAL))?;
        Ok((self.directory(path.parent().unwrap_or(Path::new("")))?, name))
    }

    /// Whether there is something at `path`, symbolic links followed.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.open_at(path.as_ref(), OFlags::PATH).is_ok()
    }

    /// Whether there is a directory at `path`, symbolic links followed.
    pub(crate) fn is_directory(&self, path: impl AsRef<Path>) -> bool {
        self.open_at(path.as_ref(), OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    /// The permission bits of what is at `path`, symbolic links followed; none where there is nothing.
    pub(crate) fn permissions(&self, path: impl AsRef<Path>) -> Result<Option<u32>, Error> {
        let path = path.as_ref();
        match self.open_at(path, OFlags::PATH) {
            Ok(fd) => {
                let stat = rustix::fs::fstat(&fd).map_err(Error::at("look at", path))?;
                Ok(Some(Mode::from_raw_mode(stat.st_mode).as_raw_mode() & 0o7777))
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(Error::at("look at", path)(errno)),
        }
    }

    /// Opens a regular file for reading; none where there is nothing. Symbolic links are followed within the tree.
    pub fn file(&self, path: impl AsRef<Path>) -> Result<Option<File>, Error> {
        let path = path.as_ref();
        // A FIFO must not block.
        let fd = match self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(Error::at("read", path)(errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(Error::at("read", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::at("read", path)(io::Error::other("it is not a regular file")));
        }
        Ok(Some(fd.into()))
    }

    /// The contents of a regular file; none where there is nothing.
    ///
    /// # Errors
    /// Also for a file of more than 64 MiB.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>, Error> {
        let path = path.as_ref();
        let Some(file) = self.file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(READ_LIMIT + 1).read_to_end(&mut bytes).map_err(Error::at("read", path))?;
        if bytes.len() as u64 > READ_LIMIT {
            return Err(Error::at("read", path)(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        Ok(Some(bytes))
    }

    /// The text of a file, empty where there is none.
    pub(crate) fn read_text(&self, path: &str) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.read(path)?.unwrap_or_default()).into_owned())
    }

    /// Writes a file of root's, replacing what is there; directories on the way are made.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), Error> {
        self.create(path.as_ref(), mode)?.write_all(bytes).map_err(Error::at("write", path.as_ref()))
    }

    /// An empty file of root's, replacing what is there; directories on the way are made.
    pub(crate) fn create(&self, path: &Path, mode: u32) -> Result<File, Error> {
        self.create_dirs(path.parent().unwrap_or(Path::new("")))?;
        let (parent, name) = self.parent(path)?;
        let file = create_new(&parent, name).map_err(Error::at("create", path))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(Error::at("set the mode of", path))?;
        Ok(file)
    }

    /// Adds to the end of a file, which is made where there is none.
    pub(crate) fn append(&self, path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
        let path = path.as_ref();
        let fd = self.open_at(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE).map_err(Error::at("append to", path))?;
        File::from(fd).write_all(bytes).map_err(Error::at("append to", path))
    }

    /// Makes a directory and all above it, of root's and mode 755; what is there stays as it is.
    ///
    /// # Errors
    /// Also where something else has the name of one of them.
    pub fn create_dirs(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        if self.open_at(path, OFlags::PATH | OFlags::DIRECTORY).is_ok() {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.create_dirs(above)?;
        }
        let (parent, name) = self.parent(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            // The mode above went through the umask.
            Ok(()) => rustix::fs::chmodat(&parent, name, Mode::from_raw_mode(0o755), AtFlags::empty()).map_err(Error::at("create directory", path)),
            Err(Errno::EXIST) => self.directory(path).map(drop),
            Err(errno) => Err(Error::at("create directory", path)(errno)),
        }
    }

    /// Makes a symbolic link unless something of that name is there.
    pub(crate) fn symlink(&self, target: &str, path: &str) -> Result<(), Error> {
        let (parent, name) = self.parent(Path::new(path))?;
        match rustix::fs::symlinkat(target, &parent, name) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(Error::at("link", path)(errno)),
        }
    }

    /// Makes a symbolic link in place of what file or link is there; directories on the way are made.
    pub(crate) fn replace_link(&self, target: &str, path: &Path) -> Result<(), Error> {
        self.create_dirs(path.parent().unwrap_or(Path::new("")))?;
        let (parent, name) = self.parent(path)?;
        loop {
            match rustix::fs::symlinkat(target, &parent, name) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => rustix::fs::unlinkat(&parent, name, AtFlags::empty()).map_err(Error::at("replace", path))?,
                Err(errno) => return Err(Error::at("link", path)(errno)),
            }
        }
    }

    /// Removes a file or link; what is not there is fine.
    pub(crate) fn remove(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let Ok((parent, name)) = self.parent(path) else { return Ok(()) };
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::at("remove", path)(errno)),
        }
    }

    /// Removes everything in a directory; a directory that is not there is fine.
    pub(crate) fn empty_dir(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let Ok(dir) = self.open_at(path.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY) else { return Ok(()) };
        empty(&dir).map_err(Error::at("empty", path))
    }

    /// What is in a directory, sorted by name; nothing where it is not there. Names that are not UTF-8 are left out.
    pub(crate) fn list(&self, path: impl AsRef<Path>) -> Result<Vec<Name>, Error> {
        let path = path.as_ref();
        let dir = match self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            Err(errno) => return Err(Error::at("list", path)(errno)),
        };
        let mut found = Vec::new();
        for name in names(&dir).map_err(Error::at("list", path))? {
            let stat = rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::at("list", path))?;
            if let Ok(name) = name.into_string() {
                found.push(Name { name, is_directory: FileType::from_raw_mode(stat.st_mode) == FileType::Directory });
            }
        }
        found.sort();
        Ok(found)
    }

    /// Sets the permission bits of a directory.
    pub(crate) fn set_mode(&self, path: &Path, mode: u32) -> Result<(), Error> {
        // Not fchmodat(2): it follows a link, and an absolute one to a place of the host.
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(Error::at("set the mode of", path))?;
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode)).map_err(Error::at("set the mode of", path))
    }

    /// Gives a file to another owner.
    pub(crate) fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> Result<(), Error> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::chownat(&parent, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::at("set the owner of", path))
    }
}

/// One name in a directory of the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) is_directory: bool,
}

/// A new regular file in a directory, in place of whatever file or link had its name.
pub(crate) fn create_new(parent: impl AsFd, name: &OsStr) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        match rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600)) {
            Ok(fd) => return Ok(File::from(fd)),
            Err(Errno::EXIST) => match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            },
            Err(errno) => return Err(errno),
        }
    }
}

/// The names in a directory, in the file system's order.
pub(crate) fn names(dir: &OwnedFd) -> Result<Vec<std::ffi::OsString>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The extended attributes of a file or folder that an image keeps, in the order of their names: name and value each. Others belong to the file system that
/// the tree lies on (`btrfs.compression`), or to the host: its kernel labels each new file (`security.selinux`). None where it has no such thing.
pub(crate) fn attributes(file: &OwnedFd) -> Result<Attributes, Errno> {
    let mut list = vec![0; ATTRIBUTE_LIMIT];
    let len = match rustix::fs::flistxattr(file, &mut list) {
        Err(Errno::OPNOTSUPP) => 0,
        len => len?,
    };
    let mut found = Vec::new();
    let mut value = Vec::new();
    for name in list[..len].split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        value.resize(ATTRIBUTE_LIMIT, 0);
        let len = rustix::fs::fgetxattr(file, OsStr::from_bytes(name), &mut value)?;
        found.push((name.to_vec(), value[..len].to_vec()));
    }
    found.sort();
    Ok(found)
}

/// Whether an attribute is the tree's own, by its name.
fn is_kept(name: &[u8]) -> bool {
    let namespaces: [&[u8]; 3] = [b"user.", b"trusted.", b"system.posix_acl_"];
    name == b"security.capability" || namespaces.iter().any(|namespace| name.starts_with(namespace))
}

fn empty(dir: &OwnedFd) -> Result<(), Errno> {
    for name in names(dir)? {
        let stat = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let below = rustix::fs::openat(dir, &name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            empty(&below)?;
            rustix::fs::unlinkat(dir, &name, AtFlags::REMOVEDIR)?;
        } else {
            rustix::fs::unlinkat(dir, &name, AtFlags::empty())?;
        }
    }
    Ok(())
}

/// A path of the image as the kernel wants it beneath the root's descriptor.
fn relative(path: &Path) -> &Path {
    let relative = path.strip_prefix("/").unwrap_or(path);
    if relative.as_os_str().is_empty() { Path::new(".") } else { relative }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_the_host_are_not_the_trees() {
        for (name, kept) in [
            ("user.note", true),
            ("security.capability", true),
            ("system.posix_acl_access", true),
            ("security.selinux", false),
            ("btrfs.compression", false),
            ("system.nfs4_acl", false),
        ] {
            assert_eq!(is_kept(name.as_bytes()), kept, "{name}");
        }
    }

    #[test]
    fn links_never_lead_out() {
        let host = tempfile::tempdir().unwrap();
        std::fs::write(host.path().join("secret"), "host").unwrap();
        let root = host.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let tree = Tree::open(&root).unwrap();
        std::os::unix::fs::symlink(host.path(), root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        for path in ["absolute/secret", "up/secret", "../secret", "up/../../secret"] {
            assert_eq!(tree.read(path).unwrap(), None, "{path}");
        }
        tree.write("up/secret", b"image", 0o644).unwrap();
        assert_eq!(std::fs::read(host.path().join("secret")).unwrap(), b"host");
        assert_eq!(std::fs::read(root.join("secret")).unwrap(), b"image");
    }

    #[test]
    fn a_written_file_replaces_a_link_instead_of_following_it() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        tree.write("target", b"old", 0o644).unwrap();
        tree.symlink("target", "link").unwrap();
        tree.write("link", b"new", 0o600).unwrap();
        assert_eq!(tree.read("target").unwrap().unwrap(), b"old");
        assert_eq!(tree.read("link").unwrap().unwrap(), b"new");
    }

    #[test]
    fn empties_a_directory_without_following_links() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        tree.write("keep/file", b"", 0o644).unwrap();
        tree.write("tmp/a/b", b"", 0o644).unwrap();
        tree.symlink("../keep", "tmp/link").unwrap();
        tree.empty_dir("tmp").unwrap();
        assert_eq!(tree.list("tmp").unwrap(), []);
        assert!(tree.exists("keep/file"));
    }

    #[test]
    fn a_link_out_of_the_tree_is_no_directory_to_write_in() {
        let host = tempfile::tempdir().unwrap();
        let (root, outside) = (host.path().join("root"), host.path().join("outside"));
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("boot")).unwrap();
        let tree = Tree::open(&root).unwrap();
        assert!(tree.write("boot/new", b"x", 0o644).is_err());
        assert_eq!(tree.list("boot").unwrap(), []);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn a_mode_never_reaches_through_a_link_out_of_the_tree() {
        use std::os::unix::fs::PermissionsExt;
        let host = tempfile::tempdir().unwrap();
        let (root, outside) = (host.path().join("root"), host.path().join("outside"));
        for dir in [&root, &outside] {
            std::fs::create_dir(dir).unwrap();
        }
        std::fs::set_permissions(&outside, PermissionsExt::from_mode(0o750)).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("tmp")).unwrap();
        let tree = Tree::open(&root).unwrap();
        assert!(tree.set_mode(Path::new("tmp"), 0o1777).is_err());
        assert_eq!(std::fs::metadata(&outside).unwrap().permissions().mode() & 0o7777, 0o750);
    }

    #[test]
    fn replaces_a_hard_link_without_touching_its_other_name() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        tree.write("etc/fstab", b"old", 0o644).unwrap();
        std::fs::hard_link(root.path().join("etc/fstab"), root.path().join("kept")).unwrap();
        tree.write("etc/fstab", b"new", 0o644).unwrap();
        assert_eq!(tree.read("kept").unwrap().unwrap(), b"old");
    }

    #[test]
    fn does_not_wait_for_a_fifo() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.path().join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        let error = tree.file("fifo").unwrap_err();
        assert_eq!((error.to_string().as_str(), error.source.to_string().as_str()), ("cannot read /fifo in the image", "it is not a regular file"));
    }
}
