//! Whole blobs on their way out: every byte is checked.
//!
//! zstd's own checksum guards each frame of at most 4 MiB before its bytes are handed out, and the digest of the whole is checked at the end. A reader
//! that returned the end of the file has proven all bytes that it returned; [`BlobReader::finish`] proves the rest for those who stop earlier.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::error::{Damage, Error, Object, Problem, Result};
use crate::digest::Digest;
use crate::format::blob::{self, FRAME_WINDOW_LOG, Header};
use crate::format::skippable;

/// How many times the length of its file a blob may well have: so much memory is set aside before it is read. None of it is touched before there is something for it.
const RESERVED: u64 = 16;

type Decoder = zstd::stream::read::Decoder<'static, BufReader<File>>;

/// Reads one blob, and checks it. An error of kind [`io::ErrorKind::InvalidData`] has a [`Damage`] inside.
pub struct BlobReader {
    decoder: Decoder,
    header: Header,
    expected: Digest,
    hasher: blake3::Hasher,
    path: PathBuf,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Proven,
    Broken,
}

/// Opens a blob file by its path, for processes that have no index. Nothing is trusted but `expected`.
///
/// # Errors
/// [`Error::Damaged`] for a missing file and for one that does not begin as a blob does; [`Error::Io`] for one that this process may not open, or for which
/// it has no room.
pub fn open_file(path: &Path, expected: &Digest) -> Result<BlobReader> {
    BlobReader::open(path, expected).map_err(|problem| match problem {
        Problem::Unreadable(error) if is_of_process(&error) => Error::io("open", path)(error),
        problem => damage(path, expected, problem).into(),
    })
}

/// Whether an error says nothing of the file: another user, or this process a moment later, can read it.
fn is_of_process(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ACCESS | Errno::PERM | Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

fn damage(path: &Path, digest: &Digest, problem: Problem) -> Damage {
    Damage { object: Object::Blob(*digest), path: path.to_owned(), problem }
}

impl BlobReader {
    fn open(path: &Path, expected: &Digest) -> Result<Self, Problem> {
        let mut file = super::blob::open_if_there(path).map_err(Problem::Unreadable)?.ok_or(Problem::Missing)?;
        let mut head = [0; skippable::HEAD_LEN];
        read_exactly(&mut file, &mut head)?;
        let mut content = vec![0; blob::head_content_len(&head).map_err(Problem::Format)?];
        read_exactly(&mut file, &mut content)?;
        let header = blob::decode_head(&content).map_err(Problem::Format)?;
        let mut decoder = Decoder::new(file).map_err(Problem::Unreadable)?;
        decoder.window_log_max(FRAME_WINDOW_LOG).map_err(Problem::Unreadable)?;
        Ok(Self { decoder, header, expected: *expected, hasher: blake3::Hasher::new(), path: path.to_owned(), state: State::Reading })
    }

    /// What the blob says it is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads to the end, and so proves all that was read.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the content is not what its digest says.
    pub fn finish(mut self) -> Result<()> {
        io::copy(&mut self, &mut io::sink()).map(drop).map_err(|error| self.unwrap_damage(error))
    }

    /// Reads all into memory, `limit` bytes at most.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the content is not what its digest says, or longer than `limit`.
    pub(crate) fn read_all(mut self, limit: u64) -> Result<Vec<u8>> {
        // What grows step by step is copied, and its memory touched, twice.
        let stored_len = self.decoder.get_ref().get_ref().metadata().map_or(0, |file| file.len());
        let mut bytes = Vec::with_capacity(usize::try_from(limit.saturating_add(1).min(stored_len.saturating_mul(RESERVED))).unwrap_or_default());
        let read = (&mut self).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| self.unwrap_damage(error))?;
        if read as u64 > limit {
            return Err(damage(&self.path, &self.expected, Problem::Length { expected: limit, found: read as u64 }).into());
        }
        Ok(bytes)
    }

    fn unwrap_damage(&self, error: io::Error) -> Error {
        match error.downcast::<Damage>() {
            Ok(damage) => damage.into(),
            Err(error) => damage(&self.path, &self.expected, Problem::Unreadable(error)).into(),
        }
    }

    fn fail(&mut self, problem: Problem) -> io::Error {
        self.state = State::Broken;
        io::Error::new(io::ErrorKind::InvalidData, damage(&self.path, &self.expected, problem))
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.state {
            State::Proven => return Ok(0),
            State::Broken => return Err(io::Error::new(io::ErrorKind::InvalidData, "the blob is damaged")),
            State::Reading if buffer.is_empty() => return Ok(0),
            State::Reading => {}
        }
        match self.decoder.read(buffer) {
            Ok(0) => {
                let found = Digest::from(self.hasher.finalize());
                if found != self.expected {
                    return Err(self.fail(Problem::Digest { found }));
                }
                self.state = State::Proven;
                Ok(0)
            }
            Ok(read) => {
                self.hasher.update(&buffer[..read]);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            // An error number comes from the device, anything else from the decoder.
            Err(error) if error.raw_os_error().is_some() => Err(self.fail(Problem::Unreadable(error))),
            Err(error) => Err(self.fail(Problem::Compression(error))),
        }
    }
}

fn read_exactly(file: &mut File, buffer: &mut [u8]) -> Result<(), Problem> {
    file.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Problem::Format(crate::format::FormatError::CutOff { what: "blob header" }),
        _ => Problem::Unreadable(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_user_can_read_is_not_damaged() {
        for (errno, of_process) in [(Errno::ACCESS, true), (Errno::MFILE, true), (Errno::IO, false), (Errno::ISDIR, false)] {
            assert_eq!(is_of_process(&errno.into()), of_process, "{errno}");
        }
    }
}
