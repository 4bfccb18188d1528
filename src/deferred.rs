//! Files of a tree whose bytes still lie in the store.
//!
//! Most of a kept root goes to the next disk as it is. So its long files have their names, lengths and attributes in the tree, and no bytes: what makes the disk
//! takes them from the store. Of an appliance's root of 1.4 GB that is three quarters.
//!
//! Nobody may take the zeros that such a file has meanwhile for what is in it. The kernel tells of everyone who opens or changes one (`inotify(7)`), in
//! whatever way. A build in which that happens begins again with everything laid down.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use rustix::fs::Stat;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::store::{ImageReader, Window};

/// What is asked of the kernel, and what of it is more than a look at the name.
const WATCHED: WatchFlags = WatchFlags::OPEN.union(WatchFlags::MODIFY).union(WatchFlags::ATTRIB).union(WatchFlags::DONT_FOLLOW);
const OPENED: ReadFlags = ReadFlags::OPEN.union(ReadFlags::MODIFY);

/// Room for some events without names, in bytes.
const EVENTS: usize = 4096;

/// Something looked into a file that is not laid down, or changed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("/{}, whose bytes were still in the store, was needed", .0.display())]
pub struct Touched(pub PathBuf);

/// The files of a tree that have no bytes yet.
#[derive(Default)]
pub struct Deferred {
    /// Those who are told, and the kept root that has the bytes; there are both where there is a file.
    watch: Option<Watch>,
    root: Option<ImageReader>,
    /// By device and inode.
    files: HashMap<(u64, u64), Content>,
    /// The first that was touched.
    touched: Mutex<Option<Touched>>,
}

/// The kernel's word on who opens files.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

/// One of the files.
#[derive(Debug)]
pub(crate) struct Content {
    /// Where it was laid down, relative to the tree.
    pub(crate) path: PathBuf,
    /// Where its bytes are in the kept root.
    pub(crate) offset: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// The ranges of its blocks that are not all zeros.
    pub(crate) data: Vec<Range<u64>>,
    /// Its number at the kernel.
    number: i32,
    /// Keeps the inode from being another file's, whatever becomes of its names.
    pin: OwnedFd,
}

impl Watch {
    /// None where the kernel tells nobody more.
    pub(crate) fn new() -> Option<Self> {
        inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok().map(Self)
    }

    /// Watches a file that has its length and all its attributes. `at` is where it lies on the host, `pin` the file, opened by its path alone.
    ///
    /// # Errors
    /// What cannot be watched.
    pub(crate) fn content(&self, at: &Path, path: &Path, (offset, len): (u64, u64), data: &[Range<u64>], pin: OwnedFd) -> Result<Content, Errno> {
        let number = inotify::add_watch(&self.0, at, WATCHED)?;
        Ok(Content { path: path.to_owned(), offset, len, data: data.to_vec(), number, pin })
    }
}

impl Content {
    /// What the kernel says of it.
    ///
    /// # Errors
    /// What it refuses.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(&self.pin)
    }

    pub(crate) fn touched(&self) -> Touched {
        Touched(self.path.clone())
    }
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files.values()).finish()
    }
}

impl Deferred {
    /// What was done to the files until now does not count.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub(crate) fn new(watch: Watch, root: ImageReader, contents: Vec<Content>) -> Result<Self, Errno> {
        let files = contents.into_iter().map(|content| content.stat().map(|stat| ((stat.st_dev, stat.st_ino), content)));
        let deferred = Self { files: files.collect::<Result<_, _>>()?, watch: Some(watch), root: Some(root), touched: Mutex::default() };
        deferred.listen(ReadFlags::empty());
        Ok(deferred)
    }

    /// Whether everything is laid down.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether nobody has opened a file, or changed what is in it.
    ///
    /// # Errors
    /// [`Touched`], from then on.
    pub fn check(&self) -> Result<(), Touched> {
        self.listen(OPENED);
        self.lock().clone().map_or(Ok(()), Err)
    }

    /// Whether nobody has changed the attributes of a file either.
    ///
    /// # Errors
    /// [`Touched`], from then on.
    pub fn check_all(&self) -> Result<(), Touched> {
        self.listen(OPENED | ReadFlags::ATTRIB);
        self.lock().clone().map_or(Ok(()), Err)
    }

    /// Takes in what the kernel has to tell; of that, these events count.
    fn listen(&self, counting: ReadFlags) {
        let Some(Watch(events)) = &self.watch else { return };
        let mut room = [MaybeUninit::uninit(); EVENTS];
        let mut reader = Reader::new(events.as_fd(), &mut room);
        loop {
            let (number, event) = match reader.next() {
                Ok(event) => (event.wd(), event.events()),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                // Whatever it would have told.
                Err(_) => (-1, ReadFlags::QUEUE_OVERFLOW),
            };
            let content = self.files.values().find(|content| content.number == number);
            // What has no name any more is in no image, and its last name was an attribute.
            let is_gone = content.is_some_and(|content| content.stat().is_ok_and(|stat| stat.st_nlink == 0));
            let counts = event.intersects(counting.intersection(OPENED)) || event.intersects(counting) && !is_gone;
            let lost = event.contains(ReadFlags::QUEUE_OVERFLOW);
            if counts || lost {
                self.lock().get_or_insert_with(|| content.map_or_else(|| Touched(PathBuf::from("…")), Content::touched));
            }
            if lost {
                return;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Touched>> {
        // It is whole between any two statements.
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the bytes of a file are that the kernel says this of; none where the tree has them.
    pub(crate) fn of(&self, stat: &Stat) -> Option<&Content> {
        self.files.get(&(stat.st_dev, stat.st_ino))
    }

    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        self.files.values()
    }

    /// Bytes of the kept root.
    ///
    /// # Errors
    /// As for [`ImageReader::fill_by`].
    pub(crate) fn read(&self, window: &mut Window, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.root.as_ref().ok_or(io::ErrorKind::NotFound)?.fill_by(window, buffer, offset)
    }

    /// Nothing is deferred any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
