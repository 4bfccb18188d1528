//! Reading a `.deb` (`deb(5)`): an `ar` archive of `debian-binary`, `control.tar` and `data.tar`, read once from front to back.
//!
//! A plain package is what [`decompressed`] makes of one: `ICDEB`, 0, 0 and a version, the length of `control.tar` as a little-endian u64, `control.tar`, a zero
//! where that is odd, and `data.tar`, neither of them compressed.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use super::archive::{self, Origin, decoder};
use super::plan::{Package, Source};
use super::{Error, bounded, control};

/// The most that one file of `control.tar` may hold. The largest in Debian are `md5sums` of some 4 MiB.
const CONTROL_FILE_LIMIT: u64 = 16 << 20;
/// The most that all files of `control.tar` may hold together.
const CONTROL_LIMIT: u64 = 32 << 20;
/// The most entries in `control.tar`.
const CONTROL_ENTRIES: usize = 1024;

/// How a plain package begins.
const PLAIN: [u8; 8] = *b"ICDEB\0\0\x01";

/// What is decompressed so slowly that it pays to keep it decompressed: by a tenth of the speed of the store's own zstd, and less.
const SLOW: [&str; 2] = [".xz", ".lzma"];

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
    /// The length of the package's file in bytes, as it was promised; what is compressed in it is no longer.
    len: u64,
    members: Members,
}

/// How the parts of a package follow each other.
enum Members {
    /// Each with a head of its own.
    Archive,
    /// Those of a plain package: the length of `control.tar`, until that was read.
    Plain(Option<u64>),
}

impl<'r> Deb<'r> {
    /// Opens a package and checks that it is one.
    pub(super) fn open(package: &Package) -> Result<Self, Error> {
        let origin = Origin::of(package);
        let input = Box::new(BufReader::with_capacity(1 << 17, archive::open(package, &origin)?));
        match package.supply.wait()? {
            Source::Plain { .. } => Self::plain(origin, input, package.size),
            _ => Self::from_reader(origin, input, package.size),
        }
    }

    /// Opens a plain package, which only the store has.
    fn plain(origin: Origin, input: Box<dyn Read + 'r>, len: u64) -> Result<Self, Error> {
        let mut deb = Self { origin, input, len, members: Members::Archive };
        let (mut magic, mut control) = ([0; PLAIN.len()], [0; 8]);
        deb.read_exact(&mut magic)?;
        deb.read_exact(&mut control)?;
        if magic != PLAIN {
            return Err(deb
                .origin
                .unreadable(io::Error::new(io::ErrorKind::InvalidData, "it begins otherwise than what the store keeps decompressed")));
        }
        deb.members = Members::Plain(Some(u64::from_le_bytes(control)));
        Ok(deb)
    }

    /// Opens a package of bytes from anywhere.
    fn from_reader(origin: Origin, mut input: Box<dyn Read + 'r>, len: u64) -> Result<Self, Error> {
        let mut magic = [0; 8];
        input.read_exact(&mut magic).map_err(|source| origin.unreadable(source))?;
        let mut deb = Self { origin, input, len, members: Members::Archive };
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

    /// The same for bytes in memory, of a plain package too.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        let (origin, len, is_plain) = (Origin::named("demo 1"), bytes.len() as u64, bytes.starts_with(&PLAIN));
        let input = Box::new(io::Cursor::new(bytes));
        if is_plain { Self::plain(origin, input, len) } else { Self::from_reader(origin, input, len) }
    }

    /// Reads the control part; must be called first.
    pub(super) fn control(&mut self) -> Result<Control, Error> {
        let mut files = self.control_part(read_control)?;
        let stanza = files.remove("control").ok_or_else(|| self.bad("it has no control file"))?;
        let stanza = control::Stanza::parse(&stanza).map_err(|problem| self.bad(problem))?;
        Ok(Control { stanza, files })
    }

    /// Reads the control part, decompressed, with `read`.
    fn control_part<T>(&mut self, read: impl FnOnce(&Origin, Box<dyn Read + '_>) -> Result<T, Error>) -> Result<T, Error> {
        let (member, size) = self.member()?;
        let Some(compression) = member.strip_prefix("control.tar") else {
            return Err(self.bad(format!("“{member}” stands where control.tar must be")));
        };
        let mut part = (&mut self.input).take(size);
        let found = read(&self.origin, decoder(&self.origin, compression, &mut part, size.min(self.len))?)?;
        io::copy(&mut part, &mut io::sink()).map_err(|source| self.origin.unreadable(source))?;
        if size % 2 == 1 {
            self.read_exact(&mut [0])?;
        }
        Ok(found)
    }

    /// The data part, decompressed; must be called after [`Deb::control`].
    pub(super) fn data(&mut self) -> Result<Box<dyn Read + '_>, Error> {
        let (compression, size) = self.data_member()?;
        decoder(&self.origin, &compression, (&mut self.input).take(size), size.min(self.len))
    }

    /// How the data part is compressed, and its size.
    fn data_member(&mut self) -> Result<(String, u64), Error> {
        loop {
            let (member, size) = self.member()?;
            if let Some(compression) = member.strip_prefix("data.tar") {
                return Ok((compression.to_owned(), size));
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
        if let Members::Plain(control) = &mut self.members {
            return Ok(control.take().map_or_else(|| ("data.tar".to_owned(), u64::MAX), |size| ("control.tar".to_owned(), size)));
        }
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

/// Hands the bytes of a plain package to `keep` ([`crate::root`] reads it as the package itself); none where the package is decompressed fast enough as it is.
/// What was kept is not to be used if the package turns out to be damaged after all. `name` and `len` as for [`control_fields`].
///
/// # Errors
/// What is no package, or one that cannot be read.
pub fn decompressed<T>(name: &str, input: impl Read, len: u64, keep: impl FnOnce(&mut dyn Read) -> T) -> Result<Option<T>, Error> {
    let mut deb = Deb::from_reader(Origin::named(name), Box::new(BufReader::with_capacity(1 << 17, input)), len)?;
    let mut beginning = [PLAIN, [0; 8]].concat();
    let control = deb.control_part(|origin, input| {
        let size = input.take(CONTROL_LIMIT + 1).read_to_end(&mut beginning).map_err(|source| origin.unreadable(source))? as u64;
        if size > CONTROL_LIMIT { Err(origin.bad("its control part is too large")) } else { Ok(size) }
    })?;
    beginning[PLAIN.len()..][..8].copy_from_slice(&control.to_le_bytes());
    let (compression, size) = deb.data_member()?;
    if !SLOW.contains(&compression.as_str()) {
        return Ok(None);
    }
    beginning.resize(beginning.len().next_multiple_of(2), 0);
    let data = decoder(&deb.origin, &compression, (&mut deb.input).take(size), size.min(len))?;
    let kept = keep(&mut beginning.as_slice().chain(data));
    deb.finish()?;
    Ok(Some(kept))
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

    fn plain(deb: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        let kept = decompressed("demo 1", deb, deb.len() as u64, |input| input.read_to_end(&mut plain)).unwrap();
        kept.map(|length| {
            assert_eq!(length.unwrap(), plain.len());
            plain
        })
    }

    #[test]
    fn a_plain_package_is_read_as_the_package_itself() {
        for (compression, is_slow) in [("", false), (".gz", false), (".zst", false), (".xz", true)] {
            let builder = DebBuilder::new("demo", "1").control_file("preinst", b"#!/bin/sh\n").file("usr/bin/demo", &vec![7; 100_000], 0o755);
            let deb = builder.compression(compression).build();
            let plain = plain(&deb);
            assert_eq!(plain.is_some(), is_slow, "{compression}");
            let Some(plain) = plain else { continue };
            let parts = |bytes: &[u8]| {
                let (mut deb, mut data) = (Deb::from_bytes(bytes.to_vec()).unwrap(), Vec::new());
                let control = deb.control().unwrap();
                deb.data().unwrap().read_to_end(&mut data).unwrap();
                deb.finish().unwrap();
                (control.stanza.into_fields(), control.files, data)
            };
            assert_eq!(parts(&plain), parts(&deb));
            assert!(plain.len() > 100_000 && deb.len() < 2000, "{} {}", plain.len(), deb.len());
            for cut in [9, 20, 2000] {
                let read = Deb::from_bytes(plain[..cut].to_vec()).and_then(|mut deb| deb.control().map(drop));
                assert!(matches!(read, Err(Error::Unreadable { .. })), "{cut}");
            }
            // It is no package outside of the store.
            let error = control_fields("demo", plain.as_slice(), plain.len() as u64).unwrap_err();
            assert!(error.to_string().contains("no ar archive"), "{error}");
        }
    }

    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("other bytes than promised"))
        }
    }

    #[test]
    fn nothing_plain_is_made_of_a_damaged_package() {
        let deb = DebBuilder::new("demo", "1").file("usr/bin/demo", &crate::store::tests::noise(100_000, 1), 0o755).compression(".xz").build();
        // Its last byte is behind all that is decompressed.
        let trailing = [&deb[..], b"trailing"].concat();
        let input = trailing.as_slice().chain(Failing);
        let made = decompressed("demo 1", input, trailing.len() as u64, |input| io::copy(input, &mut io::sink()).unwrap());
        assert!(matches!(made, Err(Error::Unreadable { .. })), "{made:?}");
        for broken in [deb[..deb.len() / 2].to_vec(), [&deb[..deb.len() / 2], &[0xff; 64], &deb[deb.len() / 2 + 64..]].concat()] {
            let length = broken.len() as u64;
            let made = decompressed("demo 1", broken.as_slice(), length, |input| io::copy(input, &mut io::sink()));
            assert!(made.is_err() || made.is_ok_and(|kept| kept.is_some_and(|kept| kept.is_err())));
        }
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
