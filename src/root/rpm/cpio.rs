//! The payload of a package: a cpio archive as `rpm` writes it.
//!
//! Either with names (“newc”, `070701`, see cpio(5)), or stripped (`07070X`): an entry is then the place of a file in the header, which says all
//! else. That is how packages with files of 4 GiB and more are written. Entries stand at multiples of four bytes.

use std::collections::HashMap;
use std::io::{self, Read};

use super::contents::{Contents, Kind};

/// The longest name, with its final zero (`PATH_MAX`).
const NAME_LIMIT: u64 = 4096;
const TRAILER: &[u8] = b"TRAILER!!!";

fn bad(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.into())
}

/// A payload that is being read.
pub(super) struct Payload<'c, R> {
    input: R,
    /// How many bytes were read.
    position: u64,
    contents: &'c Contents,
    places: HashMap<&'c str, usize>,
    /// Which files have been there.
    seen: Vec<bool>,
    /// What is unread of the current entry.
    left: u64,
}

impl<'c, R: Read> Payload<'c, R> {
    pub(super) fn new(input: R, contents: &'c Contents) -> Self {
        let places = contents.entries.iter().enumerate().map(|(number, entry)| (entry.path.as_str(), number)).collect();
        Self { input, position: 0, contents, places, seen: vec![false; contents.entries.len()], left: 0 }
    }

    /// Goes to the next entry; returns the number of its file in the header, or none after the last one. What was not read of the one before is
    /// passed over. The contents of the entry are what can then be read of this value.
    ///
    /// # Errors
    /// `InvalidData` for what is no such archive, for a file that the header does not have, has twice or has as `%ghost`, and for a file that is
    /// missing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<usize>> {
        io::copy(self, &mut io::sink())?;
        self.align()?;
        let mut magic = [0; 6];
        self.fill(&mut magic)?;
        let number = match &magic {
            b"070701" | b"070702" => self.named()?,
            b"07070X" => self.stripped()?,
            _ => return Err(bad("its payload is no cpio archive")),
        };
        let Some(number) = number else {
            let missing = self.contents.entries.iter().zip(&self.seen).find(|(entry, seen)| !entry.ghost && !**seen);
            return missing.map_or(Ok(None), |(entry, _)| Err(bad(format!("/{} is not in its payload", entry.path))));
        };
        if self.contents.entries[number].ghost || std::mem::replace(&mut self.seen[number], true) {
            return Err(bad(format!("/{} must not be in its payload, or not twice", self.contents.entries[number].path)));
        }
        Ok(Some(number))
    }

    fn named(&mut self) -> io::Result<Option<usize>> {
        let mut fields = [0; 104];
        self.fill(&mut fields)?;
        let field = |number: usize| hexadecimal(&fields[number * 8..][..8]);
        let (size, name_len) = (field(6)?, field(11)?);
        if name_len == 0 || name_len > NAME_LIMIT {
            return Err(bad(format!("a name in its payload has {name_len} bytes")));
        }
        let mut name = vec![0; name_len as usize];
        self.fill(&mut name)?;
        self.align()?;
        name.pop();
        if name == TRAILER {
            return Ok(None);
        }
        let text = std::str::from_utf8(&name).map_err(|_| bad("a name in its payload is not UTF-8"))?;
        let path = text.strip_prefix('.').unwrap_or(text);
        let path = path.strip_prefix('/').unwrap_or(path);
        let number = *self.places.get(path).ok_or_else(|| bad(format!("its payload has “{text}”, of which its header does not know")))?;
        let expected = self.expected(number);
        // A hard link but the last one has nothing; that all else is there is checked by its digest, too.
        if size != expected && !matches!(self.contents.entries[number].kind, Kind::Directory | Kind::Device | Kind::Fifo) {
            return Err(bad(format!("/{path} has {size} bytes in its payload, and {expected} in its header")));
        }
        self.left = size;
        Ok(Some(number))
    }

    fn stripped(&mut self) -> io::Result<Option<usize>> {
        let mut field = [0; 8];
        self.fill(&mut field)?;
        let number = hexadecimal(&field)? as usize;
        if number >= self.contents.entries.len() {
            return Err(bad("its payload has a file of which its header does not know"));
        }
        self.align()?;
        self.left = self.expected(number);
        Ok(Some(number))
    }

    /// How many bytes of an entry are in the payload.
    fn expected(&self, number: usize) -> u64 {
        let entry = &self.contents.entries[number];
        match entry.kind {
            Kind::Regular if entry.last_link == number => entry.size,
            Kind::Link => entry.size,
            _ => 0,
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.input.read_exact(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn align(&mut self) -> io::Result<()> {
        let padding = self.position.wrapping_neg() % 4;
        self.fill(&mut [0; 3][..padding as usize])
    }
}

impl<R: Read> Read for Payload<'_, R> {
    /// Reads of the current entry.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.input.read(&mut buffer[..part])?;
        if read == 0 && part > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        self.position += read as u64;
        Ok(read)
    }
}

fn hexadecimal(digits: &[u8]) -> io::Result<u64> {
    // Not `from_str_radix` alone, which takes a sign.
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or_else(|| bad("a number in its payload is none"))
}
