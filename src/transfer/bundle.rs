//! Bundles leave as files or through a pipe, and come in from either.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::export::free;
use super::partial::{Partial, folder, remove_stale};
use super::{Error, Result};
use crate::cache::bundle::{self, ImportedBundle};
use crate::format::bundle::is_bundle;
use crate::progress::{Cancel, Progress};
use crate::store::{BundlePlan, Store};
use crate::units::ByteSize;

/// The name that stands for standard input and output.
const PIPE: &str = "-";

/// What the name of a bundle ends with, by custom.
const EXTENSION: &str = "bundle";

/// How long a pipe is waited for before the user's wish is looked at again.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Bytes that are read and written at once.
const BUFFER: usize = 1 << 20;

/// How many bytes tell a bundle from other files.
const BEGIN: usize = 16;

/// Writes a bundle to the file `path`. It appears whole under its name or not at all.
///
/// # Errors
/// [`Error::Exists`] for a file that is there, unless `replace` is set; a damaged store; what the operating system says; the user's wish to stop.
pub fn export_bundle(store: &Store, plan: &BundlePlan, path: &Path, replace: bool, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
    check_bundle_path(path, replace)?;
    let dir = folder(path);
    remove_stale(dir).map_err(Error::io("list", dir))?;
    let (needs, room) = (plan.bundle_len(), free(dir)?);
    if needs > room {
        let (missing, needs, free) = (ByteSize(needs - room), ByteSize(needs), ByteSize(room));
        return Err(Error::NoRoom { folder: dir.to_owned(), needs, free, missing });
    }
    let partial = Partial::new(dir).map_err(Error::io("write in", dir))?;
    stream_bundle(store, plan, &mut partial.as_file(), progress, cancel)?;
    partial.publish(path).map_err(Error::io("write", path))?;
    Ok(())
}

/// Refuses a name that a bundle cannot be written to.
///
/// # Errors
/// [`Error::Exists`] and [`Error::NotAFile`].
pub fn check_bundle_path(path: &Path, replace: bool) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => Err(Error::NotAFile(path.to_owned())),
        Ok(_) if !replace => Err(Error::Exists(path.to_owned())),
        _ => Ok(()),
    }
}

/// Writes a bundle to a stream. What was written before an error is of no use, and an import refuses it.
///
/// # Errors
/// As for [`export_bundle`].
pub fn stream_bundle(store: &Store, plan: &BundlePlan, out: &mut dyn Write, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, out);
    Ok(bundle::write(store, plan, &mut out, progress, cancel)?)
}

/// A file that begins as a bundle does.
pub struct BundleFile(Box<dyn Read + Send>);

/// Opens the file `path`, where “-” is standard input, if it is a bundle: if it begins as one does, or is called one. Standard input can be nothing
/// else.
///
/// # Errors
/// A file that cannot be read.
pub fn open_bundle(path: &Path, cancel: &Cancel) -> Result<Option<BundleFile>> {
    if path == Path::new(PIPE) {
        return Ok(Some(BundleFile(Box::new(BufReader::with_capacity(BUFFER, Pipe { cancel: cancel.clone() })))));
    }
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut begin = Vec::with_capacity(BEGIN);
    (&mut file).take(BEGIN as u64).read_to_end(&mut begin).map_err(Error::io("read", path))?;
    // A damaged bundle is no disk image.
    let called = path.extension().is_some_and(|extension| extension == EXTENSION);
    Ok((called || is_bundle(&begin)).then(|| BundleFile(Box::new(Cursor::new(begin).chain(BufReader::with_capacity(BUFFER, file))))))
}

/// Takes in what is missing of a bundle.
///
/// # Errors
/// As for [`bundle::import`].
pub fn import_bundle(store: &Store, file: BundleFile, replace: bool, progress: &dyn Progress, cancel: &Cancel) -> Result<ImportedBundle> {
    let BundleFile(mut source) = file;
    let outcome = bundle::import(store, &mut *source, replace, progress, cancel);
    // Where the pipe noticed it first, it is told as what it is.
    if outcome.is_err() {
        cancel.check()?;
    }
    Ok(outcome?)
}

/// Standard input, of which nothing is awaited any more once the user asked to stop: whoever writes to it may never go on.
struct Pipe {
    cancel: Cancel,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        loop {
            self.cancel.check().map_err(io::Error::other)?;
            let mut asked = [PollFd::new(&stdin, PollFlags::IN)];
            match rustix::event::poll(&mut asked, Some(&PATIENCE)) {
                Ok(0) | Err(Errno::INTR) => {}
                // Not through the buffer of the standard library, of which poll knows nothing.
                Ok(_) => return Ok(rustix::io::read(&stdin, &mut *buffer)?),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
