//! A tree as one file ([`crate::format::tree`]), and such a file in the store as a tree: how an installed root is kept for the next build, and comes back.
//!
//! All that a later build can see of a tree comes back: names, owners, modes, times of modification, extended attributes, hard links. Sockets do not:
//! nobody listens behind them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::Error;
use super::error::refused;
use crate::deferred::{Content, Deferred, Watch};
use crate::format::tree::{self, Attributes, BLOCK, Entry, HEAD_LEN, Head, Kind};
use crate::progress::Cancel;
use crate::store::{ImageReader, Window};
use crate::tree::{Tree, attributes, create_new, names};
use crate::units::ByteSize;
use crate::writing::{Filling, PIECE};

/// How many files a thread takes at once: their folders are mostly the same, and so are the chunks that short ones lie in.
const BATCH: usize = 256;

/// How many files are deferred at most: each is held open, and a process may have 1024 open, of which some are needed for all else.
const DEFERRED: usize = 512;
const RESERVED: usize = 256;

/// Into how many stretches holes may divide a file that is deferred.
const STRETCHES: usize = 1024;

/// How long they are at least, in bytes.
const DEFERRED_LEN: u64 = 64 << 10;

/// Programs and libraries that are as long as this are those that a system is made for, not those that make it, in bytes.
const LONG_PROGRAM: u64 = 4 << 20;
const LONG_LIBRARY: u64 = 8 << 20;

/// How many bytes of a tree may be holes of its files: they are zeros where it is kept, and a package can make a file of terabytes that has nothing in it.
const HOLES_LIMIT: u64 = 4 << 30;

/// How long a file is at least that is asked for its holes, in bytes.
const SPARSE_LEN: u64 = 1 << 20;

/// Writes a tree to an empty file.
///
/// # Errors
/// What the operating system refuses; a name or an attribute that is too long for the format.
pub(super) fn save(tree: &Tree, (file, path): (&File, &Path), cancel: &Cancel) -> Result<(), Error> {
    let mut walk = Walk { entries: Vec::new(), first_names: HashMap::new(), end: BLOCK, holes: 0 };
    let root = tree.open_at(Path::new(""), OFlags::RDONLY | OFlags::DIRECTORY).map_err(refused("open", "/"))?;
    walk.directory(&root, &mut PathBuf::new(), cancel)?;
    let Walk { mut entries, end, holes, .. } = walk;
    if holes > HOLES_LIMIT {
        let problem = io::Error::other(format!("its files have {} of holes", ByteSize(holes)));
        return Err(Error::io("keep the tree in", path)(problem));
    }
    let wrote = |result: io::Result<()>| result.map_err(Error::io("write", path));
    wrote(file.set_len(end))?;
    let filling = Filling::new(file, |error| Error::io("write", path)(error));
    entries.par_chunks_mut(BATCH).try_for_each(|entries| {
        let mut gather = filling.gather();
        for entry in entries {
            if let Kind::File { offset, len, data } = &mut entry.kind {
                let name = Path::new(OsStr::from_bytes(&entry.path));
                let content = File::from(tree.open_at(name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK).map_err(refused("read", name))?);
                let mut found = Vec::new();
                gather.take(*offset, *len, |part, done| {
                    cancel.check()?;
                    content.read_exact_at(part, done).map_err(crate::tree::Error::at("read", name))?;
                    tree::note_data(&mut found, done, part);
                    Ok(())
                })?;
                *data = Some(found);
            }
        }
        gather.flush()
    })?;
    let table = tree::encode(&entries).map_err(Error::Archive)?;
    let head = Head { offset: end, len: table.len() as u64, entries: entries.len() as u32, has_data: true };
    wrote(file.write_all_at(&table, end))?;
    wrote(file.write_all_at(&head.encode(), 0))
}

/// How many bytes of a file are holes. Short files are not looked at: they have next to none.
fn holes(file: &OwnedFd, len: u64) -> Result<u64, Errno> {
    let (mut at, mut found) = (0, 0);
    while len >= SPARSE_LEN && at < len {
        let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => len,
            // Where the file system cannot say, all is data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(0),
            data => data?,
        };
        found += data.min(len) - at;
        at = if data < len { rustix::fs::seek(file, SeekFrom::Hole(data))? } else { len };
    }
    Ok(found)
}

/// What a walk through a tree has found.
struct Walk {
    entries: Vec<Entry>,
    /// The entries of files that have several names, by device and inode.
    first_names: HashMap<(u64, u64), u32>,
    /// Where the next file begins.
    end: u64,
    /// How many bytes of files take no room.
    holes: u64,
}

impl Walk {
    /// Takes in a folder and all below it, in the order of names: as [`crate::disk`] lays files down, so that neighbours here are neighbours there.
    fn directory(&mut self, dir: &OwnedFd, path: &mut PathBuf, cancel: &Cancel) -> Result<(), Error> {
        cancel.check()?;
        let stat = rustix::fs::fstat(dir).map_err(refused("look at", &path))?;
        self.push(path, &stat, Kind::Directory, attributes(dir).map_err(refused("look at", &path))?);
        let mut list = names(dir).map_err(refused("list", &path))?;
        list.sort();
        for name in list {
            path.push(&name);
            self.name(dir, &name, path, cancel)?;
            path.pop();
        }
        Ok(())
    }

    fn name(&mut self, dir: &OwnedFd, name: &OsStr, path: &mut PathBuf, cancel: &Cancel) -> Result<(), Error> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(refused("look at", &path))?;
        let open = |flags: OFlags| rustix::fs::openat(dir, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let device = || (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let file_type = FileType::from_raw_mode(stat.st_mode);
        if file_type == FileType::Directory {
            let below = open(OFlags::RDONLY | OFlags::DIRECTORY).map_err(refused("open", &path))?;
            return self.directory(&below, path, cancel);
        }
        if file_type == FileType::Socket {
            return Ok(());
        }
        if let Some(first) = self.first_name(&stat) {
            self.push(path, &stat, Kind::HardLink(first), Vec::new());
            return Ok(());
        }
        let kind = match file_type {
            FileType::RegularFile => {
                let (offset, len) = (self.end, stat.st_size.try_into().unwrap_or(0));
                self.end = offset.saturating_add(len).checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
                Kind::File { offset, len, data: None }
            }
            FileType::Symlink => Kind::Symlink(rustix::fs::readlinkat(dir, name, Vec::new()).map_err(refused("read", &path))?.into_bytes()),
            FileType::CharacterDevice => Kind::Character(device().0, device().1),
            FileType::BlockDevice => Kind::Block(device().0, device().1),
            _ => Kind::Fifo,
        };
        let attributes = match kind {
            Kind::File { .. } => {
                let file = open(OFlags::RDONLY | OFlags::NONBLOCK).map_err(refused("read", &path))?;
                let holes = holes(&file, stat.st_size.try_into().unwrap_or(0)).map_err(refused("look at", &path))?;
                self.holes = self.holes.saturating_add(holes);
                attributes(&file).map_err(refused("look at", &path))?
            }
            // What else there is has none that an image could keep.
            _ => Vec::new(),
        };
        self.push(path, &stat, kind, attributes);
        Ok(())
    }

    /// The entry that already has the file of this name.
    fn first_name(&mut self, stat: &Stat) -> Option<u32> {
        if stat.st_nlink < 2 {
            return None;
        }
        match self.first_names.entry((stat.st_dev, stat.st_ino)) {
            std::collections::hash_map::Entry::Occupied(first) => Some(*first.get()),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(self.entries.len() as u32);
                None
            }
        }
    }

    fn push(&mut self, path: &Path, stat: &Stat, kind: Kind, attributes: Attributes) {
        let mtime = (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
        let (mode, uid, gid) = ((stat.st_mode & 0o7777) as u16, stat.st_uid, stat.st_gid);
        self.entries.push(Entry { path: path.as_os_str().as_bytes().to_vec(), kind, mode, uid, gid, mtime, attributes });
    }
}

/// Lays a tree down in an empty directory, as [`save`] found it; `defers` says whether long files may have no bytes for the time being.
///
/// # Errors
/// What is no tree, or cannot be read; what the operating system refuses.
pub(super) fn load(tree: &Tree, saved: ImageReader, defers: bool, cancel: &Cancel) -> Result<Deferred, Error> {
    let read = |len: u64, at: u64| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        saved.fill(&mut bytes, at).map(|()| bytes)
    };
    let entries = (|| {
        let head = Head::decode(&read(HEAD_LEN as u64, 0)?, saved.len()).map_err(io::Error::other)?;
        tree::decode(&read(head.len, head.offset)?, &head).map_err(io::Error::other)
    })()
    .map_err(Error::UnreadableRoot)?;

    let folders = entries.iter().filter(|entry| entry.kind == Kind::Directory);
    for folder in folders.clone().filter(|folder| !folder.path.is_empty()) {
        let at = place(folder);
        let (parent, name) = tree.parent(at)?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)).map_err(refused("create directory", at))?;
    }
    let watch = if defers { Watch::new() } else { None };
    let shortest = watch.as_ref().map_or(u64::MAX, |_| shortest_deferred(&entries, saved.open_files()));
    let contents = entries.par_chunks(BATCH).map(|entries| {
        cancel.check()?;
        let (window, buffer) = (Window::narrow(), Vec::new());
        let watch = watch.as_ref();
        let mut laying = Laying { tree, saved: &saved, window, folder: None, buffer, watch, shortest, contents: Vec::new(), cancel };
        entries.iter().try_for_each(|entry| laying.lay(entry))?;
        Ok(laying.contents)
    });
    let contents: Vec<Vec<Content>> = contents.collect::<Result<_, Error>>()?;
    for entry in &entries {
        if let Kind::HardLink(first) = entry.kind {
            let (from, at) = (place(&entries[first as usize]), place(entry));
            let ((from_dir, from_name), (dir, name)) = (tree.parent(from)?, tree.parent(at)?);
            rustix::fs::linkat(&from_dir, from_name, &dir, name, AtFlags::empty()).map_err(refused("link", at))?;
        }
    }
    // Last, because all that was made in them changed their times; the deepest first would be as good.
    for folder in folders {
        let at = place(folder);
        let open = tree.open_at(at, OFlags::RDONLY | OFlags::DIRECTORY).map_err(refused("open", at))?;
        finish(&open, folder).map_err(refused("set the attributes of", at))?;
    }
    match watch {
        Some(watch) => Deferred::new(watch, saved, contents.into_iter().flatten().collect()).map_err(refused("look at", "/")),
        None => Ok(Deferred::default()),
    }
}

/// How long a file must be to be deferred: no more may be than this process can hold open, besides so many others.
fn shortest_deferred(entries: &[Entry], others: usize) -> u64 {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(others + RESERVED).min(DEFERRED);
    let mut lens: Vec<u64> = entries.iter().filter_map(can_wait).collect();
    lens.sort_unstable();
    lens.iter().rev().nth(most).map_or(DEFERRED_LEN, |len| DEFERRED_LEN.max(len + 1))
}

/// The length of a file that no program looks into while a spec's own part is made, as far as one can tell by its name; none of one that may be needed. To be
/// wrong costs time, and nothing else.
fn can_wait(entry: &Entry) -> Option<u64> {
    let Kind::File { len, data: Some(ref data), .. } = entry.kind else { return None };
    let mut parts = entry.path.split(|byte| *byte == b'/');
    let (first, second, third) = (parts.next()?, parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let name = entry.path.rsplit(|byte| *byte == b'/').next()?;
    let is_library = memchr::memmem::find(name, b".so").is_some();
    let is_needed = match (first, second) {
        (b"usr", b"bin" | b"sbin" | b"libexec") => len < LONG_PROGRAM,
        (b"usr", b"lib" | b"lib64") => match third {
            // Locales, boot loaders, and what systemctl is made of.
            b"locale" | b"systemd" | b"grub" | b"shim" => true,
            _ => is_library && len < LONG_LIBRARY || name == b"vmlinuz",
        },
        (b"usr" | b"opt" | b"srv", _) => false,
        _ => true,
    };
    (entry.attributes.is_empty() && data.len() <= STRETCHES && !is_needed).then_some(len)
}

/// Gives all files of a tree their bytes.
///
/// # Errors
/// What cannot be read; what the operating system refuses; a file that somebody has missed.
pub(super) fn lay_down(tree: &Tree, deferred: &mut Deferred, cancel: &Cancel) -> Result<(), Error> {
    deferred.check_all()?;
    let contents: Vec<&Content> = deferred.contents().collect();
    contents.par_iter().try_for_each(|content| {
        let at = &content.path;
        let expected = content.stat().map_err(refused("look at", at))?;
        if expected.st_nlink == 0 {
            // Something else has its name, or nothing.
            return Ok(());
        }
        let file = tree.open_at(at, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK).map_err(|_| content.touched())?;
        let found = rustix::fs::fstat(&file).map_err(refused("look at", at))?;
        if (found.st_dev, found.st_ino) != (expected.st_dev, expected.st_ino) {
            return Err(content.touched().into());
        }
        let file = File::from(file);
        let (mut window, mut buffer) = (Window::narrow(), Vec::new());
        let read = |part: &mut [u8], done| deferred.read(&mut window, part, content.offset + done).map_err(Error::UnreadableRoot);
        let write = |part: &[u8], done| file.write_all_at(part, done).map_err(|error| crate::tree::Error::at("write", at)(error).into());
        copy(content.len, &mut buffer, cancel, read, write)?;
        let time = Timespec { tv_sec: expected.st_mtime, tv_nsec: expected.st_mtime_nsec.cast_signed() };
        // To write cleared what set-user-id bits there were, unless the host's root did.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(expected.st_mode & 0o7777))
            .and_then(|()| rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time }))
            .map_err(refused("set the attributes of", at))
    })?;
    deferred.clear();
    Ok(())
}

fn place(entry: &Entry) -> &Path {
    Path::new(OsStr::from_bytes(&entry.path))
}

/// A thread that lays files down.
struct Laying<'a> {
    tree: &'a Tree,
    saved: &'a ImageReader,
    window: Window,
    /// The folder of the last entry.
    folder: Option<(PathBuf, OwnedFd)>,
    buffer: Vec<u8>,
    /// Who is told of files that are deferred, and how long these must be, in bytes.
    watch: Option<&'a Watch>,
    shortest: u64,
    /// The files that are.
    contents: Vec<Content>,
    cancel: &'a Cancel,
}

impl Laying<'_> {
    /// Makes what an entry is, but for folders and hard links.
    fn lay(&mut self, entry: &Entry) -> Result<(), Error> {
        if matches!(entry.kind, Kind::Directory | Kind::HardLink(_)) {
            return Ok(());
        }
        let at = place(entry);
        let above = at.parent().unwrap_or(Path::new(""));
        let name = at.file_name().ok_or_else(|| refused("name", at)(Errno::INVAL))?;
        let dir = match self.folder.take() {
            Some((path, dir)) if path == above => dir,
            _ => self.tree.directory(above)?,
        };
        match &entry.kind {
            Kind::File { offset, len, data } => {
                let made = create_new(&dir, name).map_err(refused("create", at))?;
                if let Some(content) = self.defer(entry, &made, (&dir, name), data.as_deref())? {
                    self.contents.push(content);
                    self.folder = Some((above.to_owned(), dir));
                    return Ok(());
                }
                let Self { saved, window, buffer, .. } = self;
                let read = |part: &mut [u8], done| saved.fill_by(window, part, offset + done).map_err(Error::UnreadableRoot);
                let write = |part: &[u8], done| made.write_all_at(part, done).map_err(|error| crate::tree::Error::at("write", at)(error).into());
                copy(*len, buffer, self.cancel, read, write)?;
                finish(&made, entry).map_err(refused("set the attributes of", at))?;
            }
            kind => {
                let mode = Mode::from_raw_mode(entry.mode.into());
                let node = |kind, device| rustix::fs::mknodat(&dir, name, kind, mode, device);
                match kind {
                    Kind::Symlink(target) => rustix::fs::symlinkat(OsStr::from_bytes(target), &dir, name),
                    Kind::Character(major, minor) => node(FileType::CharacterDevice, rustix::fs::makedev(*major, *minor)),
                    Kind::Block(major, minor) => node(FileType::BlockDevice, rustix::fs::makedev(*major, *minor)),
                    _ => node(FileType::Fifo, 0),
                }
                .map_err(refused("create", at))?;
                let set = rustix::fs::chownat(&dir, name, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)), AtFlags::SYMLINK_NOFOLLOW)
                    // The mode above went through the umask; a link has none.
                    .and_then(|()| match kind {
                        Kind::Symlink(_) => Ok(()),
                        _ => rustix::fs::chmodat(&dir, name, mode, AtFlags::empty()),
                    })
                    .and_then(|()| rustix::fs::utimensat(&dir, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW));
                set.map_err(refused("set the attributes of", at))?;
            }
        }
        self.folder = Some((above.to_owned(), dir));
        Ok(())
    }
}

impl Laying<'_> {
    /// Gives a new file its length and its attributes alone, if it can wait for its bytes.
    fn defer(&self, entry: &Entry, made: &File, (dir, name): (&OwnedFd, &OsStr), data: Option<&[Range<u64>]>) -> Result<Option<Content>, Error> {
        let (Some(watch), Some(data), Kind::File { offset, len, .. }) = (self.watch, data, &entry.kind) else { return Ok(None) };
        if can_wait(entry).is_none_or(|len| len < self.shortest) {
            return Ok(None);
        }
        let at = place(entry);
        made.set_len(*len).map_err(crate::tree::Error::at("write", at))?;
        finish(made, entry).map_err(refused("set the attributes of", at))?;
        // One that cannot be watched gets its bytes.
        let pin = rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        Ok(pin.and_then(|pin| watch.content(&self.tree.path().join(at), at, (*offset, *len), data, pin)).ok())
    }
}

/// Owner before mode: a change of owner clears the set-user-id bit and the capabilities.
fn finish(file: impl AsFd, entry: &Entry) -> Result<(), Errno> {
    let file = file.as_fd();
    rustix::fs::fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode.into()))?;
    for (name, value) in &entry.attributes {
        rustix::fs::fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty())?;
    }
    rustix::fs::futimens(file, &times(entry))
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime.0, tv_nsec: entry.mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Copies `len` bytes, part by part: each is read and written with how many came before it.
fn copy(
    len: u64,
    buffer: &mut Vec<u8>,
    cancel: &Cancel,
    mut read: impl FnMut(&mut [u8], u64) -> Result<(), Error>,
    write: impl Fn(&[u8], u64) -> Result<(), Error>,
) -> Result<(), Error> {
    buffer.resize(PIECE, 0);
    let mut done = 0;
    while done < len {
        cancel.check()?;
        let part = &mut buffer[..(len - done).min(PIECE as u64) as usize];
        read(part, done)?;
        write(part, done)?;
        done += part.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::store::tests::{keep, store};

    /// Every name beneath a directory, with all that shall come back.
    fn look(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![root.to_owned()];
        while let Some(path) = open.pop() {
            let data = path.symlink_metadata().unwrap();
            let content = if data.is_file() { std::fs::read(&path).unwrap().len().to_string() } else { String::new() };
            let target = path.read_link().map(|target| target.display().to_string()).unwrap_or_default();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let links = if data.is_dir() { 0 } else { data.nlink() };
            found.push(format!(
                "{name} {:o} {}:{} {}.{} {content} {target} {links}",
                data.mode(),
                data.uid(),
                data.gid(),
                data.mtime(),
                data.mtime_nsec()
            ));
            if data.is_dir() {
                open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn nothing_is_left_of_a_tree_that_could_not_be_saved() {
        let host = tempfile::tempdir().unwrap();
        let (tree, file) = (host.path().join("tree"), host.path().join("file"));
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("a"), "b").unwrap();
        let (tree, cancel) = (Tree::open(&tree).unwrap(), Cancel::default());
        cancel.cancel();
        crate::root::save(&tree, &file, &cancel).unwrap_err();
        assert!(!file.exists());
        crate::root::save(&tree, &file, &Cancel::default()).unwrap();
    }

    #[test]
    fn a_tree_of_holes_is_not_written_out() {
        let host = tempfile::tempdir().unwrap();
        let (at, file) = (host.path().join("tree"), host.path().join("file"));
        std::fs::create_dir(&at).unwrap();
        let save = |len: u64| {
            File::create(at.join("sparse")).unwrap().set_len(len).unwrap();
            crate::root::save(&Tree::open(&at).unwrap(), &file, &Cancel::default())
        };
        save(1 << 20).unwrap();
        std::fs::remove_file(&file).unwrap();
        for len in [HOLES_LIMIT + 1, 1 << 40] {
            let error = save(len).unwrap_err();
            assert!(std::error::Error::source(&error).unwrap().to_string().ends_with(" of holes"), "{error:?}");
        }
    }

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let host = tempfile::tempdir().unwrap();
        let (old, new, file) = (host.path().join("old"), host.path().join("new"), host.path().join("file"));
        std::fs::create_dir_all(old.join("usr/bin")).unwrap();
        std::fs::create_dir(&new).unwrap();
        std::fs::write(old.join("usr/bin/large"), vec![7; PIECE + 5]).unwrap();
        std::fs::write(old.join("usr/empty"), "").unwrap();
        std::fs::hard_link(old.join("usr/bin/large"), old.join("usr/again")).unwrap();
        symlink("usr/bin", old.join("bin")).unwrap();
        std::fs::set_permissions(old.join("usr/bin/large"), PermissionsExt::from_mode(0o4711)).unwrap();
        std::fs::set_permissions(old.join("usr/bin"), PermissionsExt::from_mode(0o1751)).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, old.join("usr/fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
        let old_time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 5 };
        let times = Timestamps { last_access: old_time, last_modification: old_time };
        rustix::fs::utimensat(rustix::fs::CWD, old.join("usr"), &times, AtFlags::empty()).unwrap();
        let before = look(&old);

        let cancel = Cancel::default();
        save(&Tree::open(&old).unwrap(), (&File::create(&file).unwrap(), &file), &cancel).unwrap();
        let (_dir, store) = store();
        load(&Tree::open(&new).unwrap(), store.image_reader(&keep(&store, &file).0).unwrap(), false, &cancel).unwrap();
        assert_eq!(look(&new), before);
        let (first, second) = (new.join("usr/bin/large").metadata().unwrap(), new.join("usr/again").metadata().unwrap());
        assert_eq!(first.ino(), second.ino());

        // The same tree is the same file, whatever the order in which it was made.
        let again = host.path().join("again");
        save(&Tree::open(&new).unwrap(), (&File::create(&again).unwrap(), &again), &cancel).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&again).unwrap());
    }

    #[test]
    fn what_waits_for_its_bytes_gets_them() {
        let host = tempfile::tempdir().unwrap();
        let (old, new, file) = (host.path().join("old"), host.path().join("new"), host.path().join("file"));
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|at| (at / 251) as u8).collect();
        for name in ["usr/share/a", "usr/share/b", "usr/bin/program"] {
            std::fs::create_dir_all(old.join(name).parent().unwrap()).unwrap();
            std::fs::create_dir_all(&new).unwrap();
            std::fs::write(old.join(name), &bytes).unwrap();
        }
        std::fs::set_permissions(old.join("usr/share/a"), PermissionsExt::from_mode(0o4755)).unwrap();
        let before = look(&old);
        let cancel = Cancel::default();
        save(&Tree::open(&old).unwrap(), (&File::create(&file).unwrap(), &file), &cancel).unwrap();
        let (_dir, store) = store();
        let tree = Tree::open(&new).unwrap();
        let mut deferred = load(&tree, store.image_reader(&keep(&store, &file).0).unwrap(), true, &cancel).unwrap();
        assert!(deferred.contents().count() == 2 && deferred.contents().all(|content| content.path.starts_with("usr/share")));
        assert!(std::fs::read(new.join("usr/bin/program")).unwrap() == bytes);
        lay_down(&tree, &mut deferred, &cancel).unwrap();
        assert!(deferred.is_empty() && deferred.check().is_ok());
        assert_eq!(look(&new), before);
        assert!(std::fs::read(new.join("usr/share/a")).unwrap() == bytes);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let host = tempfile::tempdir().unwrap();
        let (new, file) = (host.path().join("new"), host.path().join("file"));
        std::fs::create_dir(&new).unwrap();
        std::fs::write(&file, vec![0; 8192]).unwrap();
        let (_dir, store) = store();
        let error = load(&Tree::open(&new).unwrap(), store.image_reader(&keep(&store, &file).0).unwrap(), false, &Cancel::default()).unwrap_err();
        assert!(matches!(error, Error::UnreadableRoot(_)), "{error}");
    }
}
