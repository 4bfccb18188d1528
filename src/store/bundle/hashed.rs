//! A stream whose bytes are digested on the way.

use std::io::{self, Read, Write};

use crate::digest::Digest;

/// A reader or a writer, and the digest of all that went through it.
pub(super) struct Hashed<S> {
    stream: S,
    hasher: blake3::Hasher,
}

impl<S> Hashed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, hasher: blake3::Hasher::new() }
    }

    /// The digest of all bytes so far.
    pub(super) fn digest(&self) -> Digest {
        self.hasher.finalize().into()
    }
}

impl<S: Read> Read for Hashed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

impl<S: Write> Write for Hashed<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
