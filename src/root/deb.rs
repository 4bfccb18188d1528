//! Reading a `.deb` (`deb(5)`): an `ar` archive of `debian-binary`, `control.tar` and `data.tar`, read once from front to back.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use super::archive::{self, Origin, decoder};
use super::plan::Package;
use super::{Error, bounded, control};

/// The most that one file of `control.tar` may hold. The largest in Debian are `md5sums` of some 4 MiB.
const CONTROL_FILE_LIMIT: u64 = 16 << 20;
/// The most that all files of `control.tar` may hold together.
const CONTROL_LIMIT: u64 = 32 << 20;
/// The most entries in `control.tar`.
const CONTROL_ENTRIES: usize = 1024;

/// The control part of a package.
#[derive(Debug)]
pub(super) struct Control {
    /// The stanza of `control`.
    pub(super) stanza: control::Stanza,
    /// All other files by name (`preinst`, `conffiles`, …), each with whether it is executable.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// A package file that is being read.
pub(super) struct Deb<'r> {
    origin: Origin,
    input: Box<dyn Read + 'r>,
    /// The length of the file in bytes, as it was promised; no member is longer.
    len: u64,
}

impl<'r> Deb<'r> {
    /// Opens a package and checks that it is one.
    pub(super) fn open(package: &Package) -> Result<Self, Error> {
        let origin = Origin::of(package);
        let input = archive::open(package, &origin)?;
        Self::from_reader(origin, Box::new(BufReader::with_capacity(1 << 17, input)), package.size)
    }

    /// The same for bytes from anywhere.
    fn from_reader(origin: Origin, mut input: Box<dyn Read + 'r>, len: u64) -> Result<Self, Error> {
        let mut magic = [0; 8];
        input.read_exact(&mut magic).map_err(|source| origin.unreadable(source))?;
        let mut deb = Self { origin, input, len };
        if &magic != b"!<arch>\n" {
            return Err(deb.bad("it is no Debian package (no ar archive)"));
        }
        let (member, size) = deb.member()?;
        if member != "debian-binary" || size > 64 {
            return Err(deb.bad("it does not begin with debian-binary"));
        }
        let mut version = vec![0; size as usize + size as usize % 2];
        deb.read_exact(&mut version)?;
        if !version.starts_with(b"2.") {
            return Err(deb.bad(format!("its format is {:?}, not 2.0", String::from_utf8_lossy(&version).trim())));
        }
        Ok(deb)
    }

    /// The same for bytes in memory.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        let len = bytes.len() as u64;
        Self::from_reader(Origin::named("demo 1"), Box::new(io::Cursor::new(bytes)), len)
    }

    /// Reads the control part; must be called first.
    pub(super) fn control(&mut self) -> Result<Control, Error> {
        let (member, size) = self.member()?;
        let Some(compression) = member.strip_prefix("control.tar") else {
            return Err(self.bad(format!("“{member}” stands where control.tar must be")));
        };
        let mut files = {
            let mut part = (&mut self.input).take(size);
            let files = read_control(&self.origin, decoder(&self.origin, compression, &mut part, size.min(self.len))?)?;
            io::copy(&mut part, &mut io::sink()).map_err(|source| self.origin.unreadable(source))?;
            files
        };
        if size % 2 == 1 {
            self.read_exact(&mut [0])?;
        }
        let stanza = files.remove("control").ok_or_else(|| self.bad("it has no control file"))?;
        let stanza = control::Stanza::parse(&stanza).map_err(|problem| self.bad(problem))?;
        Ok(Control { stanza, files })
    }

    /// The data part, decompressed; must be called after [`Deb::control`].
    pub(super) fn data(&mut self) -> Result<Box<dyn Read + '_>, Error> {
        loop {
            let (member, size) = self.member()?;
            if let Some(compression) = member.strip_prefix("data.tar") {
                return decoder(&self.origin, compression, (&mut self.input).take(size), size.min(self.len));
            }
            // `deb(5)`: members whose names begin with an underscore may stand before data.tar, and are skipped.
            if !member.starts_with('_') {
                return Err(self.bad(format!("“{member}” stands where data.tar must be")));
            }
            let skipped = io::copy(&mut (&mut self.input).take(size + size % 2), &mut io::sink());
            skipped.map_err(|source| self.origin.unreadable(source))?;
        }
    }

    /// Reads what is left: only the last byte proves that all of them were right.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        io::copy(&mut self.input, &mut io::sink()).map(drop).map_err(|source| self.origin.unreadable(source))
    }

    /// The next member's name and size.
    fn member(&mut self) -> Result<(String, u64), Error> {
        let mut header = [0; 60];
        self.read_exact(&mut header)?;
        let text = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok().map(str::trim_end);
        let size = text(48..58).and_then(|digits| digits.parse().ok());
        match (text(0..16), size) {
            (Some(name), Some(size)) if &header[58..] == b"`\n" => Ok((name.trim_end_matches('/').to_owned(), size)),
            _ => Err(self.bad("its ar archive is damaged")),
        }
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.input.read_exact(bytes).map_err(|source| self.origin.unreadable(source))
    }

    fn bad(&self, problem: impl Into<String>) -> Error {
        self.origin.bad(problem)
    }
}

/// What the control file of a package says, field by field. `name` is what errors call the package, `len` the length of its file in bytes; only the
/// beginning of `input` is read.
///
/// # Errors
/// What is no package, or one that cannot be read.
pub fn control_fields(name: &str, input: impl Read, len: u64) -> Result<Vec<(String, String)>, Error> {
    let origin = Origin::named(name);
    Ok(Deb::from_reader(origin, Box::new(BufReader::new(input)), len)?.control()?.stanza.into_fields())
}

fn read_control(origin: &Origin, input: Box<dyn Read + '_>) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let unreadable = |source| origin.unreadable(source);
    let bad = |problem: &str| origin.bad(problem);
    let mut files = BTreeMap::new();
    let mut number = 0;
    bounded::entries(input.take(CONTROL_LIMIT), unreadable, |entry| {
        number += 1;
        if number > CONTROL_ENTRIES || entry.size() > CONTROL_FILE_LIMIT {
            return Err(bad("its control part is too large"));
        }
        if !entry.header().entry_type().is_file() {
            return Ok(());
        }
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| bad("a control file's name is no text"))?;
        let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
        // The name becomes the ending of a file in dpkg's database.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) || name.starts_with('.') {
            return Err(bad("a control file has a name that dpkg would refuse"));
        }
        // Room for what is there, and no more: memory that is taken by doubling is taken twice.
        let mut bytes = Vec::with_capacity(entry.size() as usize);
        entry.read_to_end(&mut bytes).map_err(unreadable)?;
        files.insert(name, bytes);
        Ok(())
    })?;
    Ok(files)
}

/// Reads all of a package but for what its files hold, and unpacks nothing.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn examine(bytes: Vec<u8>) -> Result<(), Error> {
    let mut deb = Deb::from_bytes(bytes)?;
    deb.control()?;
    let origin = deb.origin.clone();
    bounded::entries(
        deb.data()?,
        |source| origin.unreadable(source),
        |entry| super::unpack::examine(entry).map_err(|source| origin.unreadable(source)),
    )?;
    deb.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::testing::{DebBuilder, ar};

    #[test]
    fn reads_every_compression() {
        for compression in ["", ".gz", ".xz", ".zst"] {
            let bytes = DebBuilder::new("demo", "1").file("usr/bin/demo", b"hello", 0o755).compression(compression).build();
            let mut deb = Deb::from_bytes(bytes).unwrap();
            let control = deb.control().unwrap();
            assert_eq!(control.stanza.field("Package"), Some("demo"));
            let mut data = Vec::new();
            deb.data().unwrap().read_to_end(&mut data).unwrap();
            assert!(data.len() >= 1024 && data.len() % 512 == 0, "{compression}: {}", data.len());
        }
    }

    /// As `atlc-examples` of Debian 12, whose first tenth stands for most of it.
    #[test]
    fn a_package_that_begins_with_zeros_is_read() {
        let (zeros, noise) = (vec![0; 60 << 20], crate::store::tests::noise(200 << 10, 1));
        let deb = DebBuilder::new("demo", "1").file("zeros", &zeros, 0o644).file("noise", &noise, 0o644).compression(".zst").build();
        examine(deb).unwrap();
    }

    #[test]
    fn refuses_what_is_no_package() {
        for (bytes, problem) in [
            (b"#!/bin/sh\necho hello\n".to_vec(), "no ar archive"),
            (ar(&[("control.tar", b"")]), "debian-binary"),
            (ar(&[("debian-binary", b"3.0\n")]), "not 2.0"),
        ] {
            let error = Deb::from_bytes(bytes).err().expect("refused").to_string();
            assert!(error.contains(problem), "{error}");
        }
        let mut deb = Deb::from_bytes(ar(&[("debian-binary", b"2.0\n"), ("data.tar", b"")])).unwrap();
        assert!(deb.control().unwrap_err().to_string().contains("where control.tar must be"));
    }

    #[test]
    fn a_truncated_package_is_unreadable() {
        let bytes = DebBuilder::new("demo", "1").file("usr/bin/demo", &[7; 4096], 0o755).compression(".xz").build();
        for cut in [9, 70, 200] {
            let result = Deb::from_bytes(bytes[..cut].to_vec()).and_then(|mut deb| deb.control().map(drop));
            assert!(matches!(result, Err(Error::Unreadable { .. })), "{cut}");
        }
    }
}
