//! Cuts a disk image into chunks and holes by its content.
//!
//! ```text
//!  disk ─► zeros found ─┬─ data of files ───► small ones in groups, larger ones alone ─┐
//!     │                 └─ all else ────────► gathered ────────────────────────────────┴─► chunks
//!     └─► file systems (files.rs, ext4.rs) ─► where files lie
//! ```
//!
//! Zeros are found in blocks of 4 KiB, whether the file system left them out or not, so that a sparse file and its full copy are cut alike. A run of
//! 32 KiB or more is a hole.
//!
//! Cut by content alone, a chunk straddles several small files, and each file that changes takes its neighbours along. So where the disk has a file system
//! that we can read, chunks begin and end where files do: a file of 32 KiB and more is cut alone, by FastCDC from its own start; smaller ones go into groups
//! of neighbours, which end where a file's own digest says so. What lies between (inode tables, folders, bitmaps: numbers of blocks and inodes, all
//! different after a small change) is gathered, so that it is in nobody's way; a chunk of it has its parts in several places of the disk. Where nothing is
//! known, all is cut by FastCDC from hole to hole.
//!
//! Of a file that another image has, too, the chunks may be known ([`Known`]): then it is not cut again.
//!
//! Work goes window by window, so that memory stays bounded; the window's borders leave no trace in the cuts.

mod ext4;
mod files;
mod sparse;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use fastcdc::v2020::FastCDC;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use self::files::Files;
use self::sparse::SparseHasher;
use super::error::{Error, Result};
use crate::digest::Digest;
use crate::progress::Cancel;

/// Chunk lengths: at least, on average, at most. Changing them makes new images share nothing with stored ones, which stay readable.
const CHUNK_MIN: usize = 32 << 10;
const CHUNK_AVERAGE: usize = 128 << 10;
const CHUNK_MAX: usize = 512 << 10;

/// From this length on a file is cut alone.
const LARGE: u64 = CHUNK_MIN as u64;

/// Groups of small files have this length on average.
const GROUP_AVERAGE: u64 = 128 << 10;

/// Zeros are found in blocks of this length: that of the file systems we build.
const BLOCK: u64 = 4 << 10;

/// The shortest run of zeros that is a hole.
const HOLE_MIN: u64 = CHUNK_MIN as u64;

/// New data in one window, in bytes. Two windows and their compressed chunks are in memory at a time.
const WINDOW: usize = 16 << 20;

/// How much is read at once.
const READ_LEN: usize = 1 << 20;

/// How much of a hole is taken in at once, in bytes: where its zeros must be hashed, that takes its time.
const HOLE_LEN: u64 = 1 << 30;

static ZEROS: [u8; READ_LEN] = [0; READ_LEN];

/// Which chunks a byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Those of files.
    Files,
    /// Those of all else.
    Rest,
}

/// A part of an image, in the order of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many zeros.
    Hole(u64),
    /// So many bytes: the next of the chunks of this kind, in their order. They may be in a later window.
    Data(Kind, u64),
}

/// A chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk<'a> {
    /// One that was cut.
    Cut(&'a [u8]),
    /// One that was known, and its length in bytes.
    Known(Digest, u32),
}

/// Files whose chunks are known, by where they begin on the disk: where they end, to the end of their last block, and their chunks with their lengths in bytes.
/// Together these are as long as the file.
pub(crate) type Known = HashMap<u64, (u64, Vec<(Digest, u32)>)>;

/// Pieces, and chunks that are complete.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) pieces: Vec<Piece>,
    /// Bytes of the image that the pieces cover.
    pub(crate) covered: u64,
    /// Bytes of those whose chunks were known.
    known: usize,
    files: Lane,
    rest: Lane,
}

impl Window {
    /// The complete chunks, those of each kind in their order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (Kind, Chunk<'_>)> {
        let chunks = |kind| {
            let lane = self.lane(kind);
            lane.chunks.iter().map(move |place| (kind, lane.chunk(place)))
        };
        chunks(Kind::Files).chain(chunks(Kind::Rest))
    }

    fn lane(&self, kind: Kind) -> &Lane {
        match kind {
            Kind::Files => &self.files,
            Kind::Rest => &self.rest,
        }
    }

    fn lane_mut(&mut self, kind: Kind) -> &mut Lane {
        match kind {
            Kind::Files => &mut self.files,
            Kind::Rest => &mut self.rest,
        }
    }

    fn len(&self) -> usize {
        self.files.data.len() + self.rest.data.len() + self.known
    }

    /// Bytes of a file whose chunks are known.
    fn push_known(&mut self, length: u64) {
        self.known += length as usize;
        self.push(Piece::Data(Kind::Files, length));
    }

    fn push(&mut self, piece: Piece) {
        let (Piece::Hole(length) | Piece::Data(_, length)) = piece;
        self.covered += length;
        match (self.pieces.last_mut(), piece) {
            (Some(Piece::Hole(before)), Piece::Hole(_)) => *before += length,
            (Some(Piece::Data(kind, before)), Piece::Data(same, _)) if *kind == same => *before += length,
            _ => self.pieces.push(piece),
        }
    }
}

/// Data of one kind on its way into chunks.
#[derive(Debug, Default)]
struct Lane {
    data: Vec<u8>,
    chunks: Vec<Place>,
    /// Where the data begins that is in no chunk yet.
    uncut: usize,
}

/// Where a chunk is.
#[derive(Debug)]
enum Place {
    /// In the data.
    Here(Range<usize>),
    /// In the store: its digest, and its length in bytes.
    Kept(Digest, u32),
}

impl Lane {
    fn chunk(&self, place: &Place) -> Chunk<'_> {
        match place {
            Place::Here(at) => Chunk::Cut(&self.data[at.clone()]),
            Place::Kept(digest, len) => Chunk::Known(*digest, *len),
        }
    }

    /// Begins anew, in the same memory, with what an earlier lane had over.
    fn begin(&mut self, carried: &mut Vec<u8>) {
        self.data.clear();
        self.data.append(carried);
        self.chunks.clear();
        self.uncut = 0;
    }

    /// Makes one chunk of what is in none yet.
    fn close(&mut self) {
        if self.uncut < self.data.len() {
            self.chunks.push(Place::Here(self.uncut..self.data.len()));
            self.uncut = self.data.len();
        }
    }

    /// Divides what is in no chunk yet, as far as the cuts cannot depend on data to come; all of it if nothing comes after.
    fn divide(&mut self, end: bool) {
        while self.uncut < self.data.len() && (end || self.data.len() - self.uncut >= CHUNK_MAX) {
            let rest = &self.data[self.uncut..];
            let length = FastCDC::new(rest, CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX).next().map_or(rest.len(), |chunk| chunk.length);
            self.chunks.push(Place::Here(self.uncut..self.uncut + length));
            self.uncut += length;
        }
    }

    /// Takes away what is in no chunk yet, for the next window.
    fn carry(&mut self, carried: &mut Vec<u8>) {
        carried.extend_from_slice(&self.data[self.uncut..]);
        self.data.truncate(self.uncut);
    }
}

/// Cuts one file, and digests it on the way.
pub(crate) struct Cutter {
    file: File,
    path: PathBuf,
    len: u64,
    /// Where the file was read to, and where what was read is cut to.
    at: u64,
    done: u64,
    /// Where the data that the file system knows of ends.
    data_end: u64,
    /// Zeros before `done` that are neither data nor a hole yet.
    zeros: u64,
    files: Files,
    known: Known,
    /// The number of the extent that `done` is in or before, and where its data begins if `done` is in it and it is small.
    next: usize,
    inside: bool,
    small_at: usize,
    /// Whether the chunks of the file that `done` is in are known.
    is_known: bool,
    carry: [Vec<u8>; 2],
    /// When a window is full, in bytes of data.
    window: usize,
    buffer: Vec<u8>,
    hasher: SparseHasher,
}

impl Cutter {
    /// Cuts the file as long as it is now. First looks for the files on it, until `cancel`.
    pub(crate) fn new(file: File, path: PathBuf, known: Known, cancel: &Cancel) -> Result<Self> {
        let len = file.metadata().map_err(Error::io("inspect", &path))?.len();
        let files = Files::on(&file, len, cancel)?;
        Ok(Self { known, ..Self::with_files(file, path, len, files) })
    }

    fn with_files(file: File, path: PathBuf, len: u64, files: Files) -> Self {
        Self {
            file,
            path,
            len,
            at: 0,
            done: 0,
            data_end: 0,
            zeros: 0,
            files,
            known: Known::new(),
            next: 0,
            inside: false,
            small_at: 0,
            is_known: false,
            carry: <[Vec<u8>; 2]>::default(),
            window: WINDOW,
            buffer: vec![0; READ_LEN],
            hasher: SparseHasher::default(),
        }
    }

    /// The length of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The digest of the whole file, once there is no further window.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.finalize()
    }

    /// The next pieces; none after the last. The memory of a window that has served is used again: the kernel would have to clear fresh memory first.
    pub(crate) fn window(&mut self, served: Window, cancel: &Cancel) -> Result<Option<Window>> {
        let mut window = served;
        window.pieces.clear();
        (window.covered, window.known) = (0, 0);
        window.files.begin(&mut self.carry[0]);
        window.rest.begin(&mut self.carry[1]);
        let carried = window.len();
        while self.at < self.len && window.len() - carried < self.window {
            cancel.check()?;
            self.step(&mut window)?;
        }
        if self.at == self.len {
            self.end_zeros(&mut window);
            window.files.close();
            window.rest.divide(true);
        } else {
            self.small_at = self.small_at.saturating_sub(window.files.uncut);
            window.files.carry(&mut self.carry[0]);
            window.rest.carry(&mut self.carry[1]);
        }
        let done = window.pieces.is_empty() && self.at == self.len;
        Ok((!done).then_some(window))
    }

    /// Takes in up to [`HOLE_LEN`] bytes of the next hole of the file system, or up to [`READ_LEN`] bytes of data.
    fn step(&mut self, window: &mut Window) -> Result<()> {
        if self.at >= self.data_end {
            let found = self.seek(SeekFrom::Data(self.at))?;
            let data = if found == self.len { found } else { found / BLOCK * BLOCK };
            if data > self.at {
                // Up to a multiple of that length: so units of zeros whose values are known stay whole.
                let end = data.min((self.at / HOLE_LEN + 1) * HOLE_LEN);
                self.hasher.update_zeros(end - self.at);
                self.at = end;
                while self.done < self.at {
                    let length = self.to_border().min(self.at - self.done);
                    if self.is_known {
                        window.push_known(length);
                    } else {
                        self.zeros += length;
                    }
                    self.advance(length, window);
                }
                return Ok(());
            }
            self.data_end = self.seek(SeekFrom::Hole(found))?.next_multiple_of(BLOCK).min(self.len);
        }
        let wanted = (self.data_end - self.at).min(READ_LEN as u64) as usize;
        let mut buffer = std::mem::take(&mut self.buffer);
        self.file.read_exact_at(&mut buffer[..wanted], self.at).map_err(Error::io("read", &self.path))?;
        let mut bytes = &buffer[..wanted];
        self.at += wanted as u64;
        // The digest of the whole and the cuts have nothing to do with each other.
        let mut hasher = std::mem::take(&mut self.hasher);
        let digest = || hasher.update(&buffer[..wanted]);
        let cut = || {
            while !bytes.is_empty() {
                let (part, after) = bytes.split_at(self.to_border().min(bytes.len() as u64) as usize);
                self.take(part, window);
                self.advance(part.len() as u64, window);
                bytes = after;
            }
        };
        rayon::join(cut, digest);
        (self.hasher, self.buffer) = (hasher, buffer);
        Ok(())
    }

    /// How far it is from `done` to where a file begins or ends.
    fn to_border(&self) -> u64 {
        let border = self.files.get(self.next).map_or(self.len, |extent| if self.inside { extent.end } else { extent.start });
        border - self.done
    }

    /// Steps forward, over a border if there is one.
    fn advance(&mut self, length: u64, window: &mut Window) {
        self.done += length;
        while let Some(extent) = self.files.get(self.next).cloned() {
            let large = extent.end - extent.start >= LARGE;
            if self.inside && self.done == extent.end {
                self.end_zeros(window);
                match large {
                    true if self.is_known => {}
                    true => window.files.divide(true),
                    false if ends_group(&window.files.data[self.small_at..]) => window.files.close(),
                    false => {}
                }
                (self.inside, self.is_known) = (false, false);
                self.next += 1;
            } else if !self.inside && self.done == extent.start {
                self.end_zeros(window);
                let group = window.files.data.len() - window.files.uncut;
                if large || group as u64 + (extent.end - extent.start) > CHUNK_MAX as u64 {
                    window.files.close();
                }
                self.small_at = window.files.data.len();
                self.inside = true;
                if let Some((_, chunks)) = self.known.remove(&extent.start).filter(|(end, _)| large && *end == extent.end) {
                    self.is_known = true;
                    window.files.chunks.extend(chunks.into_iter().map(|(digest, len)| Place::Kept(digest, len)));
                }
            } else {
                break;
            }
        }
    }

    /// Takes in bytes between two borders.
    fn take(&mut self, mut bytes: &[u8], window: &mut Window) {
        if self.is_known {
            return window.push_known(bytes.len() as u64);
        }
        while !bytes.is_empty() {
            let zeros = run(bytes, true);
            self.zeros += zeros as u64;
            let data = run(&bytes[zeros..], false);
            if data > 0 {
                self.end_zeros(window);
                self.push_data(&bytes[zeros..zeros + data], window);
            }
            bytes = &bytes[zeros + data..];
        }
    }

    /// Data or a border follows: the zeros before it become a hole, or data where they are few.
    fn end_zeros(&mut self, window: &mut Window) {
        let zeros = std::mem::take(&mut self.zeros);
        if zeros >= HOLE_MIN {
            self.end_files(window);
            if self.files.is_empty() {
                window.rest.divide(true);
            }
            window.push(Piece::Hole(zeros));
        } else if zeros > 0 {
            self.push_data(&ZEROS[..zeros as usize], window);
        }
    }

    fn push_data(&self, bytes: &[u8], window: &mut Window) {
        let kind = if self.inside { Kind::Files } else { Kind::Rest };
        if kind == Kind::Rest {
            self.end_files(window);
        }
        window.push(Piece::Data(kind, bytes.len() as u64));
        let is_large = self.is_large();
        let lane = window.lane_mut(kind);
        lane.data.extend_from_slice(bytes);
        if kind == Kind::Rest || is_large {
            lane.divide(false);
        }
    }

    /// What follows is no file's data: a chunk of files lies in one place of the disk.
    fn end_files(&self, window: &mut Window) {
        if self.is_large() { window.files.divide(true) } else { window.files.close() }
    }

    /// Whether we are in a file that is cut alone.
    fn is_large(&self) -> bool {
        self.inside && self.files.get(self.next).is_some_and(|extent| extent.end - extent.start >= LARGE)
    }

    /// Where the next data or hole begins; the end of the file where there is none. File systems that cannot tell say that all is data.
    fn seek(&self, to: SeekFrom) -> Result<u64> {
        match rustix::fs::seek(&self.file, to) {
            Ok(at) => Ok(at.min(self.len)),
            Err(Errno::NXIO) => Ok(self.len),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(if matches!(to, SeekFrom::Data(_)) { self.at } else { self.len }),
            Err(error) => Err(Error::io("read", &self.path)(error.into())),
        }
    }
}

/// The length of the run of blocks at the beginning of `bytes` that are all zero, or all not.
fn run(bytes: &[u8], zero: bool) -> usize {
    let blocks = bytes.chunks(BLOCK as usize);
    blocks.take_while(|block| (**block == ZEROS[..block.len()]) == zero).map(<[u8]>::len).sum()
}

/// Whether a group of small files ends after this one: its digest decides, the more often the longer it is, so that groups have their length on average.
fn ends_group(file: &[u8]) -> bool {
    let digest = *blake3::hash(file).as_bytes();
    u64::from(u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])) % GROUP_AVERAGE < file.len() as u64
}
