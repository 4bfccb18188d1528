//! What a file of any format is to those who read it: a disk that says, from any offset on, where its bytes lie.

use std::io;
use std::path::Path;

use super::Source;
use super::source::{fill, within};

/// Why a file cannot be read as a disk.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system refused.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
    /// Something lies beyond the file's end.
    #[error("it ends too early")]
    CutOff,
    /// A field has a value that it cannot have.
    #[error("{0}")]
    Wrong(&'static str),
    /// Compressed bytes are broken.
    #[error("its compressed bytes cannot be read")]
    Compression(#[source] io::Error),
    /// It needs something that is not supported.
    #[error("{what}")]
    Unsupported {
        /// What it is or has.
        what: String,
        /// The way out.
        hint: &'static str,
    },
}

/// The way out for what `qemu-img` understands.
pub(super) const FLATTEN: &str = "flatten it first: qemu-img convert -O qcow2 OLD NEW.qcow2";

impl Problem {
    /// What is not supported, and [`FLATTEN`] as the way out.
    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), hint: FLATTEN }
    }

    /// The way out, where there is one.
    pub(super) fn hint(&self, path: &Path) -> Option<String> {
        match self {
            Self::Unsupported { hint, .. } => Some(hint.replace("OLD", &path.display().to_string())),
            Self::CutOff => Some("copy or fetch the file again".to_owned()),
            Self::Wrong(_) | Self::Compression(_) => Some("copy or fetch the file again, or see what “qemu-img check” says".to_owned()),
            Self::Io(_) => None,
        }
    }
}

/// A stretch of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Zeros.
    Zeros,
    /// The bytes at this offset of the file, which has them all.
    Stored(u64),
    /// Compressed bytes of the file, whose decoded form is the whole stretch.
    Packed {
        /// Where they begin.
        offset: u64,
        /// How many there are at most.
        len: u32,
    },
}

/// Where the blocks of a disk lie in a file: what each format reads from its tables.
pub(super) trait Blocks {
    /// What the disk has from `offset` on, and for how many bytes, at least one; both may go beyond the disk's end and the file's, which [`Disk::run`]
    /// checks. `offset` is below the disk's length.
    fn run(&mut self, source: &dyn Source, offset: u64) -> Result<(u64, Run), Problem>;

    /// Where the block begins that has this offset, if it is compressed: such a block is decoded from there on.
    fn block(&self, offset: u64) -> u64 {
        offset
    }

    /// Decodes the compressed bytes of a run, and fills `raw` with what its first `raw.len()` bytes are.
    fn decode(&mut self, packed: &[u8], raw: &mut [u8]) -> Result<(), Problem> {
        let _ = (packed, raw);
        Err(Problem::Wrong("it has compressed parts, which its format does not know"))
    }
}

/// A disk in a file of some format.
pub struct Disk<'a> {
    source: &'a dyn Source,
    len: u64,
    blocks: Box<dyn Blocks>,
    packed: Vec<u8>,
}

impl<'a> Disk<'a> {
    pub(super) fn new(source: &'a dyn Source, len: u64, blocks: impl Blocks + 'static) -> Self {
        Self { source, len, blocks: Box::new(blocks), packed: Vec::new() }
    }

    /// The length of the disk in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the disk has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The length of the file in bytes.
    pub fn file_len(&self) -> u64 {
        self.source.len()
    }

    /// What the disk has from `offset` on, and for how many bytes: at least one, and never beyond its end. Stored bytes are all in the file.
    ///
    /// # Errors
    /// A file that contradicts itself, or what the operating system says.
    pub fn run(&mut self, offset: u64) -> Result<(u64, Run), Problem> {
        if offset >= self.len {
            return Err(Problem::CutOff);
        }
        let (len, run) = self.blocks.run(self.source, offset)?;
        let len = len.min(self.len - offset);
        match run {
            Run::Zeros => {}
            Run::Stored(at) => within(self.source, at, len)?,
            Run::Packed { offset, len } => within(self.source, offset, len.into())?,
        }
        if len == 0 { Err(Problem::Wrong("a part of it is empty")) } else { Ok((len, run)) }
    }

    /// The same from the beginning of the compressed block on that has this offset; [`Disk::run`] where it is not compressed. Returns also where it
    /// begins.
    ///
    /// # Errors
    /// As for [`Disk::run`].
    pub(super) fn block(&mut self, offset: u64) -> Result<(u64, u64, Run), Problem> {
        let (len, run) = self.run(offset)?;
        match (run, self.blocks.block(offset).min(offset)) {
            (Run::Packed { .. }, begin) if begin < offset => self.run(begin).map(|(len, run)| (begin, len, run)),
            _ => Ok((offset, len, run)),
        }
    }

    /// Reads the bytes of a run into `raw`: `raw.len()` of them from `skip` on. A compressed run is read from its beginning on.
    ///
    /// # Errors
    /// Bytes that cannot be decoded, or what the operating system says.
    pub fn read(&mut self, run: Run, skip: u64, raw: &mut [u8]) -> Result<(), Problem> {
        match run {
            Run::Zeros => raw.fill(0),
            Run::Stored(at) => fill(self.source, raw, at.saturating_add(skip))?,
            Run::Packed { offset, len } => {
                self.packed.resize(len as usize, 0);
                fill(self.source, &mut self.packed, offset)?;
                self.blocks.decode(&self.packed, raw)?;
            }
        }
        Ok(())
    }
}
