//! Cuts a disk image into chunks and holes by its content.
//!
//! Zeros are found in blocks of 4 KiB, whether the file system left them out or not, so that a sparse file and its full copy are cut alike. A run of
//! 32 KiB or more is a hole; the stretches between holes are cut by FastCDC. Work goes window by window, so that memory stays bounded; the window's
//! borders leave no trace in the cuts.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use fastcdc::v2020::FastCDC;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::error::{Error, Result};
use crate::progress::Cancel;

/// Chunk lengths: at least, on average, at most. Changing them makes new images share nothing with stored ones, which stay readable.
const CHUNK_MIN: usize = 32 << 10;
const CHUNK_AVERAGE: usize = 128 << 10;
const CHUNK_MAX: usize = 512 << 10;

/// Zeros are found in blocks of this length: that of the file systems we build.
const BLOCK: u64 = 4 << 10;

/// The shortest run of zeros that is a hole.
const HOLE_MIN: u64 = CHUNK_MIN as u64;

/// Data in one window, in bytes. Two windows and their compressed chunks are in memory at a time.
const WINDOW: usize = 16 << 20;

/// How much is read at once.
const READ_LEN: usize = 1 << 20;

static ZEROS: [u8; READ_LEN] = [0; READ_LEN];

/// A part of an image, in the order of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many zeros.
    Hole(u64),
    /// A chunk: this part of the window's data.
    Chunk(Range<usize>),
}

/// Pieces and the data that they refer to.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) data: Vec<u8>,
    pub(crate) pieces: Vec<Piece>,
    /// Bytes of the image that the pieces cover.
    pub(crate) covered: u64,
}

/// Cuts one file, and digests it on the way.
pub(crate) struct Cutter {
    file: File,
    path: PathBuf,
    len: u64,
    at: u64,
    // Where the data that the file system knows of ends.
    data_end: u64,
    zeros: u64,
    // Data that is not cut yet, carried over to the next window.
    carry: Vec<u8>,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
}

impl Cutter {
    /// Cuts the file as long as it is now.
    pub(crate) fn new(file: File, path: PathBuf) -> Result<Self> {
        let len = file.metadata().map_err(Error::io("inspect", &path))?.len();
        let hasher = blake3::Hasher::new();
        Ok(Self { file, path, len, at: 0, data_end: 0, zeros: 0, carry: Vec::new(), buffer: vec![0; READ_LEN], hasher })
    }

    /// The length of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The digest of the whole file, once there is no further window.
    pub(crate) fn digest(&self) -> crate::digest::Digest {
        self.hasher.finalize().into()
    }

    /// The next pieces; none after the last.
    pub(crate) fn window(&mut self, cancel: &Cancel) -> Result<Option<Window>> {
        let mut window = Window { data: std::mem::take(&mut self.carry), ..Window::default() };
        let mut uncut = 0;
        while self.at < self.len && window.data.len() < WINDOW {
            cancel.check()?;
            self.step(&mut window, &mut uncut)?;
        }
        if self.at == self.len {
            self.end_stretch(&mut window, &mut uncut);
        } else {
            self.carry.reserve(WINDOW + CHUNK_MAX + READ_LEN);
            self.carry.extend_from_slice(&window.data[uncut..]);
            window.data.truncate(uncut);
        }
        let done = window.pieces.is_empty() && self.at == self.len;
        Ok((!done).then_some(window))
    }

    /// Takes in the next hole of the file system, or up to [`READ_LEN`] bytes of data.
    fn step(&mut self, window: &mut Window, uncut: &mut usize) -> Result<()> {
        if self.at >= self.data_end {
            let found = self.seek(SeekFrom::Data(self.at))?;
            let data = if found == self.len { found } else { found / BLOCK * BLOCK };
            if data > self.at {
                let skipped = data - self.at;
                self.digest_zeros(skipped);
                self.zeros += skipped;
                self.at = data;
                return Ok(());
            }
            self.data_end = self.seek(SeekFrom::Hole(found))?.next_multiple_of(BLOCK).min(self.len);
        }
        let wanted = (self.data_end - self.at).min(READ_LEN as u64) as usize;
        let mut buffer = std::mem::take(&mut self.buffer);
        let bytes = &mut buffer[..wanted];
        self.file.read_exact_at(bytes, self.at).map_err(Error::io("read", &self.path))?;
        self.hasher.update(bytes);
        self.at += wanted as u64;
        let mut rest: &[u8] = bytes;
        while !rest.is_empty() {
            let zeros = run(rest, true);
            self.zeros += zeros as u64;
            let data = run(&rest[zeros..], false);
            if data > 0 {
                self.end_zeros(window, uncut);
                window.data.extend_from_slice(&rest[zeros..zeros + data]);
                cut(window, uncut, false);
            }
            rest = &rest[zeros + data..];
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Data follows: the zeros before it become a hole, or data where they are few.
    fn end_zeros(&mut self, window: &mut Window, uncut: &mut usize) {
        if self.zeros < HOLE_MIN {
            window.data.extend_from_slice(&ZEROS[..self.zeros as usize]);
            self.zeros = 0;
        } else {
            self.end_stretch(window, uncut);
        }
    }

    /// A hole follows, or the end of the image: what is not cut yet becomes the last chunks of the stretch.
    fn end_stretch(&mut self, window: &mut Window, uncut: &mut usize) {
        cut(window, uncut, true);
        if self.zeros > 0 {
            window.pieces.push(Piece::Hole(self.zeros));
            window.covered += self.zeros;
            self.zeros = 0;
        }
    }

    fn digest_zeros(&mut self, mut count: u64) {
        while count > 0 {
            let part = count.min(READ_LEN as u64);
            self.hasher.update(&ZEROS[..part as usize]);
            count -= part;
        }
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

/// Cuts what is not cut yet, as far as the cuts cannot depend on data to come; all of it at the end of a stretch.
fn cut(window: &mut Window, uncut: &mut usize, end: bool) {
    while *uncut < window.data.len() && (end || window.data.len() - *uncut >= CHUNK_MAX) {
        let rest = &window.data[*uncut..];
        let length = FastCDC::new(rest, CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX).next().map_or(rest.len(), |chunk| chunk.length);
        window.pieces.push(Piece::Chunk(*uncut..*uncut + length));
        window.covered += length as u64;
        *uncut += length;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;
    use crate::store::tests::noise;

    /// All pieces of a file with this content: the lengths of holes, and the bytes of chunks.
    fn pieces(bytes: &[u8], sparse: bool) -> Vec<Result<Vec<u8>, u64>> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        for (at, block) in bytes.chunks(BLOCK as usize).enumerate() {
            if !sparse || block != &ZEROS[..block.len()] {
                file.write_all_at(block, at as u64 * BLOCK).unwrap();
            }
        }
        let mut cutter = Cutter::new(file, PathBuf::new()).unwrap();
        let mut pieces = Vec::new();
        while let Some(window) = cutter.window(&Cancel::default()).unwrap() {
            assert!(window.data.len() <= WINDOW + CHUNK_MAX + READ_LEN + HOLE_MIN as usize);
            let piece = |piece: &Piece| match piece {
                Piece::Hole(length) => Err(*length),
                Piece::Chunk(at) => Ok(window.data[at.clone()].to_vec()),
            };
            pieces.extend(window.pieces.iter().map(piece));
        }
        assert_eq!(cutter.digest(), Digest::of(bytes));
        pieces
    }

    fn whole(pieces: &[Result<Vec<u8>, u64>]) -> Vec<u8> {
        pieces.iter().flat_map(|piece| piece.clone().unwrap_or_else(|length| vec![0; length as usize])).collect()
    }

    #[test]
    fn windows_leave_no_trace() {
        let bytes = noise(2 * WINDOW + 12_345, 1);
        let whole: Vec<usize> = FastCDC::new(&bytes, CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX).map(|chunk| chunk.length).collect();
        let windowed: Vec<usize> = pieces(&bytes, false).iter().map(|piece| piece.as_ref().unwrap().len()).collect();
        assert_eq!(windowed, whole);
    }

    /// The cuts of a fixed input: they change only if somebody decides that new images share nothing with stored ones.
    #[test]
    fn cuts_stay_where_they_are() {
        let lengths: Vec<usize> = pieces(&noise(1 << 20, 2), false).iter().map(|piece| piece.as_ref().unwrap().len()).collect();
        assert_eq!(lengths, [99_395, 159_574, 167_376, 75_818, 121_060, 69_303, 112_239, 89_076, 154_735]);
    }

    #[test]
    fn only_long_runs_of_zeros_are_holes() {
        let mut bytes = noise(1 << 20, 3);
        bytes[8192..8192 + 28 * 1024].fill(0);
        assert!(pieces(&bytes, true).iter().all(Result::is_ok));
        bytes[8192..8192 + 32 * 1024].fill(0);
        assert_eq!(pieces(&bytes, true)[1], Err(32 << 10));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_are_the_file_and_holes_in_it_do_not_matter(
            stretches in prop::collection::vec((0_usize..1 << 18, 0_usize..1 << 17, any::<u64>()), 0..6),
        ) {
            let mut bytes = Vec::new();
            for (zeros, data, seed) in stretches {
                bytes.resize(bytes.len() + zeros, 0);
                bytes.extend(noise(data, seed));
            }
            let sparse = pieces(&bytes, true);
            prop_assert!(whole(&sparse) == bytes);
            prop_assert!(pieces(&bytes, false) == sparse);
            for pair in sparse.windows(2) {
                prop_assert!(pair[0].is_ok() || pair[1].is_ok(), "two holes in a row");
            }
            for piece in sparse.iter().flatten() {
                prop_assert!(!piece.is_empty() && piece.len() <= CHUNK_MAX);
            }
        }
    }
}
