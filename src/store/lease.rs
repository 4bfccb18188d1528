//! Leases: a process that has the store open keeps a file locked, and what it has in the making lies in a directory of the same name.
//!
//! A lease is alive exactly as long as its lock cannot be taken: locks end with their process, however it ends, so there are no time limits to guess.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::{Error, Result};
use super::failpoint;
use super::layout::{self, Layout, names};
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
        // Files of a user namespace's other users cannot be removed from outside it. What stays is tried again by whoever opens the store next.
        let _ = fs::remove_dir_all(&self.tmp);
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the leases of processes that are gone, and what they had in the making.
pub(crate) fn clean(layout: &Layout) -> Result<()> {
    // First the directories, then the question who is alive: a lease is there before its directory.
    for name in names(&layout.tmp())? {
        let _dead = match Owner::of(&layout.leases().join(&name).with_extension(SUFFIX)) {
            Owner::Alive => continue,
            Owner::Dead(lock) => lock,
        };
        let path = layout.tmp().join(&name);
        // Where some files cannot be removed (they belong to other users of a user namespace), they stay: they are in nobody's way.
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
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
}
