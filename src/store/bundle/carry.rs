//! A blob's file, copied byte for byte and proven on the way.

use std::io::{self, BufReader, Read, Write};

use crate::digest::Digest;
use crate::format::blob::{self, FRAME_WINDOW_LOG};
use crate::format::bundle::BlobEntry;
use crate::format::{FormatError, skippable};
use crate::progress::{Cancel, Cancelled};
use crate::store::Problem;

/// Raw bytes that are decoded at once.
const STEP: usize = 128 << 10;

/// Why a blob's file could not be copied.
pub(super) enum CarryError {
    /// The source failed.
    Read(io::Error),
    /// The copy could not be written, or what looks at the raw bytes failed.
    Write(io::Error),
    /// The file is not what it should be.
    Blob(Problem),
    /// The user asked to stop.
    Cancelled(Cancelled),
}

/// Copies the file of the blob `entry` from `source` to `out`, and its raw bytes to `raw`. It is proven when this returns, and not before. Exactly
/// `entry.stored_len` bytes are taken from the source. With `head`, the copy begins with that skippable frame instead of its own.
pub(super) fn carry(
    entry: &BlobEntry,
    head: Option<&[u8]>,
    source: &mut dyn Read,
    out: &mut dyn Write,
    raw: &mut dyn Write,
    cancel: &Cancel,
) -> Result<(), CarryError> {
    let mut nowhere = io::sink();
    let own: &mut dyn Write = if head.is_some() { &mut nowhere } else { &mut *out };
    let mut tee = Tee { source: &mut *source, out: own, left: entry.stored_len, failed: None };
    if let Err(problem) = check_head(&mut tee) {
        return Err(tee.error(problem));
    }
    let left = tee.left;
    if let Some(head) = head {
        out.write_all(head).map_err(CarryError::Write)?;
    }
    let tee = Tee { source, out, left, failed: None };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(STEP, tee)).map_err(CarryError::Read)?;
    decoder.window_log_max(FRAME_WINDOW_LOG).map_err(CarryError::Read)?;
    let (mut hasher, mut found_len, mut buffer) = (blake3::Hasher::new(), 0_u64, vec![0; STEP]);
    loop {
        cancel.check().map_err(CarryError::Cancelled)?;
        let read = match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(decoder.get_mut().get_mut().error(Problem::Compression(error))),
        };
        found_len += read as u64;
        if found_len > entry.raw_len {
            return Err(CarryError::Blob(Problem::Length { expected: entry.raw_len, found: found_len }));
        }
        hasher.update(&buffer[..read]);
        raw.write_all(&buffer[..read]).map_err(CarryError::Write)?;
    }
    let left = decoder.get_ref().get_ref().left;
    let found = Digest::from(hasher.finalize());
    let problem = if left > 0 {
        Problem::Length { expected: entry.stored_len, found: entry.stored_len - left }
    } else if found_len != entry.raw_len {
        Problem::Length { expected: entry.raw_len, found: found_len }
    } else if found != entry.digest {
        Problem::Digest { found }
    } else {
        return Ok(());
    };
    Err(CarryError::Blob(problem))
}

/// Reads the skippable frame that a blob's file begins with.
fn check_head(tee: &mut Tee<'_>) -> Result<(), Problem> {
    let cut_off = |_| Problem::Format(FormatError::CutOff { what: "blob header" });
    let mut head = [0; skippable::HEAD_LEN];
    tee.read_exact(&mut head).map_err(cut_off)?;
    let mut content = vec![0; blob::head_content_len(&head).map_err(Problem::Format)?];
    tee.read_exact(&mut content).map_err(cut_off)?;
    blob::decode_head(&content).map(drop).map_err(Problem::Format)
}

/// Reads, and writes what it has read.
struct Tee<'a> {
    source: &'a mut dyn Read,
    out: &'a mut dyn Write,
    left: u64,
    failed: Option<CarryError>,
}

impl Tee<'_> {
    /// The error behind a failed read: that of the source or the copy where there was one, else `problem`.
    fn error(&mut self, problem: Problem) -> CarryError {
        self.failed.take().unwrap_or(CarryError::Blob(problem))
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let copy = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        let read = match self.source.read(&mut buffer[..wanted]) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let told = copy(&error);
                self.failed = Some(CarryError::Read(error));
                return Err(told);
            }
            read => read?,
        };
        if let Err(error) = self.out.write_all(&buffer[..read]) {
            let told = copy(&error);
            self.failed = Some(CarryError::Write(error));
            return Err(told);
        }
        self.left -= read as u64;
        Ok(read)
    }
}
