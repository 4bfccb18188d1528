//! Leases: a process that has the store open keeps a file locked, and what it has in the making lies in a directory of the same name.
//!
//! A lease is alive exactly as long as its lock cannot be taken: locks end with their process, however it ends, so there are no time limits to guess.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::{Error, Result};
use super::layout::{self, Layout, names};
use super::{Store, failpoint};
use crate::locked;

/// Files of leases that are not locked yet end so; nobody takes them for dead ones.
const PENDING: &str = "pending";
const SUFFIX: &str = "lease";

/// The length of a lease's name in bytes.
pub(crate) const ID_LEN: usize = 16;

/// The lease of this process (of this [`super::Store`]); ends when dropped.
#[derive(Debug)]
#[must_use = "the lease ends when this is dropped"]
pub(crate) struct Lease {
    id: String,
    path: PathBuf,
    tmp: PathBuf,
    next: AtomicU32,
    // Locked until it is closed.
    _file: File,
}

impl Lease {
    /// Takes a new lease.
    pub(crate) fn take(layout: &Layout) -> Result<Self> {
        loop {
            failpoint!("store::lease::create");
            let file = tempfile::Builder::new()
                .prefix("")
                .suffix(&format!(".{PENDING}"))
                .rand_bytes(ID_LEN)
                .tempfile_in(layout.leases())
                .map_err(Error::io("create a lease in", &layout.leases()))?;
            let (mut file, pending) = file.into_parts();
            failpoint!("store::lease::created");
            file.lock().map_err(Error::io("lock", &pending))?;
            writeln!(file, "{}", this_process()).map_err(Error::io("write", &pending))?;
            let id = pending.file_stem().and_then(OsStr::to_str).unwrap_or_default().to_owned();
            let path = pending.with_extension(SUFFIX);
            match fs::rename(&pending, &path) {
                Ok(()) => {}
                // Another process took it for a leftover before it was locked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
            // Nothing has that name any more.
            let _ = pending.keep();
            failpoint!("store::lease::taken");
            let tmp = layout.tmp().join(&id);
            let lease = Self { id, path, tmp, next: AtomicU32::new(0), _file: file };
            layout::create_dir(&lease.tmp, 0o700)?;
            return Ok(lease);
        }
    }

    /// The name of the lease: [`ID_LEN`] ASCII characters.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// A path in this lease's directory under `tmp/` that nothing has.
    pub(crate) fn fresh(&self, prefix: &str) -> PathBuf {
        self.tmp.join(format!("{prefix}{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What stays is tried again by whoever opens the store next.
        remove_tree(&self.tmp);
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// The directories of processes that are gone which this process could not remove: they have files of a user namespace's other users. None where the store
    /// can only be looked at.
    ///
    /// # Errors
    /// A store that cannot be listed.
    pub fn leftovers(&self) -> Result<Vec<PathBuf>> {
        if !self.is_writable() {
            return Ok(Vec::new());
        }
        Ok(dead(&self.layout)?.map(|(path, _)| path).filter(|path| path.is_dir()).collect())
    }
}

/// What processes that are gone had in the making, each with the lock of its lease, where that still has a file.
fn dead(layout: &Layout) -> Result<impl Iterator<Item = (PathBuf, Option<File>)>> {
    let (leases, tmp) = (layout.leases(), layout.tmp());
    // First the directories, then the question who is alive: a lease is there before its directory.
    Ok(names(&tmp)?.into_iter().filter_map(move |name| match Owner::of(&leases.join(&name).with_extension(SUFFIX)) {
        Owner::Alive => None,
        Owner::Dead(lock) => Some((tmp.join(name), lock)),
    }))
}

/// Removes a directory, or of what is in it as much as this process may.
fn remove_tree(path: &Path) {
    // This ends at the first directory that may not be opened, with all that it has not come to.
    if fs::remove_dir_all(path).is_ok() {
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        } else {
            // A directory of another user keeps its files.
            let _ = fs::remove_file(entry.path());
        }
    }
    // It is not empty where something had to stay.
    let _ = fs::remove_dir(path);
}

/// Removes the leases of processes that are gone, and what they had in the making; [`Store::leftovers`] are what had to stay.
pub(crate) fn clean(layout: &Layout) -> Result<()> {
    for (path, _lock) in dead(layout)? {
        if path.is_dir() {
            remove_tree(&path);
        } else {
            // Already gone is fine.
            let _ = fs::remove_file(&path);
        }
    }
    for name in names(&layout.leases())? {
        let path = layout.leases().join(&name);
        if let Owner::Dead(Some(lock)) = Owner::of(&path)
            && locked::is_at(&lock, &path).unwrap_or(false)
        {
            // The lock is held while the name goes, so that nobody can take it in between. Already gone is fine.
            let _ = fs::remove_file(&path);
            drop(lock);
        }
    }
    Ok(())
}

/// Whether the process of a lease is still there.
pub(crate) fn is_alive(layout: &Layout, id: &str) -> bool {
    // A name that is no plain file name is nobody's.
    let plain = id.len() == ID_LEN && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain && matches!(Owner::of(&layout.leases().join(id).with_extension(SUFFIX)), Owner::Alive)
}

/// Who holds leases now, for messages: a line for each, sorted.
pub(crate) fn holders(layout: &Layout) -> Result<Vec<String>> {
    let mut holders = Vec::new();
    for name in names(&layout.leases())? {
        let path = layout.leases().join(&name);
        if path.extension().is_some_and(|extension| extension == SUFFIX) && matches!(Owner::of(&path), Owner::Alive) {
            holders.push(first_line(&path).unwrap_or_else(somebody));
        }
    }
    holders.sort();
    Ok(holders)
}

enum Owner {
    Alive,
    /// The lock of the lease, where it still has a file.
    Dead(Option<File>),
}

impl Owner {
    fn of(path: &Path) -> Self {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::Dead(None),
            // Another user's lease, or no way to tell: it is not ours to judge.
            Err(_) => return Self::Alive,
        };
        match file.try_lock() {
            Ok(()) => Self::Dead(Some(file)),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => Self::Alive,
        }
    }
}

/// How this process is named to others: `process 1234 (image-composer build spec.yml)`, one line of at most 200 bytes.
pub(crate) fn this_process() -> String {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let words: Vec<_> = std::iter::once(program).chain(arguments.map(|word| word.to_string_lossy().into_owned())).collect();
    let command: String = words.join(" ").chars().filter(|c| !c.is_control()).take(160).collect();
    format!("process {} ({command})", std::process::id())
}

/// How a process is named that cannot be told.
pub(crate) fn somebody() -> String {
    "another process".to_owned()
}

/// The first line of a small file, if it has one.
pub(crate) fn first_line(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(1024).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().next().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::thread::CapabilitySet;

    use super::*;

    fn layout() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        (dir, layout)
    }

    #[test]
    fn a_live_lease_keeps_its_directory() {
        let (_dir, layout) = layout();
        let lease = Lease::take(&layout).unwrap();
        assert_eq!(lease.id().len(), 16);
        fs::write(lease.fresh("s"), "x").unwrap();
        clean(&layout).unwrap();
        assert!(lease.tmp.join("s0").exists());
        assert_eq!(holders(&layout).unwrap(), [this_process()]);
        let (tmp, path) = (lease.tmp.clone(), lease.path.clone());
        drop(lease);
        assert!(!tmp.exists() && !path.exists());
    }

    #[test]
    fn what_a_dead_process_left_is_removed() {
        let (_dir, layout) = layout();
        // As after SIGKILL: the file is there, the lock is not.
        fs::write(layout.leases().join("abc.lease"), "process 1 (x)\n").unwrap();
        fs::create_dir(layout.tmp().join("abc")).unwrap();
        fs::write(layout.tmp().join("abc/s0"), "half a blob").unwrap();
        fs::create_dir(layout.tmp().join("without-lease")).unwrap();
        fs::write(layout.leases().join("def.pending"), "").unwrap();
        let live = Lease::take(&layout).unwrap();
        clean(&layout).unwrap();
        assert_eq!(names(&layout.tmp()).unwrap(), [live.id()]);
        assert_eq!(names(&layout.leases()).unwrap().len(), 1);
    }

    /// Does something as one who may not open every directory, also where the tests run as root.
    fn with_fewer_rights(act: impl FnOnce() + Send) {
        let act = || {
            // The rights of this thread alone.
            let mut own = rustix::thread::capabilities(None).unwrap();
            own.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
            rustix::thread::set_capabilities(None, own).unwrap();
            act();
        };
        std::thread::scope(|scope| scope.spawn(act).join().unwrap());
    }

    #[test]
    fn what_may_not_be_removed_keeps_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let dead = store.layout.tmp().join("abc");
        for name in ["a", "b", "c", "d"] {
            let closed = dead.join("w0").join(name).join("closed");
            fs::create_dir_all(&closed).unwrap();
            for file in [closed.join("kept"), closed.with_file_name("file"), dead.join(name)] {
                fs::write(file, "x").unwrap();
            }
            fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).unwrap();
        }
        with_fewer_rights(|| clean(&store.layout).unwrap());
        assert_eq!(store.leftovers().unwrap(), [dead.as_path()]);
        assert_eq!(names(&dead).unwrap(), ["w0"]);
        for name in ["a", "b", "c", "d"] {
            let place = dead.join("w0").join(name);
            assert_eq!(names(&place).unwrap(), ["closed"]);
            fs::set_permissions(place.join("closed"), PermissionsExt::from_mode(0o700)).unwrap();
        }
        clean(&store.layout).unwrap();
        assert!(store.leftovers().unwrap().is_empty() && !dead.exists());
    }
}
