//! What file systems have, whichever they are: folders, files, links, devices.

use std::collections::BTreeMap;

use super::problem::{Problem, Result};

/// Extended attributes by name, as `getxattr(2)` has both.
pub(super) type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// What something in a file system is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// A symbolic link, and where it leads.
    Link(Vec<u8>),
    /// A device of characters, with its major and minor number.
    Character(u32, u32),
    /// A device of blocks.
    Block(u32, u32),
    Fifo,
    Socket,
    /// Of none of the kinds that there are.
    Unknown,
}

/// One name in a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// From the root of its file system on, which itself is empty: `/etc/passwd`.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// Permissions, as in the last 12 bits of `st_mode`; none where the file system has none.
    pub(super) mode: Option<u16>,
    /// Zero where the file system has none.
    pub(super) owner: (u32, u32),
    /// Bytes of content.
    pub(super) size: u64,
    /// Seconds since the epoch.
    pub(super) modified: i64,
    /// Where its file system finds its content: the same for all names of a file.
    pub(super) handle: u64,
    /// Whether it has extended attributes.
    pub(super) has_attributes: bool,
}

impl Node {
    /// Bytes of content of a regular file; none of anything else.
    pub(super) fn content_len(&self) -> u64 {
        if self.kind == Kind::File { self.size } else { 0 }
    }
}

/// What reading a file system may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most names.
    pub names: usize,
    /// The most bytes of all paths together, and of all folders.
    pub bytes: u64,
}

impl Limits {
    /// Four times what a large installation has: two million names, which take half a gigabyte of memory.
    pub const USUAL: Self = Self { names: 1 << 21, bytes: 256 << 20 };
}

/// The deepest folder.
const DEPTH: usize = 200;

/// A folder that is still to be read.
pub(super) struct Pending {
    pub(super) handle: u64,
    pub(super) path: Vec<u8>,
    depth: usize,
}

/// The names of a file system on their way in: each folder once, and no more than is bearable.
pub(super) struct Walk {
    pub(super) nodes: Vec<Node>,
    pending: Vec<Pending>,
    seen: std::collections::HashSet<u64>,
    left: Limits,
}

impl Walk {
    /// Begins at the root.
    pub(super) fn new(root: Node, limits: Limits) -> Self {
        let pending = vec![Pending { handle: root.handle, path: Vec::new(), depth: 0 }];
        Self { seen: std::iter::once(root.handle).collect(), pending, nodes: vec![root], left: limits }
    }

    /// The next folder to read.
    pub(super) fn folder(&mut self) -> Option<Pending> {
        self.pending.pop()
    }

    /// Counts the bytes of a folder.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<()> {
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or_else(too_much)?;
        Ok(())
    }

    /// The path of a name in a folder.
    pub(super) fn path(&mut self, folder: &Pending, name: &[u8]) -> Result<Vec<u8>> {
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return Err(Problem::Wrong("a folder has a name that no file can have"));
        }
        self.left.names = self.left.names.checked_sub(1).ok_or_else(too_much)?;
        let path = [folder.path.as_slice(), b"/", name].concat();
        self.spend(path.len() as u64)?;
        Ok(path)
    }

    /// Takes what was found in a folder.
    pub(super) fn take(&mut self, folder: &Pending, node: Node) -> Result<()> {
        if node.kind == Kind::Folder {
            if !self.seen.insert(node.handle) {
                return Err(Problem::Wrong("a folder is in two places"));
            }
            if folder.depth == DEPTH {
                return Err(Problem::Wrong("its folders are too deep"));
            }
            self.pending.push(Pending { handle: node.handle, path: node.path.clone(), depth: folder.depth + 1 });
        }
        self.nodes.push(node);
        Ok(())
    }
}

fn too_much() -> Problem {
    Problem::Unsupported("more files than are read".to_owned())
}
