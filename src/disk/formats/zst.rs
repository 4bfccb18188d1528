//! A whole file compressed with zstd (RFC 8878): independent frames, made on all threads; and files of other programs decompressed, within bounds.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use rayon::prelude::*;

use super::{Bounds, Error, Out, Problem, Raw, Result};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::units::ByteSize;

/// Raw bytes of a frame. Small enough that any decoder's default window holds it.
const FRAME: u64 = 4 << 20;

/// The level that `zstd` has by default.
const LEVEL: i32 = 3;

/// Frames that are compressed at the same time, for each thread.
const FRAMES: usize = 2;

/// What frames begin with: zstd's own, and those that decoders step over.
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// The largest window that a frame may ask for: 128 MiB, as `zstd` allows by default.
const WINDOW_LOG: u32 = 27;

/// Bytes decompressed at a time.
const BUFFER: usize = 1 << 20;

/// Whether a file that begins so is compressed with zstd.
pub fn is_zst(head: &[u8]) -> bool {
    head.starts_with(&MAGIC) || head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == SKIPPABLE
}

/// Compresses a file. Reports its bytes as [`Phase::Compress`]. The same file gives the same bytes, whatever the number of threads.
///
/// # Errors
/// What the operating system says, the user's wish to stop.
pub fn compress(raw: Raw<'_>, (out, path): (&File, &Path), progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
    progress.report(Event::Start { phase: Phase::Compress, total: Some(raw.len()) });
    out.set_len(0).map_err(Error::io("empty", path))?;
    let mut out = io::BufWriter::new(out);
    // An empty file is an empty frame, so that the result is a valid file of zstd.
    let count = raw.len().div_ceil(FRAME).max(1);
    let hole = frame(&vec![0; FRAME as usize]).map_err(Error::io("compress", path))?;
    let numbers: Vec<u64> = (0..count).collect();
    for batch in numbers.chunks(rayon::current_num_threads() * FRAMES) {
        cancel.check()?;
        let frames: Vec<Option<Vec<u8>>> = batch
            .par_iter()
            .map(|number| {
                let offset = number * FRAME;
                let len = (raw.len() - offset).min(FRAME);
                // A frame in a hole is not read.
                if len == FRAME && raw.next_data(offset)?.is_none_or(|data| data >= offset + FRAME) {
                    return Ok(None);
                }
                let mut bytes = vec![0; len as usize];
                raw.read(&mut bytes, offset)?;
                frame(&bytes).map(Some).map_err(Error::io("compress", path))
            })
            .collect::<Result<_>>()?;
        for (number, frame) in batch.iter().zip(&frames) {
            out.write_all(frame.as_ref().unwrap_or(&hole)).map_err(Error::io("write", path))?;
            progress.report(Event::Advance { phase: Phase::Compress, by: (raw.len() - number * FRAME).min(FRAME) });
        }
    }
    out.flush().map_err(Error::io("write", path))?;
    progress.report(Event::Finish { phase: Phase::Compress });
    Ok(())
}

fn frame(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    compressor.compress(bytes)
}

/// Decompresses all frames of a file into `out`, zeros as holes, and returns how many bytes they have. Reports the bytes of the file as [`Phase::Read`].
///
/// # Errors
/// Bytes that are no frames or frames with too large a window, more bytes than `bounds` allow, what the operating system says, the user's wish to stop.
pub fn decompress(
    (file, path): (&File, &Path),
    (out, out_path): (&File, &Path),
    bounds: Bounds,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<u64> {
    let unreadable = |problem| Error::Unreadable { path: path.to_owned(), name: "zst", problem };
    let len = file.metadata().map_err(Error::io("inspect", path))?.len();
    progress.report(Event::Start { phase: Phase::Read, total: Some(len) });
    let counted = Counted { file, progress };
    let mut decoder = zstd::stream::read::Decoder::new(counted).map_err(|error| unreadable(Problem::Io(error)))?;
    decoder.window_log_max(WINDOW_LOG).map_err(|error| unreadable(Problem::Io(error)))?;
    let out = Out::new(out, out_path)?;
    let mut buffer = vec![0; BUFFER];
    let (mut offset, mut written) = (0, 0);
    loop {
        cancel.check()?;
        let read = fill(&mut decoder, &mut buffer).map_err(|error| unreadable(of_decoder(error)))?;
        if read == 0 {
            break;
        }
        if offset + read as u64 > bounds.max_len {
            return Err(Error::TooLong { path: path.to_owned(), limit: ByteSize(bounds.max_len) });
        }
        written += out.put_sparse(offset, &buffer[..read])?;
        offset += read as u64;
        if written > bounds.room {
            return Err(bounds.no_room(path, out_path, written));
        }
    }
    out.set_len(offset)?;
    progress.report(Event::Finish { phase: Phase::Read });
    Ok(offset)
}

/// Reads until the buffer is full or the end is reached.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn of_decoder(error: io::Error) -> Problem {
    if error.raw_os_error().is_some() {
        Problem::Io(error)
    } else if error.kind() == io::ErrorKind::UnexpectedEof {
        Problem::CutOff
    } else if error.to_string().contains("too much memory") {
        Problem::Unsupported { what: "it needs a window of more than 128 MiB".to_owned(), hint: "decompress it first: zstd -d --long=31 OLD" }
    } else {
        Problem::Compression(error)
    }
}

/// A file whose bytes are counted as they are read.
struct Counted<'a> {
    file: &'a File,
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.progress.report(Event::Advance { phase: Phase::Read, by: read as u64 });
        Ok(read)
    }
}
