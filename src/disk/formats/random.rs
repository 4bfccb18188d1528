//! The disk in a file of any format as bytes at offsets.

use std::cell::RefCell;
use std::io;

use super::{Disk, Problem, Run, Source};

/// A disk that is read here and there.
pub struct DiskSource<'a> {
    len: u64,
    state: RefCell<State<'a>>,
}

struct State<'a> {
    disk: Disk<'a>,
    /// The compressed block that was decoded last, and where it begins.
    block: (u64, Vec<u8>),
}

impl<'a> DiskSource<'a> {
    /// All of a disk.
    pub fn new(disk: Disk<'a>) -> Self {
        Self { len: disk.len(), state: RefCell::new(State { disk, block: (0, Vec::new()) }) }
    }
}

impl Source for DiskSource<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.state.borrow_mut().fill(buffer, offset).map_err(|problem| match problem {
            Problem::Io(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })
    }
}

impl State<'_> {
    fn fill(&mut self, mut buffer: &mut [u8], mut offset: u64) -> Result<(), Problem> {
        while !buffer.is_empty() {
            let within = offset.checked_sub(self.block.0).and_then(|skip| self.block.1.get(skip as usize..)).filter(|bytes| !bytes.is_empty());
            let taken = if let Some(bytes) = within {
                let taken = bytes.len().min(buffer.len());
                buffer[..taken].copy_from_slice(&bytes[..taken]);
                taken
            } else {
                let (begin, len, run) = self.disk.block(offset)?;
                if matches!(run, Run::Packed { .. }) {
                    self.block.0 = begin;
                    self.block.1.resize(len as usize, 0);
                    if let Err(problem) = self.disk.read(run, 0, &mut self.block.1) {
                        self.block.1.clear();
                        return Err(problem);
                    }
                    // Where the block does not reach as far as it said, nothing would ever come of it.
                    if offset - begin >= len {
                        return Err(Problem::Wrong("a compressed block is too short"));
                    }
                    continue;
                }
                let taken = len.min(buffer.len() as u64) as usize;
                self.disk.read(run, 0, &mut buffer[..taken])?;
                taken
            };
            buffer = &mut buffer[taken..];
            offset += taken as u64;
        }
        Ok(())
    }
}
