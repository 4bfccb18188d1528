//! What has changed in a tree since a moment: nothing is read, only looked at.
//!
//! The kernel gives an inode another time of change with everything that is done to it, and nobody can set that time: so a name whose inode, time of change
//! and mode are as they were stands for the same file.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::time::ClockId;

use super::Error;
use super::error::refused;
use crate::tree::{Tree, names};

/// A name that is there now and was not, or is another file, or is there no more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    /// Relative to the tree.
    pub(super) path: PathBuf,
    /// Whether there was nothing of this name.
    pub(super) is_new: bool,
}

/// All names of a tree, with what shows whether they change.
pub(super) struct Snapshot(HashMap<PathBuf, Seen>);

#[derive(PartialEq, Eq)]
struct Seen {
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    /// Of folders it says nothing: what is made in them changes them.
    changed: Option<(i64, u64)>,
}

impl Snapshot {
    /// Looks at all of a tree. What is done to it from now on is seen.
    pub(super) fn take(tree: &Tree) -> Result<Self, Error> {
        let snapshot = Self::look(tree)?;
        // A change within the same tick of the clock would leave no trace.
        let tick = || rustix::time::clock_gettime(ClockId::RealtimeCoarse);
        let before = tick();
        while tick() == before {
            std::thread::yield_now();
        }
        Ok(snapshot)
    }

    fn look(tree: &Tree) -> Result<Self, Error> {
        let mut seen = HashMap::new();
        let root = tree.open_at(Path::new(""), OFlags::RDONLY | OFlags::DIRECTORY).map_err(refused("open", "/"))?;
        walk(&root, &mut PathBuf::new(), &mut seen)?;
        Ok(Self(seen))
    }

    /// What has changed since, in the order of names.
    pub(super) fn changes(&self, tree: &Tree) -> Result<Vec<Change>, Error> {
        let Self(now) = Self::look(tree)?;
        let gone = self.0.keys().filter(|path| !now.contains_key(*path)).map(|path| Change { path: path.clone(), is_new: false });
        let other = now.iter().filter(|(path, seen)| self.0.get(*path) != Some(*seen));
        let other = other.map(|(path, _)| Change { path: path.clone(), is_new: !self.0.contains_key(path) });
        let mut changes: Vec<Change> = gone.chain(other).collect();
        changes.sort();
        Ok(changes)
    }
}

fn walk(dir: &OwnedFd, path: &mut PathBuf, seen: &mut HashMap<PathBuf, Seen>) -> Result<(), Error> {
    for name in names(dir).map_err(refused("list", &path))? {
        path.push(&name);
        let stat = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(refused("look at", &path))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let below = below(dir, &name).map_err(refused("open", &path))?;
            walk(&below, path, seen)?;
        }
        seen.insert(path.clone(), Seen::of(&stat));
        path.pop();
    }
    Ok(())
}

fn below(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

impl Seen {
    fn of(stat: &Stat) -> Self {
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let changed = (!is_folder).then_some((stat.st_ctime, stat.st_ctime_nsec));
        Self { inode: stat.st_ino, mode: stat.st_mode, owner: (stat.st_uid, stat.st_gid), changed }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_change_is_seen_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        for path in ["etc/same", "etc/content", "etc/mode", "etc/replaced", "etc/gone", "var/touched"] {
            tree.write(path, b"old", 0o644).unwrap();
        }
        let at = |path: &str| root.path().join(path);
        let snapshot = Snapshot::take(&tree).unwrap();
        assert_eq!(snapshot.changes(&tree).unwrap(), []);

        fs::read(at("etc/same")).unwrap();
        // The same length, and the time of modification as it was.
        let modified = at("etc/content").metadata().unwrap().modified().unwrap();
        fs::write(at("etc/content"), "new").unwrap();
        fs::File::options().write(true).open(at("etc/content")).unwrap().set_modified(modified).unwrap();
        fs::set_permissions(at("etc/mode"), PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(at("etc/other"), "old").unwrap();
        fs::rename(at("etc/other"), at("etc/replaced")).unwrap();
        fs::remove_file(at("etc/gone")).unwrap();
        fs::create_dir(at("etc/folder")).unwrap();
        fs::set_permissions(at("var"), PermissionsExt::from_mode(0o700)).unwrap();
        let expected = ["etc/content", "etc/folder", "etc/gone", "etc/mode", "etc/replaced", "var"];
        let expected = expected.map(|path| Change { path: path.into(), is_new: path == "etc/folder" });
        assert_eq!(snapshot.changes(&tree).unwrap(), expected);
    }
}
