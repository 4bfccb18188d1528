//! Reading an `.rpm` (RPM file format, version 3 and later): lead, signature, header, payload, read once from front to back.

use std::io::{self, BufRead as _, BufReader, Read};

use sha2::{Digest as _, Sha256, Sha512};

use super::contents::{Contents, Entry, Kind};
use super::cpio::Payload;
use super::header::{Header, Tag};
use crate::progress::Cancel;
use crate::root::Error;
use crate::root::archive::{self, Origin};
use crate::root::plan::Package;

const LEAD_LEN: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// The number of SHA-256 in OpenPGP (RFC 9580, section 9.5).
const SHA256: u64 = 8;

/// A package file, read up to its payload.
pub(super) struct Rpm<'r> {
    pub(super) origin: Origin,
    pub(super) signature: Header,
    pub(super) header: Header,
    pub(super) contents: Contents,
    input: BufReader<Box<dyn Read + 'r>>,
    /// The length of the file in bytes, as it was promised.
    len: u64,
}

/// What is done with the files of a package.
pub(super) trait Sink {
    /// Takes a file; `contents` are its bytes, and none where it has none of its own: what is no regular file, and all hard links but the last one.
    fn take(&mut self, entry: &Entry, contents: Option<&mut dyn Read>) -> Result<(), Error>;
}

/// Takes nothing: for a package that is only checked.
pub(super) struct Nothing<'c>(pub(super) &'c Cancel);

impl Sink for Nothing<'_> {
    fn take(&mut self, _: &Entry, _: Option<&mut dyn Read>) -> Result<(), Error> {
        Ok(self.0.check()?)
    }
}

impl<'r> Rpm<'r> {
    /// Reads the lead and the headers of a package from `input`.
    ///
    /// # Errors
    /// What is no binary package, or one that no tree can hold.
    pub(super) fn read(origin: Origin, input: impl Read + 'r, len: u64) -> Result<Self, Error> {
        let mut input = BufReader::with_capacity(1 << 17, Box::new(input) as Box<dyn Read + 'r>);
        let unreadable = |source| origin.unreadable(source);
        let mut lead = [0; LEAD_LEN];
        input.read_exact(&mut lead).map_err(unreadable)?;
        if lead[..4] != LEAD_MAGIC {
            return Err(origin.bad("it is no RPM package"));
        }
        let damaged = |source: io::Error| match source.kind() {
            io::ErrorKind::InvalidData => origin.bad(source.to_string()),
            _ => origin.unreadable(source),
        };
        let (signature, signature_len) = Header::read(&mut input).map_err(damaged)?;
        let padding = signature_len.wrapping_neg() % 8;
        input.read_exact(&mut [0; 7][..padding as usize]).map_err(unreadable)?;
        let (header, _) = Header::read(&mut input).map_err(damaged)?;
        if header.has(Tag::SOURCE_PACKAGE) {
            return Err(origin.bad("it is a source package"));
        }
        let format = header.text(Tag::PAYLOAD_FORMAT).map_err(damaged)?.unwrap_or("cpio");
        if format != "cpio" {
            return Err(origin.bad(format!("its payload has the format “{format}”, which this program does not read")));
        }
        let contents = Contents::of(&header).map_err(damaged)?;
        Ok(Self { origin, signature, header, contents, input, len })
    }

    /// What it says of itself: name, `[epoch:]version-release` and architecture.
    pub(super) fn identity(&self) -> Result<(String, String, String), Error> {
        self.header.identity().map_err(|source| self.origin.bad(source.to_string()))
    }

    /// The SHA-256 of the payload as the file has it, in hexadecimal; packages before rpm 4.14 do not say it.
    pub(super) fn payload_digest(&self) -> Result<Option<&str>, Error> {
        self.header.text(Tag::PAYLOAD_DIGEST).map_err(|source| self.origin.bad(source.to_string()))
    }

    /// Whether the digests of its files are SHA-2. Older packages have MD5, which `rpm` can compare itself.
    pub(super) fn is_comparable(&self) -> bool {
        !matches!(Hasher::of(self.contents.algorithm), Hasher::Unknown)
    }

    /// Reads the payload to the end of the file and hands each of its files to `sink`. Whatever the sink does, all bytes have been compared with the
    /// digests of the header: those of its files, if these are [comparable](Self::is_comparable), and that of the payload, if there is one.
    ///
    /// # Errors
    /// A damaged payload, one that is not what the header says, and the errors of the sink.
    pub(super) fn unpack(self, sink: &mut dyn Sink) -> Result<(), Error> {
        let Self { origin, header, contents, mut input, len, .. } = self;
        let damaged = |source: io::Error| match source.kind() {
            io::ErrorKind::InvalidData => origin.bad(source.to_string()),
            _ => origin.unreadable(source),
        };
        // Packages with nothing in them have no payload but its end.
        let compressor = header.text(Tag::PAYLOAD_COMPRESSOR).map_err(damaged)?.unwrap_or("gzip");
        let is_gzip = input.fill_buf().map_err(damaged)?.starts_with(&[0x1f, 0x8b]);
        let ending = match compressor {
            // What is not compressed says nothing of it.
            "gzip" if !is_gzip => "",
            "gzip" => ".gz",
            "xz" => ".xz",
            "lzma" => ".lzma",
            "zstd" => ".zst",
            other => return Err(origin.bad(format!("its payload is compressed with “{other}”, which this program does not read"))),
        };
        let promised = header.text(Tag::PAYLOAD_DIGEST).map_err(damaged)?;
        let mut input = Hashing { input, hasher: promised.map_or(Hasher::Unknown, |_| Hasher::of(SHA256)) };
        {
            let decoder = archive::decoder(&origin, ending, BufReader::with_capacity(1 << 17, &mut input), len)?;
            let mut payload = Payload::new(decoder, &contents);
            while let Some(number) = payload.next().map_err(damaged)? {
                let entry = &contents.entries[number];
                if entry.kind != Kind::Regular || entry.last_link != number {
                    sink.take(entry, None)?;
                    continue;
                }
                let mut hashing = Hashing { input: &mut payload, hasher: Hasher::of(contents.algorithm) };
                sink.take(entry, Some(&mut hashing))?;
                io::copy(&mut hashing, &mut io::sink()).map_err(damaged)?;
                if hashing.hasher.finish().is_some_and(|digest| !digest.eq_ignore_ascii_case(&entry.digest)) {
                    return Err(origin.bad(format!("/{} does not have the digest that its header promises", entry.path)));
                }
            }
        }
        // Only the last byte of a blob proves that all of them were right.
        io::copy(&mut input, &mut io::sink()).map_err(|source| origin.unreadable(source))?;
        if input.hasher.finish().zip(promised).is_some_and(|(found, promised)| !found.eq_ignore_ascii_case(promised)) {
            return Err(origin.bad("its payload does not have the digest that its header promises"));
        }
        Ok(())
    }

    /// Checks that it is the package that the plan speaks of.
    pub(super) fn check_identity(&self, package: &Package) -> Result<(), Error> {
        let (name, version, arch) = self.identity()?;
        let coordinates = &package.coordinates;
        // An epoch of 0 is none.
        let expected = coordinates.version().strip_prefix("0:").unwrap_or(coordinates.version());
        if (name.as_str(), version.as_str(), arch.as_str()) != (coordinates.name(), expected, coordinates.arch()) {
            return Err(Error::BadPackage { package: coordinates.to_string(), problem: format!("inside it says {name}-{version}.{arch}") });
        }
        Ok(())
    }
}

/// Computes a digest of what is read.
struct Hashing<R> {
    input: R,
    hasher: Hasher,
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
    /// An algorithm that nobody should use any more.
    Unknown,
}

impl Hasher {
    fn of(algorithm: u64) -> Self {
        match algorithm {
            SHA256 => Self::Sha256(Sha256::new()),
            10 => Self::Sha512(Sha512::new()),
            _ => Self::Unknown,
        }
    }

    fn finish(self) -> Option<String> {
        let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or_default());
        let text = |bytes: &[u8]| bytes.iter().flat_map(digits).collect();
        match self {
            Self::Sha256(hasher) => Some(text(&hasher.finalize())),
            Self::Sha512(hasher) => Some(text(&hasher.finalize())),
            Self::Unknown => None,
        }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(&buffer[..read]),
            Hasher::Sha512(hasher) => hasher.update(&buffer[..read]),
            Hasher::Unknown => {}
        }
        Ok(read)
    }
}

/// Reads all of a package, and unpacks nothing.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn examine(bytes: &[u8]) -> Result<(), Error> {
    let rpm = Rpm::read(Origin::named("demo 1"), bytes, bytes.len() as u64)?;
    rpm.identity()?;
    rpm.unpack(&mut Nothing(&Cancel::default()))
}
