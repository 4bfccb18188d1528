//! From a file of any format to a raw disk in a sparse file.

use std::fs::File;
use std::path::Path;

use super::{Disk, Error, Out, Problem, Result, Run};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::units::ByteSize;

/// Bytes copied at a time.
const BUFFER: u64 = 1 << 20;

/// Runs that are looked at between two looks at whether to stop.
const RUNS: u32 = 4096;

/// What unpacking may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The longest disk, in bytes.
    pub max_len: u64,
    /// The most bytes that may be written.
    pub room: u64,
}

impl Bounds {
    /// The error of a file whose content, at least `needs` bytes, has no room beside `out`.
    pub(super) fn no_room(&self, path: &Path, out: &Path, needs: u64) -> Error {
        let (needs, free, missing) = (ByteSize(needs), ByteSize(self.room), ByteSize(needs.saturating_sub(self.room)));
        Error::NoRoom { path: path.to_owned(), folder: out.parent().unwrap_or(out).to_owned(), needs, free, missing }
    }
}

/// Writes the disk that is in the file `path` to `out`, every byte of it, zeros as holes. Reports the bytes of the disk as [`Phase::Read`]. After an
/// error `out` is of no use.
///
/// # Errors
/// A file that contradicts itself, a disk that is longer or holds more than `bounds` allow, what the operating system says, the user's wish to stop.
pub fn unpack(
    disk: &mut Disk<'_>,
    (path, name): (&Path, &'static str),
    out: (&File, &Path),
    bounds: Bounds,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<()> {
    let unreadable = |problem| Error::Unreadable { path: path.to_owned(), name, problem };
    let len = disk.len();
    if len > bounds.max_len {
        return Err(Error::TooLong { path: path.to_owned(), limit: ByteSize(bounds.max_len) });
    }
    let needs = data(disk, bounds.room, &unreadable, cancel)?;
    if needs > bounds.room {
        return Err(bounds.no_room(path, out.1, needs));
    }
    progress.report(Event::Start { phase: Phase::Read, total: Some(len) });
    let out = Out::new(out.0, out.1)?;
    out.set_len(len)?;
    let mut buffer = Vec::new();
    let mut offset = 0;
    while offset < len {
        cancel.check()?;
        let (run_len, run) = disk.run(offset).map_err(unreadable)?;
        // Compressed runs are of one block each, which is no longer than the buffer may be.
        let step = if matches!(run, Run::Packed { .. }) { run_len } else { BUFFER };
        for begin in (0..run_len).step_by(step as usize).take_while(|_| run != Run::Zeros) {
            cancel.check()?;
            buffer.resize((run_len - begin).min(step) as usize, 0);
            disk.read(run, begin, &mut buffer).map_err(unreadable)?;
            out.put_sparse(offset + begin, &buffer)?;
        }
        offset += run_len;
        progress.report(Event::Advance { phase: Phase::Read, by: run_len });
    }
    progress.report(Event::Finish { phase: Phase::Read });
    Ok(())
}

/// How many bytes of the disk are no zeros that the tables know of; stops counting above `enough`. Stored bytes that are used twice are found here: a
/// few of them could fill any disk.
fn data(disk: &mut Disk<'_>, enough: u64, unreadable: &impl Fn(Problem) -> Error, cancel: &Cancel) -> Result<u64> {
    let len = disk.len();
    let (mut offset, mut needs, mut stored, mut runs) = (0, 0_u64, 0_u64, 0_u32);
    while offset < len && needs <= enough {
        runs = runs.wrapping_add(1);
        if runs.is_multiple_of(RUNS) {
            cancel.check()?;
        }
        let (run_len, run) = disk.run(offset).map_err(unreadable)?;
        if matches!(run, Run::Stored(_)) {
            stored += run_len;
        }
        if run != Run::Zeros {
            needs += run_len;
        }
        if stored > disk.file_len() {
            return Err(unreadable(Problem::Wrong("parts of the file are used twice")));
        }
        offset += run_len;
    }
    Ok(needs)
}
