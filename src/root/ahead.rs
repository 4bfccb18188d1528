//! What packages hold whose turn is still to come, decompressed while scripts run, which keep one processor busy, and while others are fetched.
//!
//! A package becomes its data archive with all files empty, and the files beside it, in the file system of the tree: once the package is unpacked, they are
//! moved to where they belong. One of which anything is unusual or wrong is left alone: its own unpacking deals with it, or says what it is.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use tar::{EntryType, Header};

use super::Error;
use super::deb::Deb;
use super::plan::Package;
use crate::progress::Cancel;

/// The length of a block of an archive in bytes.
const BLOCK: u64 = 512;

/// The longest archive without its files that is kept in memory, in bytes.
const LIMIT: usize = 64 << 20;

/// How much of a file is copied at once, in bytes.
const BUFFER: usize = 1 << 17;

/// How often it is looked for packages that have come.
const PAUSE: Duration = Duration::from_millis(10);

/// The packages of one installation that are decompressed ahead.
pub(super) struct Ahead<'a> {
    packages: &'a [Package],
    cancel: &'a Cancel,
    /// None where nothing is done ahead.
    dir: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Packages that need no look any more, by their places in the plan.
    seen: HashSet<usize>,
    decoded: HashMap<usize, Decoded>,
}

/// A package that is decompressed.
pub(super) struct Decoded {
    /// Its data archive; all files in it are empty.
    pub(super) archive: Vec<u8>,
    pub(super) contents: Contents,
}

/// The files of a package in a folder, by their places in its archive. What was not moved ends with this. (It stays closed: there may be more packages than a
/// process may have files open.)
pub(super) struct Contents(PathBuf);

impl Contents {
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Moves a file to a name, in place of another file there.
    pub(super) fn place(&self, number: usize, dir: &OwnedFd, name: &OsStr) -> Result<File, Errno> {
        let own = self.0.join(number.to_string());
        let file = rustix::fs::open(&own, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        rustix::fs::renameat(CWD, &own, dir, name)?;
        Ok(file.into())
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        // The folder ends with the build at the latest.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl<'a> Ahead<'a> {
    /// For the packages of a plan; `dir` is a folder that is made, in the file system of the tree. Without one nothing is done ahead.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub(super) fn new(packages: &'a [Package], dir: Option<&Path>, cancel: &'a Cancel) -> Result<Self, Error> {
        if let Some(dir) = dir {
            std::fs::create_dir(dir).map_err(Error::io("make", dir))?;
        }
        Ok(Self { packages, cancel, dir: dir.map(Path::to_owned), state: Mutex::default() })
    }

    /// Does the work, and meanwhile decompresses those of these packages that are not unpacked yet, as far as they are there. One that is begun is finished.
    pub(super) fn during<T>(&self, which: impl Fn(&Package) -> bool + Sync, work: impl FnOnce() -> T) -> T {
        let Some(dir) = &self.dir else { return work() };
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| self.decode(&which, dir, &ends));
            let result = work();
            ends.store(true, Ordering::Relaxed);
            helper.thread().unpark();
            result
        })
    }

    /// What was decompressed of a package that is unpacked now.
    pub(super) fn take(&self, number: usize) -> Option<Decoded> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen.insert(number);
        state.decoded.remove(&number)
    }

    fn decode(&self, which: impl Fn(&Package) -> bool, dir: &Path, ends: &AtomicBool) {
        let packages = self.packages;
        let mut left: Vec<usize> = (0..packages.len()).filter(|&number| which(&packages[number])).collect();
        left.sort_by_key(|&number| (packages[number].stage, std::cmp::Reverse(packages[number].size)));
        while !left.is_empty() && !ends.load(Ordering::Relaxed) && self.cancel.check().is_ok() {
            let Some(place) = left.iter().position(|&number| packages[number].supply.is_there()) else {
                std::thread::park_timeout(PAUSE);
                continue;
            };
            let number = left.remove(place);
            if !self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.insert(number) {
                continue;
            }
            if let Ok(decoded) = decode(&packages[number], &dir.join(number.to_string()), self.cancel) {
                self.state.lock().unwrap_or_else(PoisonError::into_inner).decoded.insert(number, decoded);
            }
        }
    }
}

/// Decompresses a package, with its files in a folder that is made.
fn decode(package: &Package, dir: &Path, cancel: &Cancel) -> Result<Decoded, Error> {
    let mut deb = Deb::open(package)?;
    deb.control()?;
    let contents = Contents::create(dir.to_owned()).map_err(Error::io("make", dir))?;
    let archive = split(deb.data()?, &contents, cancel).map_err(Error::io("write", dir))?;
    deb.finish()?;
    Ok(Decoded { archive, contents })
}

/// Takes the files out of an archive (`tar(5)`), and returns the archive with all of them empty.
pub(super) fn split(mut input: impl Read, contents: &Contents, cancel: &Cancel) -> io::Result<Vec<u8>> {
    let unusual = || io::Error::from(io::ErrorKind::Unsupported);
    let mut archive = Vec::new();
    let mut buffer = vec![0; BUFFER];
    let mut files = 0;
    loop {
        let mut block = [0; BLOCK as usize];
        input.read_exact(&mut block)?;
        if block.iter().all(|byte| *byte == 0) {
            // Two of them are the end.
            archive.extend([0; 2 * BLOCK as usize]);
            return Ok(archive);
        }
        let mut header = Header::from_byte_slice(&block).clone();
        let (promised, size) = (header.cksum()?, header.entry_size()?);
        header.set_cksum();
        if header.cksum()? != promised || archive.len() > LIMIT {
            return Err(unusual());
        }
        match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let file = File::create_new(contents.0.join(files.to_string()))?;
                files += 1;
                copy(&mut input, &file, size, &mut buffer, cancel)?;
                let padding = (size.next_multiple_of(BLOCK) - size) as usize;
                input.read_exact(&mut block[..padding])?;
                header.set_size(0);
                header.set_cksum();
                archive.extend(header.as_bytes());
            }
            EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink if size <= BUFFER as u64 => {
                let description = &mut buffer[..size.next_multiple_of(BLOCK) as usize];
                input.read_exact(description)?;
                // It would be another one than the header's.
                if description.windows(6).any(|window| window == b" size=") {
                    return Err(unusual());
                }
                archive.extend(block);
                archive.extend(&*description);
            }
            EntryType::Directory | EntryType::Symlink | EntryType::Link | EntryType::Char | EntryType::Block | EntryType::Fifo if size == 0 => {
                archive.extend(block);
            }
            _ => return Err(unusual()),
        }
    }
}

fn copy(input: &mut impl Read, mut file: &File, size: u64, buffer: &mut [u8], cancel: &Cancel) -> io::Result<()> {
    let mut left = size;
    while left > 0 {
        cancel.check().map_err(io::Error::other)?;
        let part = &mut buffer[..left.min(BUFFER as u64) as usize];
        input.read_exact(part)?;
        file.write_all(part)?;
        left -= part.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::plan::Source;
    use crate::root::testing::{DebBuilder, package};

    /// What [`split`] leaves, and the files.
    fn parts(data: &[u8]) -> io::Result<(Vec<u8>, Vec<Vec<u8>>)> {
        let dir = tempfile::tempdir().unwrap();
        let contents = Contents::create(dir.path().join("contents")).unwrap();
        let archive = split(data, &contents, &Cancel::default())?;
        let files = (0_usize..).map_while(|number| std::fs::read(contents.0.join(number.to_string())).ok()).collect();
        Ok((archive, files))
    }

    fn deb() -> DebBuilder {
        DebBuilder::new("demo", "1")
    }

    #[test]
    fn an_archive_keeps_all_but_what_its_files_hold() {
        let long = "d/".repeat(80) + "long";
        let mut first = deb().dir("./d/", 0o755).xattrs(&[("user.a", b"b")]).file("./d/a", &[7; 513], 0o4755).data();
        // Without its end.
        first.truncate(first.len() - 1024);
        let mut data = tar::Builder::new(first);
        let mut header = Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        data.append_data(&mut header, &long, &b"abc"[..]).unwrap();
        let data = data.into_inner().unwrap();
        let (archive, files) = parts(&data).unwrap();
        assert_eq!(files, [vec![7; 513], b"abc".to_vec()]);
        let look = |archive: &[u8]| -> Vec<_> {
            let mut archive = tar::Archive::new(archive);
            let entry = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
                let mut entry = entry.unwrap();
                let records =
                    entry.pax_extensions().unwrap().map(|records| records.map(|record| record.unwrap().value_bytes().to_vec()).collect::<Vec<_>>());
                (entry.path_bytes().into_owned(), entry.header().mode().unwrap(), entry.header().entry_type(), records)
            };
            archive.entries().unwrap().map(entry).collect()
        };
        assert_eq!(look(&archive), look(&data));
        assert_eq!(look(&archive).len(), 3);
        assert!(tar::Archive::new(archive.as_slice()).entries().unwrap().all(|entry| entry.unwrap().size() == 0));
    }

    #[test]
    fn what_comes_while_it_is_awaited_is_decompressed() {
        let dir = tempfile::tempdir().unwrap();
        let deb_file = dir.path().join("demo.deb");
        std::fs::write(&deb_file, deb().file("./a", b"abc", 0o644).build()).unwrap();
        let source = Source::File(deb_file);
        let mut packages = vec![package("here"), package("late"), package("other"), package("never")];
        for (package, there) in packages.iter_mut().zip([true, false, true, false]) {
            package.supply = there.then(|| source.clone()).into();
        }
        let cancel = Cancel::default();
        let ahead = Ahead::new(&packages, Some(&dir.path().join("ahead")), &cancel).unwrap();
        let decoded = || ahead.state.lock().unwrap().decoded.len();
        let comes_to = |number| {
            (0..2000).any(|_| {
                decoded() == number || {
                    std::thread::sleep(Duration::from_millis(5));
                    false
                }
            })
        };
        ahead.during(
            |package| package.coordinates.name() != "other",
            || {
                assert!(comes_to(1), "what is there");
                packages[1].supply.arrive(source.clone());
                assert!(comes_to(2), "what has come since");
            },
        );
        assert_eq!([0, 1, 2, 3].map(|number| ahead.take(number).is_some()), [true, true, false, false]);
    }

    #[test]
    fn what_is_unusual_is_left_alone() {
        let data = deb().file("./a", &[7; 5000], 0o644).data();
        assert!(parts(&data[..3000]).is_err(), "cut off");
        let mut wrong = data.clone();
        wrong[3] = b'x';
        assert!(parts(&wrong).is_err(), "another checksum");
        assert!(parts(&deb().entry(EntryType::GNUSparse, "./a", "", b"", 0o644).data()).is_err());
        assert!(parts(&deb().entry(EntryType::Directory, "./a", "", b"content", 0o755).data()).is_err());
        assert!(parts(&deb().entry(EntryType::XHeader, "./a", "", b"12 size=100\n", 0o644).file("./a", b"", 0o644).data()).is_err());
    }
}
