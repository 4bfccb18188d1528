//! Writes a bundle: every object is proven before its last byte is out.

use std::fs::File;
use std::io::{self, Write};

use rayon::prelude::*;

use super::carry::{CarryError, carry};
use super::hashed::Hashed;
use super::plan::Source;
use super::{BundleError, BundlePlan, batch_len, chunk};
use crate::format::bundle::{self, BlobEntry, Frame, FrameKind, PIECE_LEN};
use crate::format::skippable;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::store::Store;
use crate::store::error::{Damage, Error, Object, Problem};
use crate::writing;

impl Store {
    /// Writes a planned bundle, from its first byte to its last. Reports its bytes as [`Phase::Bundle`].
    ///
    /// # Errors
    /// [`Error::Damaged`] when an object in the store is missing or wrong; it is already marked as lost. After any error what was written is of no use.
    pub(crate) fn write_bundle(&self, plan: &BundlePlan, out: &mut dyn Write, progress: &dyn Progress, cancel: &Cancel) -> Result<(), BundleError> {
        progress.report(Event::Start { phase: Phase::Bundle, total: Some(plan.bundle_len()) });
        let advance = |by: u64| progress.report(Event::Advance { phase: Phase::Bundle, by });
        let mut out = Hashed::new(out);
        let table = plan.table.encode()?;
        out.write_all(&table).map_err(BundleError::Write)?;
        advance(table.len() as u64);
        for entry in &plan.table.blobs {
            self.write_blob(entry, &mut out, cancel)?;
            advance(entry.stored_len);
        }
        let frames: Vec<(&Frame, &Source)> = plan.table.frames.iter().zip(&plan.sources).collect();
        let mut rest = frames.as_slice();
        while !rest.is_empty() {
            cancel.check()?;
            let (batch, following) = rest.split_at(batch_len(rest.iter().map(|(frame, _)| frame.stored_len.into())));
            rest = following;
            let proven: Result<Vec<Vec<u8>>, Error> = batch.par_iter().map(|(frame, source)| self.proven_frame(frame, source)).collect();
            for ((frame, _), stored) in batch.iter().zip(self.note_damage(proven)?) {
                if frame.kind == FrameKind::Beside {
                    out.write_all(&skippable::head(stored.len())?).map_err(BundleError::Write)?;
                }
                writing::write_all(&mut out, &stored).map_err(BundleError::Write)?;
                advance(stored.len() as u64);
            }
        }
        let end = bundle::encode_end(&out.digest());
        out.write_all(&end).and_then(|()| out.flush()).map_err(BundleError::Write)?;
        progress.report(Event::Finish { phase: Phase::Bundle });
        Ok(())
    }

    fn write_blob(&self, entry: &BlobEntry, out: &mut dyn Write, cancel: &Cancel) -> Result<(), BundleError> {
        let path = self.blob_path(&entry.digest);
        let damaged = |problem| Error::from(Damage { object: Object::Blob(entry.digest), path: path.clone(), problem });
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.note_damage(Err(damaged(Problem::Missing)))?),
            Err(error) => return Err(Error::io("open", &path)(error).into()),
        };
        let mut pieces = Pieces { out, left: entry.stored_len, piece: 0 };
        match carry(entry, None, &mut file, &mut pieces, &mut io::sink(), cancel) {
            Ok(()) => Ok(()),
            Err(CarryError::Write(error)) => Err(BundleError::Write(error)),
            Err(CarryError::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(CarryError::Read(error)) => Ok(self.note_damage(Err(damaged(Problem::Unreadable(error))))?),
            Err(CarryError::Blob(problem)) => Ok(self.note_damage(Err(damaged(problem)))?),
        }
    }

    /// The bytes of a frame, proven.
    fn proven_frame(&self, frame: &Frame, source: &Source) -> Result<Vec<u8>, Error> {
        let stored = self.bundle_frame(source)?;
        match source {
            Source::Chunk { digest, row } => chunk::prove(&stored, frame).map_err(|problem| Damage {
                object: Object::Chunk(*digest),
                path: self.layout.pack(&row.pack),
                problem,
            })?,
            // The plan promised these bytes.
            Source::Part { .. } | Source::Hole(_) => chunk::prove(&stored, frame).map_err(|_| Error::Vanished)?,
        }
        Ok(stored)
    }
}

/// Puts what is written into skippable frames of at most [`PIECE_LEN`] bytes.
struct Pieces<'a> {
    out: &'a mut dyn Write,
    /// Bytes that have no frame yet.
    left: u64,
    /// Bytes that are missing in the frame that was begun.
    piece: u64,
}

impl Write for Pieces<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.piece == 0 {
            self.piece = self.left.min(PIECE_LEN);
            self.left -= self.piece;
            self.out.write_all(&skippable::head(self.piece as usize).map_err(io::Error::other)?)?;
        }
        let part = buffer.len().min(usize::try_from(self.piece).unwrap_or(usize::MAX));
        let written = self.out.write(&buffer[..part])?;
        self.piece -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
