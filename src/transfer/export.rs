//! Writes a kept image as a file that other programs open.

use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use super::convert::convert;
use super::partial::{Partial, folder, remove_stale};
use super::{Error, Result};
use crate::cache::{ImageCache, ImageRecord};
use crate::disk::formats::{self, FileFormat, Format, Raw, compression};
use crate::progress::{Cancel, Event, Progress};
use crate::store::{Output, Store};
use crate::units::ByteSize;

/// Bytes given to a stream at a time.
const BUFFER: usize = 1 << 20;

/// What an export will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The image.
    pub image: ImageRecord,
    /// The file to write.
    pub path: PathBuf,
    /// Its format.
    pub format: FileFormat,
    /// Whether it takes the place of a file that is there.
    pub replaces: bool,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What was planned.
    pub plan: Plan,
    /// The length of the file.
    pub size: ByteSize,
    /// The bytes that it takes on the disk, holes left out.
    pub allocated: ByteSize,
}

impl Plan {
    /// Decides how to write an image to `path`: in the format that its name says unless `format` does. A file that is there is replaced only if `force` is
    /// set.
    ///
    /// # Errors
    /// A name without a format, a file that is there, too little room.
    pub fn new(image: ImageRecord, path: &Path, format: Option<FileFormat>, force: bool) -> Result<Self> {
        let format = format.or_else(|| FileFormat::of_path(path)).ok_or_else(|| Error::NoFormat(path.to_owned()))?;
        let (path, replaces) = match path.metadata() {
            Ok(found) if !found.is_file() => return Err(Error::NotAFile(path.to_owned())),
            Ok(_) if !force => return Err(Error::Exists(path.to_owned())),
            // Behind a link is the file that is meant.
            Ok(_) => (path.canonicalize().map_err(Error::io("inspect", path))?, true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), false),
            Err(error) => return Err(Error::io("inspect", path)(error)),
        };
        formats::check_size(image.raw_len, format.contents)?;
        check_room(folder(&path), &image, format)?;
        Ok(Self { image, path, format, replaces })
    }
}

/// Writes the file, every byte verified. On an error nothing of it is left, and a file that was there stays.
///
/// # Errors
/// A damaged image, a disk whose size the format cannot hold, what the operating system says, the user's wish to stop.
pub fn export(store: &Store, plan: Plan, progress: &dyn Progress, cancel: &Cancel) -> Result<Exported> {
    let dir = folder(&plan.path);
    remove_stale(dir).map_err(Error::io("list", dir))?;
    let partial = make(store, &plan.image, plan.format, (dir, true), progress, cancel)?;
    let (size, allocated) = partial.publish(&plan.path).map_err(Error::io("write", &plan.path))?;
    mark_used(store, &plan.image, progress);
    Ok(Exported { plan, size: ByteSize(size), allocated: ByteSize(allocated) })
}

/// What goes to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The image.
    pub image: ImageRecord,
    /// In which format.
    pub format: FileFormat,
}

/// Writes an image to a stream, every byte verified before the first is given away. Returns how many bytes that were.
///
/// # Errors
/// As [`export`]; and [`Error::Io`] on “standard output” where the stream is closed.
pub fn stream(store: &Store, what: &Stream, out: &mut dyn Write, progress: &dyn Progress, cancel: &Cancel) -> Result<ByteSize> {
    formats::check_size(what.image.raw_len, what.format.contents)?;
    let scratch = store.scratch()?;
    check_room(scratch.path(), &what.image, what.format)?;
    let partial = make(store, &what.image, what.format, (scratch.path(), false), progress, cancel)?;
    let mut file = partial.as_file();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    file.rewind().map_err(Error::io("read", partial.path()))?;
    loop {
        cancel.check()?;
        let read = file.read(&mut buffer).map_err(Error::io("read", partial.path()))?;
        if read == 0 {
            break;
        }
        out.write_all(&buffer[..read]).map_err(Error::io("write to", Path::new("standard output")))?;
        size += read as u64;
    }
    out.flush().map_err(Error::io("write to", Path::new("standard output")))?;
    mark_used(store, &what.image, progress);
    Ok(ByteSize(size))
}

/// A finished file without a name in a folder, and whether it will get one.
fn make(
    store: &Store,
    image: &ImageRecord,
    format: FileFormat,
    (dir, stays): (&Path, bool),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Partial> {
    let new = || Partial::new(dir).map_err(Error::io("write in", dir));
    let mut partial = new()?;
    let out = Output { file: partial.as_file(), path: partial.path(), stays: stays && format == FileFormat::from(Format::Raw) };
    ImageCache::new(store).write_to(image, out, progress, cancel)?;
    if !format.is_raw_inside() {
        let converted = new()?;
        convert::<Error>(&partial, &converted, format.contents, image.raw_digest, progress, cancel)?;
        partial = converted;
    }
    if let Some(how) = format.compression {
        let compressed = new()?;
        let raw = Raw::new(partial.as_file(), partial.path())?;
        compression::compress((how, format.frames()), raw, (compressed.as_file(), compressed.path()), progress, cancel)?;
        partial = compressed;
    }
    Ok(partial)
}

/// An export is a use. The file is there already: that a store which cannot be written to does not learn of it is no failure.
fn mark_used(store: &Store, image: &ImageRecord, progress: &dyn Progress) {
    ImageCache::new(store).mark_used(&image.spec_hash);
    if let Err(error) = store.flush() {
        progress.report(Event::Warning(&format!("the store could not note that {} was used: {error}", image.spec_hash.short())));
    }
}

/// Refuses what cannot fit. What a file takes besides the image's data is little, and what compression leaves is not known: neither is counted.
fn check_room(dir: &Path, image: &ImageRecord, format: FileFormat) -> Result<()> {
    let free = free(dir)?;
    // The raw disk is there first, and stays until it is in the other format.
    let needs = image.data_len.saturating_mul(if format.is_raw_inside() { 1 } else { 2 });
    if needs <= free {
        return Ok(());
    }
    let (missing, needs, free) = (ByteSize(needs - free), ByteSize(needs), ByteSize(free));
    Err(Error::NoRoom { folder: dir.to_owned(), needs, free, missing })
}

/// The bytes that a folder's file system has room for.
pub(super) fn free(dir: &Path) -> Result<u64> {
    let room = rustix::fs::statvfs(dir).map_err(Error::io("inspect", dir))?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}
