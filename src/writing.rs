//! How long stretches of files are written.
//!
//! Kernels that keep files in large folios (those on ext4 since Linux 6.16) take one as large as the write, and for a large one there is often only memory that
//! nothing has touched yet, which costs a virtual machine more than the copying. Measured on 1.2 GiB: 2.9 s in writes of 1 MiB, 1.1 s of 256 KiB, 0.6 s of
//! 64 KiB, and again 1.9 s of 4 KiB.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

/// How much is written at once, in bytes.
pub(crate) const PIECE: usize = 64 << 10;

/// How much is gathered before it is written, in bytes.
const GATHERED: usize = 1 << 20;

/// What is gathered from files begins at multiples of this, in bytes.
const BLOCK: usize = 4 << 10;

/// [`Write::write_all`] in pieces.
///
/// # Errors
/// Those of the writer.
pub(crate) fn write_all(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    bytes.chunks(PIECE).try_for_each(|piece| out.write_all(piece))
}

/// Writes all bytes to their place in a file, in pieces.
///
/// # Errors
/// What the operating system refuses.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    bytes.chunks(PIECE).zip(0..).try_for_each(|(piece, number)| file.write_all_at(piece, at + number * PIECE as u64))
}

/// Empties a file that is not empty already: ext4 sends all that was ever written to a file that was cut to nothing to the device when it is closed, and the
/// one who closes it waits (`auto_da_alloc`, `ext4(5)`). For the disk of an appliance that was a second in which nobody did anything else.
///
/// # Errors
/// What the operating system refuses.
pub(crate) fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.len() == 0 { Ok(()) } else { file.set_len(0) }
}

/// A file that several threads fill with what is in other files.
///
/// The kernel lets one thread at a time write to it, and those that wait there turn round and round: for an eighth of the processor time of a build from a kept
/// root. Those that wait here sleep.
#[derive(Debug)]
pub(crate) struct Filling<'a, F> {
    file: &'a File,
    /// What an error of writing is told as.
    told: F,
    turn: Mutex<()>,
}

impl<'a, E, F: Fn(io::Error) -> E> Filling<'a, F> {
    pub(crate) fn new(file: &'a File, told: F) -> Self {
        Self { file, told, turn: Mutex::new(()) }
    }

    /// A way in, for one thread.
    pub(crate) fn gather(&self) -> Gather<'_, F> {
        Gather { filling: self, begin: 0, bytes: Vec::with_capacity(GATHERED) }
    }
}

/// Writes what lies side by side at once, when it is [flushed](Gather::flush) at last.
#[derive(Debug)]
pub(crate) struct Gather<'a, F> {
    filling: &'a Filling<'a, F>,
    /// Where the bytes belong in the file.
    begin: u64,
    bytes: Vec<u8>,
}

impl<E, F: Fn(io::Error) -> E> Gather<'_, F> {
    /// Takes `len` bytes that belong at `offset`, and zeros up to the end of their last block; `read` is told how many came before its part.
    ///
    /// # Errors
    /// Those of `read`, and of writing.
    pub(crate) fn take(&mut self, mut offset: u64, len: u64, mut read: impl FnMut(&mut [u8], u64) -> Result<(), E>) -> Result<(), E> {
        let mut done = 0;
        while done < len {
            if self.begin + self.bytes.len() as u64 != offset || self.bytes.len() == GATHERED {
                self.flush()?;
                self.begin = offset;
            }
            let from = self.bytes.len();
            let part = (len - done).min((GATHERED - from) as u64) as usize;
            self.bytes.resize((from + part).next_multiple_of(BLOCK), 0);
            read(&mut self.bytes[from..from + part], done)?;
            done += part as u64;
            offset = self.begin + self.bytes.len() as u64;
        }
        Ok(())
    }

    /// Writes what is there.
    ///
    /// # Errors
    /// Those of writing.
    pub(crate) fn flush(&mut self) -> Result<(), E> {
        let _turn = self.filling.turn.lock().unwrap_or_else(PoisonError::into_inner);
        write_all_at(self.filling.file, &self.bytes, self.begin).map_err(&self.filling.told)?;
        self.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    /// Takes what comes, and notes how long each write was.
    struct Noting(Vec<usize>, Vec<u8>);

    impl Write for Noting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            self.1.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn long_stretches_are_written_in_pieces_and_whole() {
        let bytes: Vec<u8> = (0..2 * PIECE + 7).map(|at| (at / 251) as u8).collect();
        let mut out = Noting(Vec::new(), Vec::new());
        write_all(&mut out, &bytes).unwrap();
        assert_eq!(out.0, [PIECE, PIECE, 7]);
        assert!(out.1 == bytes);

        let file = tempfile::tempfile().unwrap();
        write_all_at(&file, &bytes, 5).unwrap();
        let mut found = vec![0; bytes.len()];
        file.read_exact_at(&mut found, 5).unwrap();
        assert!(found == bytes && file.metadata().unwrap().len() == bytes.len() as u64 + 5);
        write_all_at(&file, &[], 1 << 40).unwrap();
    }

    #[test]
    fn many_threads_fill_a_file_with_what_has_its_places_there() {
        // Lengths of nothing, within a block, of blocks, and longer than what is gathered; every third lies apart.
        let lens = [0, 1, BLOCK, BLOCK + 1, 3 * PIECE + 5, 2 * GATHERED + 9, 77];
        let mut places = Vec::new();
        let mut end = BLOCK;
        for number in 0..200 {
            let len: usize = lens[number % lens.len()];
            places.push((end, len, number as u8 | 1));
            end = (end + len).next_multiple_of(BLOCK) + if number % 3 == 0 { BLOCK } else { 0 };
        }
        let file = tempfile::tempfile().unwrap();
        // What is not filled stays; the rest of a last block does not.
        let mut expected = vec![0xaa; end];
        file.write_all_at(&expected, 0).unwrap();
        let filling = Filling::new(&file, |error| error);
        places
            .par_chunks(7)
            .try_for_each(|places| {
                let mut gather = filling.gather();
                for &(at, len, byte) in places {
                    gather.take(at as u64, len as u64, |part, done| {
                        assert!(done as usize + part.len() <= len);
                        part.fill(byte);
                        Ok(())
                    })?;
                }
                gather.flush()
            })
            .unwrap();
        for (at, len, byte) in places {
            expected[at..at + len].fill(byte);
            expected[at + len..(at + len).next_multiple_of(BLOCK)].fill(0);
        }
        let mut found = vec![0; end];
        file.read_exact_at(&mut found, 0).unwrap();
        assert!(found == expected);
    }

    #[test]
    fn errors_of_both_sides_are_told() {
        let (full, file) = (File::open("/dev/null").unwrap(), tempfile::tempfile().unwrap());
        let filled = |file, read: fn() -> Result<(), String>| {
            let filling = Filling::new(file, |error: io::Error| error.to_string());
            let mut gather = filling.gather();
            gather.take(0, 1, |_, _| read()).and_then(|()| gather.flush())
        };
        assert!(filled(&full, || Ok(())).unwrap_err().contains("Bad file descriptor"));
        assert_eq!(filled(&file, || Err("no file".to_owned())).unwrap_err(), "no file");
        filled(&file, || Ok(())).unwrap();
    }
}
