//! What is looked into: an image of the cache, or a file in any format that is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::problem::Problem;
use crate::cache::{self, ImageCache, ImageRecord};
use crate::digest::Digest;
use crate::disk::formats::{self, Bounds, Compression, DiskSource, FileFormat, FileSource, Format, Source, compression};
use crate::format::cbor;
use crate::format::manifest::IMAGE_LIMIT;
use crate::progress::{Cancel, Progress};
use crate::resolve::Lock;
use crate::store::{Damage, ImageReader, Store};

/// Room that is left for others when a file is unpacked.
const SPARE: u64 = 64 << 20;

/// The longest lock that is read, in bytes.
const LOCK_LIMIT: usize = 64 << 20;

/// An image that is open for looking into.
pub struct Input<'s> {
    name: String,
    what: What<'s>,
}

enum What<'s> {
    File { path: PathBuf, source: FileSource, format: Format, compression: Option<Compression>, _unpacked: Option<tempfile::NamedTempFile> },
    Image { store: &'s Store, record: Box<ImageRecord>, reader: Box<ImageReader>, lock: Option<Lock> },
}

/// An image of the store as bytes at offsets.
struct StoreSource<'a>(&'a ImageReader);

impl Source for StoreSource<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.fill(buffer, offset)
    }
}

impl<'s> Input<'s> {
    /// Opens a file. What is compressed as a whole is unpacked among the temporary files, which lasts as long as this value.
    ///
    /// # Errors
    /// A file that cannot be read as a disk, no room, the user's wish to stop.
    pub fn file(path: &Path, progress: &dyn Progress, cancel: &Cancel) -> Result<Self> {
        // A pipe would never answer.
        if !std::fs::metadata(path).map_err(Error::io("open", path))?.is_file() {
            return Err(Error::NotAFile(path.to_owned()));
        }
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let mut head = [0; 8];
        let len = file.read_at(&mut head, 0).map_err(Error::io("read", path))?;
        let compression = Compression::of_head(&head[..len]);
        let mut unpacked = None;
        if let Some(how) = compression {
            let out = tempfile::Builder::new().prefix("image-composer-").tempfile().map_err(Error::io("write in", &std::env::temp_dir()))?;
            let free = rustix::fs::fstatvfs(out.as_file()).map_err(Error::io("inspect", out.path()))?;
            let room = free.f_bavail.saturating_mul(free.f_frsize).saturating_sub(SPARE);
            compression::decompress(how, (&file, path), (out.as_file(), out.path()), Bounds { max_len: IMAGE_LIMIT, room }, progress, cancel)?;
            file = out.reopen().map_err(Error::io("open", out.path()))?;
            unpacked = Some(out);
        }
        let source = FileSource::new(file).map_err(Error::io("inspect", path))?;
        if source.is_empty() {
            return Err(Error::Empty(path.to_owned()));
        }
        let unreadable = |name| move |problem| formats::Error::Unreadable { path: path.to_owned(), name, problem };
        let format = formats::recognise(&source).map_err(unreadable("a disk image"))?;
        formats::open(&source, format).map_err(unreadable(format.name()))?;
        Ok(Self { name: path.display().to_string(), what: What::File { path: path.to_owned(), source, format, compression, _unpacked: unpacked } })
    }

    /// Opens an image of the cache.
    ///
    /// # Errors
    /// [`cache::Error::Store`] for one that is damaged.
    pub fn image(store: &'s Store, record: ImageRecord) -> Result<Self> {
        let cache = ImageCache::new(store);
        let reader = cache.reader(&record)?;
        // An image that was imported has no packages that anybody knows.
        let lock = match cache.read_lock(&record) {
            Ok(bytes) => cbor::decode(&bytes, LOCK_LIMIT).ok().filter(|_| record.imported.is_none()),
            Err(error) if error.is_damage() => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { name: record.spec_hash.short(), what: What::Image { store, record: Box::new(record), reader: Box::new(reader), lock } })
    }

    /// The same under another name.
    #[must_use = "it is the value that is called so"]
    pub fn called(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// How it is called in messages: the path, or the short id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The image of the cache that it is.
    pub fn record(&self) -> Option<&ImageRecord> {
        if let What::Image { record, .. } = &self.what { Some(record) } else { None }
    }

    /// The format of the file that it is.
    pub fn format(&self) -> Option<FileFormat> {
        let What::File { format, compression, .. } = self.what else { return None };
        Some(FileFormat { contents: format.into(), compression })
    }

    /// The packages that are kept with it.
    pub(super) fn lock(&self) -> Option<&Lock> {
        if let What::Image { lock, .. } = &self.what { lock.as_ref() } else { None }
    }

    /// The digest of the disk, where it is known already.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.record().map(|record| record.raw_digest)
    }

    /// Does something with its disk.
    pub(super) fn with<T>(&self, then: impl FnOnce(&dyn Source) -> Result<T>) -> Result<T> {
        match &self.what {
            What::Image { reader, .. } => then(&StoreSource(reader)),
            What::File { source, format: Format::Raw, .. } => then(source),
            What::File { source, format, path, .. } => {
                let unreadable = |problem| formats::Error::Unreadable { path: path.clone(), name: format.name(), problem };
                then(&DiskSource::new(formats::open(source, *format).map_err(unreadable)?))
            }
        }
    }

    /// The error of a part that cannot be read.
    pub(super) fn error(&self, place: &str, problem: Problem) -> Error {
        let io = match problem {
            Problem::Io(error) => error,
            Problem::Cancelled(cancelled) => return cancelled.into(),
            problem => return Error::Damaged { image: self.name.clone(), place: place.to_owned(), problem },
        };
        match &self.what {
            What::Image { store, record, .. } => match io.downcast::<Damage>() {
                Ok(damage) => {
                    let again = Damage { object: damage.object, path: damage.path.clone(), problem: damage.problem.again() };
                    match ImageCache::new(store).note_damage(record, again) {
                        Ok(()) => cache::Error::Store(damage.into()).into(),
                        Err(error) => error.into(),
                    }
                }
                Err(source) => Error::Io { action: "read", path: store.dir().to_owned(), source },
            },
            What::File { path, format, .. } => match io.downcast::<formats::Problem>() {
                Ok(problem) => formats::Error::Unreadable { path: path.clone(), name: format.name(), problem }.into(),
                Err(source) => Error::Io { action: "read", path: path.clone(), source },
            },
        }
    }
}
