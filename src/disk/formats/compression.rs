//! A whole file compressed: with gzip (RFC 1952), bzip2, xz or zstd (RFC 8878), as independent members or frames that are made on all threads and that
//! every decoder of the format reads one after the other, or as one, for kernels; and files of other programs decompressed, within bounds.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use rayon::prelude::*;

use super::{Bounds, Error, Out, Problem, Raw, Result};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::units::ByteSize;
use crate::writing;

/// How a file is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// bzip2.
    Bz2,
    /// gzip.
    Gz,
    /// xz.
    Xz,
    /// zstd.
    Zst,
}

/// Of how many frames a compressed file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// As many as make work for all threads.
    Many,
    /// One, with what Linux can decompress when it starts: of the checksums of xz it knows CRC32 alone (`lib/xz/xz_dec_stream.c`).
    One,
}

/// Frames that are compressed at the same time, for each thread.
const FRAMES: usize = 2;

/// What zstd's frames begin with: its own, and those that decoders step over.
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// The largest window that a frame of zstd may ask for: 128 MiB, as `zstd` allows by default.
const WINDOW_LOG: u32 = 27;

/// What xz may take to decompress: its largest preset (`-9`) needs 65 MiB, `--lzma2=dict=128MiB` twice that.
const XZ_MEMORY: u64 = 256 << 20;

/// Bytes decompressed at a time.
const BUFFER: usize = 1 << 20;

impl Compression {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bz2, Self::Gz, Self::Xz, Self::Zst];

    /// How the names of such files end, and what they are called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bz2 => "bz2",
            Self::Gz => "gz",
            Self::Xz => "xz",
            Self::Zst => "zst",
        }
    }

    /// The one with this ending, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.name().eq_ignore_ascii_case(name))
    }

    /// How a file that begins so is compressed, if it is.
    pub fn of_head(head: &[u8]) -> Option<Self> {
        let is_skippable = head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == SKIPPABLE;
        match () {
            () if head.starts_with(&MAGIC) || is_skippable => Some(Self::Zst),
            () if head.starts_with(b"\x1f\x8b\x08") => Some(Self::Gz),
            () if head.starts_with(b"\xfd7zXZ\0") => Some(Self::Xz),
            () if head.starts_with(b"BZh") => Some(Self::Bz2),
            () => None,
        }
    }

    /// Raw bytes of a frame. Small enough that any decoder's default window holds it; xz takes more together, because its dictionary is what it is for.
    fn frame_len(self) -> u64 {
        if self == Self::Xz { 16 << 20 } else { 4 << 20 }
    }

    /// A frame at the level that the format's own program has by default.
    fn frame(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gz => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Bz2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Zst => {
                let mut compressor = zstd::bulk::Compressor::new(3)?;
                compressor.include_checksum(true)?;
                compressor.compress(bytes)
            }
        }
    }

    fn decoder<'r>(self, reader: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Self::Gz => Box::new(flate2::read::MultiGzDecoder::new(reader)),
            Self::Bz2 => Box::new(bzip2::read::MultiBzDecoder::new(reader)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::read::XzDecoder::new_stream(reader, stream))
            }
            Self::Zst => {
                let mut decoder = zstd::stream::read::Decoder::new(reader)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Compresses a file. Reports its bytes as [`Phase::Compress`]. The same file gives the same bytes, whatever the number of threads.
///
/// # Errors
/// What the operating system says, the user's wish to stop.
pub fn compress(
    (how, frames): (Compression, Frames),
    raw: Raw<'_>,
    (out, path): (&File, &Path),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<()> {
    progress.report(Event::Start { phase: Phase::Compress, total: Some(raw.len()) });
    writing::empty(out).map_err(Error::io("empty", path))?;
    let mut out = io::BufWriter::new(out);
    match frames {
        Frames::Many => many_frames(how, raw, (&mut out, path), progress, cancel)?,
        Frames::One => one_frame(how, raw, (&mut out, path), progress, cancel)?,
    }
    out.flush().map_err(Error::io("write", path))?;
    progress.report(Event::Finish { phase: Phase::Compress });
    Ok(())
}

type Sink<'o, 'f> = (&'o mut io::BufWriter<&'f File>, &'o Path);

fn one_frame(how: Compression, raw: Raw<'_>, (out, path): Sink<'_, '_>, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
    let pour = |encoder: &mut dyn io::Write| {
        let mut buffer = vec![0; BUFFER];
        let mut done = 0;
        while done < raw.len() {
            cancel.check()?;
            let len = (raw.len() - done).min(BUFFER as u64);
            raw.read(&mut buffer[..len as usize], done)?;
            encoder.write_all(&buffer[..len as usize]).map_err(Error::io("write", path))?;
            done += len;
            progress.report(Event::Advance { phase: Phase::Compress, by: len });
        }
        Ok::<_, Error>(())
    };
    match how {
        Compression::Gz => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(6));
            pour(&mut encoder)?;
            encoder.finish().map(drop)
        }
        Compression::Bz2 => {
            let mut encoder = bzip2::write::BzEncoder::new(out, bzip2::Compression::best());
            pour(&mut encoder)?;
            encoder.finish().map(drop)
        }
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_easy_encoder(6, liblzma::stream::Check::Crc32);
            let mut encoder = liblzma::write::XzEncoder::new_stream(out, stream.map_err(Error::io("compress", path))?);
            pour(&mut encoder)?;
            encoder.finish().map(drop)
        }
        Compression::Zst => {
            let mut encoder = zstd::stream::write::Encoder::new(out, 3).map_err(Error::io("compress", path))?;
            encoder.include_checksum(true).map_err(Error::io("compress", path))?;
            pour(&mut encoder)?;
            encoder.finish().map(drop)
        }
    }
    .map_err(Error::io("write", path))
}

fn many_frames(how: Compression, raw: Raw<'_>, (out, path): Sink<'_, '_>, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
    let frame_len = how.frame_len();
    // An empty file is an empty frame, so that the result is a valid file of its format.
    let count = raw.len().div_ceil(frame_len).max(1);
    let hole = how.frame(&vec![0; frame_len as usize]).map_err(Error::io("compress", path))?;
    let numbers: Vec<u64> = (0..count).collect();
    for batch in numbers.chunks(rayon::current_num_threads() * FRAMES) {
        cancel.check()?;
        let frames: Vec<Option<Vec<u8>>> = batch
            .par_iter()
            .map(|number| {
                let offset = number * frame_len;
                let len = (raw.len() - offset).min(frame_len);
                // A frame in a hole is not read.
                if len == frame_len && raw.next_data(offset)?.is_none_or(|data| data >= offset + frame_len) {
                    return Ok(None);
                }
                let mut bytes = vec![0; len as usize];
                raw.read(&mut bytes, offset)?;
                how.frame(&bytes).map(Some).map_err(Error::io("compress", path))
            })
            .collect::<Result<_>>()?;
        for (number, frame) in batch.iter().zip(&frames) {
            writing::write_all(out, frame.as_ref().unwrap_or(&hole)).map_err(Error::io("write", path))?;
            progress.report(Event::Advance { phase: Phase::Compress, by: (raw.len() - number * frame_len).min(frame_len) });
        }
    }
    Ok(())
}

/// Decompresses all frames of a file into `out`, zeros as holes, and returns how many bytes they have. Reports the bytes of the file as [`Phase::Read`].
///
/// # Errors
/// Bytes that are no frames or frames that need too much memory, more bytes than `bounds` allow, what the operating system says, the user's wish to stop.
pub fn decompress(
    how: Compression,
    (file, path): (&File, &Path),
    (out, out_path): (&File, &Path),
    bounds: Bounds,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<u64> {
    let unreadable = |problem| Error::Unreadable { path: path.to_owned(), name: how.name(), problem };
    let len = file.metadata().map_err(Error::io("inspect", path))?.len();
    progress.report(Event::Start { phase: Phase::Read, total: Some(len) });
    let counted = Counted { file, progress };
    let mut decoder = how.decoder(counted).map_err(|error| unreadable(Problem::Io(error)))?;
    let out = Out::new(out, out_path)?;
    let mut buffer = vec![0; BUFFER];
    let (mut offset, mut written) = (0, 0);
    loop {
        cancel.check()?;
        let read = fill(&mut decoder, &mut buffer).map_err(|error| unreadable(of_decoder(how, error)))?;
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

fn of_decoder(how: Compression, error: io::Error) -> Problem {
    let text = error.to_string();
    if error.raw_os_error().is_some() {
        Problem::Io(error)
    } else if error.kind() == io::ErrorKind::UnexpectedEof {
        Problem::CutOff
    } else if text.contains("too much memory") {
        Problem::Unsupported { what: "it needs a window of more than 128 MiB".to_owned(), hint: "decompress it first: zstd -d --long=31 OLD" }
    } else if how == Compression::Xz && text.contains("memory") {
        Problem::Unsupported { what: "it needs more than 256 MiB to be decompressed".to_owned(), hint: "decompress it first: unxz OLD" }
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
