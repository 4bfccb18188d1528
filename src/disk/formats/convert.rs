//! From a raw disk to a file of another format.

use super::{Contents, Error, Format, Out, Raw, Result, qcow2, vdi, vhd, vhdx, vmdk};
use crate::digest::Digest;
use crate::disk::Uuid;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::units::ByteSize;

/// A raw disk on its way into another format.
#[derive(Clone, Copy)]
pub struct Conversion<'a> {
    /// The disk.
    pub raw: Raw<'a>,
    /// Where it goes.
    pub out: Out<'a>,
    /// What the identifiers in the file derive from: the digest of the disk, or another value that is the same for the same disk.
    pub seed: Digest,
    /// Told of the bytes of the disk that are done, as [`Phase::Convert`].
    pub progress: &'a dyn Progress,
    /// Ends the work.
    pub cancel: &'a Cancel,
}

/// Checks that a file holds a disk of so many bytes exactly; one that has no disk holds what is in every disk.
///
/// # Errors
/// [`Error::Size`] if not.
pub fn check_size(len: u64, contents: impl Into<Contents>) -> Result<()> {
    let Contents::Disk(format) = contents.into() else { return Ok(()) };
    let (holds, rule) = match format {
        Format::Raw => (true, ""),
        Format::Qcow2 => (qcow2::holds(len), "the size must be a multiple of 512 bytes, at most 2 PiB"),
        Format::Vhd => (vhd::holds(len), "the size must be a multiple of 512 bytes, at most 2040 GiB"),
        Format::Vhdx => (vhdx::holds(len), "the size must be a multiple of 512 bytes, at most 64 TiB, and not 0"),
        Format::Vmdk => (vmdk::holds(len), "the size must be a multiple of 512 bytes, and below 2 TiB together with the tables"),
        Format::Vdi => (vdi::holds(len), "the size must be a multiple of 512 bytes, at most 512 TiB"),
    };
    if holds { Ok(()) } else { Err(Error::Size { size: ByteSize(len), format, rule }) }
}

/// Writes the disk in this format. The file is whole then, and not synced; after an error it is of no use.
///
/// # Errors
/// A disk whose size the format cannot hold exactly, what the operating system says, the user's wish to stop.
pub(crate) fn convert(job: &Conversion<'_>, format: Format) -> Result<()> {
    check_size(job.raw.len(), format)?;
    job.progress.report(Event::Start { phase: Phase::Convert, total: Some(job.raw.len()) });
    match format {
        Format::Raw => job.copy()?,
        Format::Qcow2 => qcow2::write(job)?,
        Format::Vhd => vhd::write(job)?,
        Format::Vhdx => vhdx::write(job)?,
        Format::Vmdk => vmdk::write(job)?,
        Format::Vdi => vdi::write(job)?,
    }
    job.progress.report(Event::Finish { phase: Phase::Convert });
    Ok(())
}

impl Conversion<'_> {
    /// Calls `each` with the number and the bytes of every block that holds something, in ascending order.
    pub(super) fn blocks(&self, block: usize, each: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        self.raw.blocks(block, self.progress, self.cancel, each)
    }

    /// Copies what holds something.
    pub(super) fn copy(&self) -> Result<()> {
        const BLOCK: u64 = 64 << 10;
        self.blocks(BLOCK as usize, |index, bytes| {
            let offset = index * BLOCK;
            self.out.put(offset, &bytes[..BLOCK.min(self.raw.len() - offset) as usize])
        })?;
        self.out.set_len(self.raw.len())
    }

    /// An identifier of the file: the same for the same disk.
    pub(super) fn uuid(&self, what: &str) -> Uuid {
        Uuid::derive(&self.seed, what)
    }
}
