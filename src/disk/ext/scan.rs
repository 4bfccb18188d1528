//! What is in a tree: everything that becomes an inode, in the order in which it is laid down.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, OFlags, Stat};

use super::BLOCK;
use crate::deferred::Deferred;
use crate::disk::error::Error;
use crate::format::tree::{Attributes, note_data};
use crate::progress::Cancel;
use crate::tree::{self, Tree, names};

/// How much of a file is looked at at once, in bytes.
const BUFFER: usize = 1 << 20;

/// The longest path that can be opened, in bytes (`PATH_MAX`, without its zero). It bounds how deep a tree can be, too.
const PATH_LIMIT: usize = 4095;

/// How many things a thread looks at before it asks for more.
const BATCH: usize = 256;

/// The folder in which `e2fsck` puts what it finds without a name.
pub(super) const LOST_AND_FOUND: &str = "lost+found";

/// Something of a tree that becomes an inode.
#[derive(Debug)]
pub(super) struct Node {
    /// Its path in the tree (one of them); empty for the tree itself.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// Kind and permissions, as in `st_mode`.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since the epoch.
    pub(super) modified: i64,
    /// How many names in the tree it has; of a folder also those of itself and of the folders in it.
    pub(super) links: u32,
    /// Extended attributes, of files and folders.
    pub(super) attributes: Attributes,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its names in order, and the numbers of the nodes that have them.
    Folder {
        parent: usize,
        names: Vec<(OsString, usize)>,
    },
    /// Its length in bytes, and the ranges of its blocks that are not all zeros: the others become holes. Where its bytes are in the kept root, if they are not
    /// in the tree.
    File {
        len: u64,
        data: Vec<Range<u64>>,
        deferred: Option<u64>,
    },
    Link(Vec<u8>),
    /// Major and minor number.
    Device(u32, u32),
    Fifo,
}

/// All nodes of a tree: itself, `lost+found` (which is made where the tree has nothing of this name), then the rest depth first in the order of names. No
/// symbolic link is followed. Sockets are left out: nobody listens behind them.
/// `longest` is the length that a file can have, in bytes.
pub(super) fn scan(tree: &Tree, deferred: &Deferred, longest: u64, cancel: &Cancel) -> Result<Vec<Node>, Error> {
    let root = tree.open_at(Path::new(""), OFlags::RDONLY | OFlags::DIRECTORY).map_err(tree::Error::at("open", ""))?;
    let mut walk = Walk { nodes: Vec::new(), linked: HashMap::new(), deferred, longest, cancel };
    walk.folder(&root, &mut PathBuf::new(), 0)?;
    let mut nodes = walk.nodes;
    nodes.par_chunks_mut(BATCH).try_for_each(|nodes| {
        cancel.check()?;
        nodes.iter_mut().try_for_each(|node| look_inside(tree, node, cancel))
    })?;
    Ok(nodes)
}

struct Walk<'a> {
    nodes: Vec<Node>,
    /// The nodes of what has several names, by device and inode.
    linked: HashMap<(u64, u64), usize>,
    deferred: &'a Deferred,
    longest: u64,
    cancel: &'a Cancel,
}

impl Walk<'_> {
    /// Takes in a folder and all below it; returns its number.
    fn folder(&mut self, dir: &OwnedFd, path: &mut PathBuf, parent: usize) -> Result<usize, Error> {
        self.cancel.check()?;
        let stat = rustix::fs::fstat(dir).map_err(tree::Error::at("look at", &*path))?;
        let number = self.push(path, &stat, Kind::Folder { parent, names: Vec::new() });
        if number == 0 {
            // Whoever made the tree has just changed it.
            self.nodes[number].modified = i64::MAX;
        }
        // Those of folders and files alone are kept, here as in kept roots: what else there is can have access control lists, and no package brings any.
        self.nodes[number].attributes = tree::attributes(dir).map_err(tree::Error::at("look at", &*path))?;
        let mut list = names(dir).map_err(tree::Error::at("list", &*path))?;
        list.sort();
        let mut found = Vec::with_capacity(list.len());
        if number == 0 {
            self.lost_and_found(&list, &mut found);
        }
        for name in list {
            path.push(&name);
            if path.as_os_str().len() > PATH_LIMIT {
                let shown = path.to_string_lossy().chars().take(80).collect::<String>();
                return Err(Error::BadFile { path: format!("/{shown}…"), problem: format!("has a path of more than {PATH_LIMIT} bytes") });
            }
            if let Some(node) = self.name(dir, &name, path, number)? {
                found.push((name, node));
            }
            path.pop();
        }
        found.sort();
        let folders = found.iter().filter(|(_, node)| matches!(self.nodes[*node].kind, Kind::Folder { .. })).count();
        self.nodes[number].links = u32::try_from(folders + 2).unwrap_or(u32::MAX);
        self.nodes[number].kind = Kind::Folder { parent, names: found };
        Ok(number)
    }

    fn lost_and_found(&mut self, list: &[OsString], found: &mut Vec<(OsString, usize)>) {
        if !list.iter().any(|name| name == LOST_AND_FOUND) {
            found.push((LOST_AND_FOUND.into(), self.nodes.len()));
            let (path, kind) = (LOST_AND_FOUND.into(), Kind::Folder { parent: 0, names: Vec::new() });
            self.nodes.push(Node { path, kind, mode: 0o040_700, uid: 0, gid: 0, modified: i64::MAX, links: 2, attributes: Vec::new() });
        }
    }

    /// The number of the node that has a name; none for what is left out.
    fn name(&mut self, dir: &OwnedFd, name: &OsStr, path: &mut PathBuf, parent: usize) -> Result<Option<usize>, Error> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(tree::Error::at("look at", &*path))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = rustix::fs::openat(dir, name, flags, rustix::fs::Mode::empty()).map_err(tree::Error::at("open", &*path))?;
                return self.folder(&below, path, parent).map(Some);
            }
            FileType::Socket => return Ok(None),
            FileType::RegularFile => {
                let len = stat.st_size.try_into().unwrap_or(0);
                if len > self.longest {
                    let problem = "is longer than files of such a file system can be".to_owned();
                    return Err(Error::BadFile { path: format!("/{}", path.display()), problem });
                }
                match self.deferred.of(&stat) {
                    Some(content) => Kind::File { len, data: content.data.clone(), deferred: Some(content.offset) },
                    None => Kind::File { len, data: Vec::new(), deferred: None },
                }
            }
            FileType::Symlink => Kind::Link(rustix::fs::readlinkat(dir, name, Vec::new()).map_err(tree::Error::at("read", &*path))?.into_bytes()),
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Device(rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
            _ => Kind::Fifo,
        };
        let next = self.nodes.len();
        let known = match self.linked.entry((stat.st_dev, stat.st_ino)) {
            _ if stat.st_nlink < 2 => None,
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(place) => {
                place.insert(next);
                None
            }
        };
        let number = known.unwrap_or_else(|| self.push(path, &stat, kind));
        self.nodes[number].links += 1;
        Ok(Some(number))
    }

    fn push(&mut self, path: &Path, stat: &Stat, kind: Kind) -> usize {
        let (mode, modified) = ((stat.st_mode & 0o177_777) as u16, stat.st_mtime);
        self.nodes.push(Node { path: path.to_owned(), kind, mode, uid: stat.st_uid, gid: stat.st_gid, modified, links: 0, attributes: Vec::new() });
        self.nodes.len() - 1
    }
}

/// Reads what a walk does not say of a file: its attributes, and which blocks have data.
fn look_inside(tree: &Tree, node: &mut Node, cancel: &Cancel) -> Result<(), Error> {
    // What is deferred has none, and was looked into when it was kept.
    let Kind::File { len, data, deferred: None } = &mut node.kind else { return Ok(()) };
    let file = open(tree, &node.path)?;
    node.attributes = tree::attributes(&file).map_err(tree::Error::at("look at", &node.path))?;
    *data = blocks_with_data(&File::from(file), *len, &node.path, cancel)?;
    Ok(())
}

/// Opens a file of the tree, to read it.
pub(super) fn open(tree: &Tree, path: &Path) -> Result<OwnedFd, Error> {
    Ok(tree.open_at(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK).map_err(tree::Error::at("read", path))?)
}

fn blocks_with_data(file: &File, len: u64, path: &Path, cancel: &Cancel) -> Result<Vec<Range<u64>>, Error> {
    let mut data: Vec<Range<u64>> = Vec::new();
    let mut buffer = vec![0; BUFFER.min(usize::try_from(len).unwrap_or(BUFFER))];
    let mut at = next_data(file, 0, len);
    while at < len {
        cancel.check()?;
        let part = &mut buffer[..BUFFER.min(usize::try_from(len - at).unwrap_or(BUFFER))];
        file.read_exact_at(part, at).map_err(tree::Error::at("read", path))?;
        note_data(&mut data, at, part);
        at = next_data(file, at + part.len() as u64, len);
    }
    Ok(data)
}

/// The next block from which on the tree's own file system has something, in bytes: it knows of long holes, which are quick to pass so. What it calls
/// data may still be zeros.
fn next_data(file: &File, at: u64, len: u64) -> u64 {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        Ok(data) => (data.max(at) / BLOCK * BLOCK).max(at),
        Err(rustix::io::Errno::NXIO) => len,
        // It cannot say.
        Err(_) => at,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn scanned(folder: &Path) -> Vec<Node> {
        scan(&Tree::open(folder).unwrap(), &Deferred::default(), u64::MAX, &Cancel::default()).unwrap()
    }

    #[test]
    fn everything_is_found_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("m/n")).unwrap();
        std::fs::write(at("m/file"), [1; 4097]).unwrap();
        std::fs::hard_link(at("m/file"), at("a second name")).unwrap();
        symlink("/elsewhere", at("z")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let nodes = scanned(folder.path());
        let paths: Vec<_> = nodes.iter().map(|node| (node.path.to_str().unwrap(), node.links)).collect();
        assert_eq!(paths, [("", 4), ("lost+found", 2), ("a second name", 2), ("m", 3), ("m/n", 2), ("z", 1)]);
        let Kind::Folder { names, parent: 0 } = &nodes[3].kind else { panic!() };
        assert_eq!(*names, [("file".into(), 2), ("n".into(), 4)]);
        assert_eq!(nodes[2].kind, Kind::File { len: 4097, data: vec![Range { start: 0, end: 2 }], deferred: None });
        assert_eq!(nodes[5].kind, Kind::Link(b"/elsewhere".to_vec()));
    }

    #[test]
    fn a_trees_own_lost_and_found_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(LOST_AND_FOUND)).unwrap();
        std::fs::write(folder.path().join(LOST_AND_FOUND).join("#12"), "found").unwrap();
        let paths: Vec<_> = scanned(folder.path()).into_iter().map(|node| node.path).collect();
        assert_eq!(paths, ["", LOST_AND_FOUND, "lost+found/#12"].map(PathBuf::from));
    }

    #[test]
    fn what_lies_too_deep_to_be_opened_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let name = "x".repeat(250);
        let mut dir = OwnedFd::from(File::open(folder.path()).unwrap());
        for _ in 0..17 {
            rustix::fs::mkdirat(&dir, &name, rustix::fs::Mode::RWXU).unwrap();
            dir = rustix::fs::openat(&dir, &name, OFlags::RDONLY | OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
        }
        let error = scan(&Tree::open(folder.path()).unwrap(), &Deferred::default(), u64::MAX, &Cancel::default()).unwrap_err().to_string();
        assert!(error.starts_with("/xxx") && error.ends_with("x… in the image has a path of more than 4095 bytes") && error.len() < 200, "{error}");
    }

    #[test]
    fn blocks_of_zeros_are_holes_whoever_made_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut bytes = vec![0; 3 << 20];
        (bytes[5000], bytes[2 << 20], bytes[(3 << 20) - 1]) = (1, 1, 1);
        std::fs::write(&path, &bytes[..(3 << 20) - 10]).unwrap();
        let data = |path: &Path, len: u64| blocks_with_data(&File::open(path).unwrap(), len, path, &Cancel::default()).unwrap();
        assert_eq!(data(&path, (3 << 20) - 10), [1..2, 512..513]);
        std::fs::write(&path, &bytes).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        file.write_all_at(&[1], (1 << 40) - 1).unwrap();
        assert_eq!(data(&path, 1 << 40), [1..2, 512..513, 767..768, (1 << 28) - 1..1 << 28]);
    }
}
