//! Reads a bundle from its first byte to its last, and proves all of it. Knows no store.

use std::io::{self, Read, Write};

use rayon::prelude::*;

use super::carry::{CarryError, carry};
use super::hashed::Hashed;
use super::{BundleError, batch_len, chunk};
use crate::format::bundle::{self, BlobEntry, Frame, FrameKind, PIECE_LEN, Table};
use crate::format::skippable;
use crate::progress::Cancel;

/// Reads a bundle in its order: [`BundleReader::open`], then a blob after the other, then the frames, then [`BundleReader::finish`].
///
/// What it hands out is proven piece by piece, but a bundle that is damaged further on was handed out up to there.
pub struct BundleReader<'a> {
    source: Hashed<&'a mut (dyn Read + Send)>,
    table: Table,
    len: u64,
    next_blob: usize,
    next_frame: usize,
}

/// Frames and their bytes.
pub(super) type Batch = Vec<(usize, Frame, Vec<u8>)>;

impl<'a> BundleReader<'a> {
    /// Reads what stands in front.
    ///
    /// # Errors
    /// Something that is no bundle, or a damaged one.
    pub fn open(source: &'a mut (dyn Read + Send)) -> Result<Self, BundleError> {
        let cut_off = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BundleError::Format(crate::format::FormatError::CutOff { what: "bundle" }),
            _ => BundleError::Read(error),
        };
        let mut source = Hashed::new(source);
        let mut head = [0; skippable::HEAD_LEN];
        source.read_exact(&mut head).map_err(cut_off)?;
        let len = bundle::table_content_len(&head)?;
        // Grows with what is really there, not with what the length says.
        let mut content = Vec::new();
        let read = (&mut source).take(len as u64).read_to_end(&mut content).map_err(BundleError::Read)?;
        if read < len {
            return Err(cut_off(io::ErrorKind::UnexpectedEof.into()));
        }
        let table = Table::decode(&content)?;
        drop(content);
        let len = table.bundle_len()?;
        Ok(Self { source, table, len, next_blob: 0, next_frame: 0 })
    }

    /// What stands in front.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The length of the bundle in bytes.
    pub fn bundle_len(&self) -> u64 {
        self.len
    }

    /// The next blob, if there is one.
    pub fn next_blob(&self) -> Option<BlobEntry> {
        self.table.blobs.get(self.next_blob).copied()
    }

    /// Reads the next blob, if there is one, and says whether there was: its file goes to `out`, its raw bytes go to `raw`. It is proven when this
    /// returns, and not before. With `head`, the file begins with that instead of what stands in the bundle.
    ///
    /// # Errors
    /// A blob that is not what the table says; `out` or `raw` failing.
    pub fn blob(&mut self, head: Option<&[u8]>, out: &mut dyn Write, raw: &mut dyn Write, cancel: &Cancel) -> Result<bool, BundleError> {
        let Some(entry) = self.next_blob() else { return Ok(false) };
        self.next_blob += 1;
        let mut pieces = Pieces { source: &mut self.source, left: entry.stored_len, piece: 0, problem: None };
        let carried = carry(&entry, head, &mut pieces, out, raw, cancel);
        match (pieces.problem, carried) {
            (Some(PieceProblem::CutOff), _) => Err(BundleError::CutOff { expected: self.len }),
            (Some(PieceProblem::Head), _) => Err(BundleError::Between),
            (None, Ok(())) => Ok(true),
            (None, Err(CarryError::Read(error))) => Err(BundleError::Read(error)),
            (None, Err(CarryError::Write(error))) => Err(BundleError::Write(error)),
            (None, Err(CarryError::Cancelled(cancelled))) => Err(cancelled.into()),
            (None, Err(CarryError::Blob(problem))) => Err(BundleError::Blob { digest: entry.digest, problem }),
        }
    }

    /// Reads the rest to its end: `take` gets the frames, proven, in their order and a batch at a time.
    ///
    /// # Errors
    /// A frame that is not what the table says, and whatever `take` returns.
    pub(super) fn frames(&mut self, cancel: &Cancel, mut take: impl FnMut(Batch) -> Result<(), BundleError> + Send) -> Result<(), BundleError> {
        let mut batch = self.batch()?;
        while !batch.is_empty() {
            cancel.check()?;
            let (following, taken) = rayon::join(
                || self.batch(),
                || {
                    let proven = |(number, frame, stored): &(usize, Frame, Vec<u8>)| {
                        chunk::prove(stored, frame).map_err(|problem| BundleError::Frame { number: *number, problem })
                    };
                    batch.par_iter().try_for_each(proven)?;
                    take(batch)
                },
            );
            taken?;
            batch = following?;
        }
        Ok(())
    }

    /// Checks that all bytes were right, and that the bundle ends here.
    ///
    /// # Errors
    /// Another digest, or something that follows.
    pub fn finish(mut self) -> Result<(), BundleError> {
        let expected = bundle::encode_end(&self.source.digest());
        let mut end = [0; bundle::END_LEN];
        self.read_exact(&mut end)?;
        if end != expected {
            return Err(BundleError::Between);
        }
        match self.source.read_exact(&mut [0]) {
            Ok(()) => Err(BundleError::Trailing { expected: self.len }),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(BundleError::Read(error)),
        }
    }

    /// Reads the whole bundle only to check it: what a fuzzer, or somebody who wants to know whether a copy is good, needs.
    ///
    /// # Errors
    /// As for the other functions.
    pub fn check(mut self, cancel: &Cancel) -> Result<(), BundleError> {
        while self.blob(None, &mut io::sink(), &mut io::sink(), cancel)? {}
        self.frames(cancel, |_| Ok(()))?;
        self.finish()
    }

    /// The next frames with their bytes, not proven; none after the last.
    fn batch(&mut self) -> Result<Batch, BundleError> {
        let rest = &self.table.frames[self.next_frame..];
        let count = batch_len(rest.iter().map(|frame| frame.stored_len.into()));
        let mut batch = Vec::with_capacity(count);
        for number in self.next_frame..self.next_frame + count {
            let frame = self.table.frames[number];
            if frame.kind == FrameKind::Beside {
                let mut head = [0; skippable::HEAD_LEN];
                self.read_exact(&mut head)?;
                if head != skippable::head(frame.stored_len as usize)? {
                    return Err(BundleError::Between);
                }
            }
            let mut stored = vec![0; frame.stored_len as usize];
            self.read_exact(&mut stored)?;
            batch.push((number, frame, stored));
        }
        self.next_frame += count;
        Ok(batch)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), BundleError> {
        self.source.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BundleError::CutOff { expected: self.len },
            _ => BundleError::Read(error),
        })
    }
}

enum PieceProblem {
    CutOff,
    Head,
}

/// Takes what is read out of skippable frames of at most [`PIECE_LEN`] bytes.
struct Pieces<'a> {
    source: &'a mut dyn Read,
    /// Bytes that are in frames to come.
    left: u64,
    /// Bytes that are left in the frame that was begun.
    piece: u64,
    problem: Option<PieceProblem>,
}

impl Pieces<'_> {
    fn begin(&mut self) -> io::Result<()> {
        let mut head = [0; skippable::HEAD_LEN];
        if let Err(error) = self.source.read_exact(&mut head) {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                self.problem = Some(PieceProblem::CutOff);
            }
            return Err(error);
        }
        self.piece = self.left.min(PIECE_LEN);
        self.left -= self.piece;
        if head != skippable::head(self.piece as usize).map_err(io::Error::other)? {
            self.problem = Some(PieceProblem::Head);
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.piece + self.left == 0 {
            return Ok(0);
        }
        if self.piece == 0 {
            self.begin()?;
        }
        let part = buffer.len().min(usize::try_from(self.piece).unwrap_or(usize::MAX));
        let read = self.source.read(&mut buffer[..part])?;
        if read == 0 {
            self.problem = Some(PieceProblem::CutOff);
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.piece -= read as u64;
        Ok(read)
    }
}
