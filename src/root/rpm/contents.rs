//! The files of a package, as its header lists them.

use std::collections::HashMap;
use std::io;
use std::path::{Component, Path};

use super::header::{Header, Tag};

/// `%ghost`: belongs to the package, and is not in it (`RPMFILE_GHOST`).
const GHOST: u64 = 1 << 6;
/// The longest path in bytes (`PATH_MAX`).
const PATH_LIMIT: usize = 4096;
/// The most bytes of all paths together. A header names each folder once; those of the largest packages of Fedora come to 10 MiB.
const PATHS_LIMIT: usize = 32 << 20;
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Directory,
    Link,
    Device,
    Fifo,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it goes, without the leading `/`: names only, nothing that leads out of a tree.
    pub(super) path: String,
    pub(super) kind: Kind,
    /// Permission bits.
    pub(super) mode: u32,
    /// In bytes.
    pub(super) size: u64,
    /// In hexadecimal; empty where the package has none for it.
    pub(super) digest: String,
    /// Where a symbolic link leads.
    pub(super) target: String,
    /// Whether it has no place in the payload.
    pub(super) ghost: bool,
    /// The last of its hard links, which alone has the contents in the payload; itself where there are no others.
    pub(super) last_link: usize,
}

/// All files of a package.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) entries: Vec<Entry>,
    /// The number of the digests' algorithm in OpenPGP (RFC 4880, section 9.4): 8 is SHA-256.
    pub(super) algorithm: u64,
}

fn bad(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.into())
}

impl Contents {
    /// Reads the list.
    ///
    /// # Errors
    /// `InvalidData` for lists of different lengths, and for paths that no package may have.
    pub(super) fn of(header: &Header) -> io::Result<Self> {
        let names = header.texts(Tag::BASE_NAMES)?;
        let folders = header.texts(Tag::DIR_NAMES)?;
        let places = header.numbers(Tag::DIR_INDEXES)?;
        let sizes = header.numbers(if header.has(Tag::LONG_FILE_SIZES) { Tag::LONG_FILE_SIZES } else { Tag::FILE_SIZES })?;
        let modes = header.numbers(Tag::FILE_MODES)?;
        let digests = header.texts(Tag::FILE_DIGESTS)?;
        let targets = header.texts(Tag::FILE_LINKS)?;
        let flags = header.numbers(Tag::FILE_FLAGS)?;
        let inodes = header.numbers(Tag::FILE_INODES)?;
        let devices = header.numbers(Tag::FILE_DEVICES)?;
        let lengths = [places.len(), sizes.len(), modes.len(), digests.len(), targets.len(), flags.len(), inodes.len(), devices.len()];
        if lengths.iter().any(|len| *len != names.len()) {
            return Err(bad("the lists of its files have different lengths"));
        }
        let mut entries = Vec::with_capacity(names.len());
        // Of each inode the links, in order.
        let mut links: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
        let mut paths = 0_usize;
        for (number, name) in names.iter().enumerate() {
            let folder = usize::try_from(places[number]).ok().and_then(|place| folders.get(place)).ok_or_else(|| bad("a file is in no folder"))?;
            paths += folder.len() + name.len();
            if paths > PATHS_LIMIT || folder.len() + name.len() > PATH_LIMIT {
                return Err(bad("the names of its files are too long"));
            }
            let mode = modes[number] as u32;
            let ghost = flags[number] & GHOST != 0;
            if mode & KIND == REGULAR && !ghost {
                links.entry((devices[number], inodes[number])).or_default().push(number);
            }
            entries.push(Entry {
                path: path(folder, name)?,
                kind: kind(mode)?,
                mode: mode & 0o7777,
                size: sizes[number],
                digest: digests[number].to_owned(),
                target: targets[number].to_owned(),
                ghost,
                last_link: number,
            });
        }
        for links in links.into_values() {
            let last = links[links.len() - 1];
            for link in links {
                entries[link].last_link = last;
            }
        }
        Ok(Self { entries, algorithm: header.number(Tag::FILE_DIGEST_ALGORITHM)?.unwrap_or(1) })
    }
}

/// The path of a file in a folder; refuses what is not the plain name of something beneath the root.
fn path(folder: &str, name: &str) -> io::Result<String> {
    let joined = format!("{folder}{name}");
    let refused = |problem: &str| bad(format!("it has a file “{joined}”: {problem}"));
    let Some(relative) = joined.strip_prefix('/') else { return Err(refused("its name is not absolute")) };
    if joined.contains('\n') {
        return Err(refused("its name has a line break"));
    }
    // The root itself is a directory that packages may have.
    if Path::new(relative).components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(refused("its name contains “.” or “..”"));
    }
    Ok(relative.to_owned())
}

fn kind(mode: u32) -> io::Result<Kind> {
    Ok(match mode & KIND {
        REGULAR => Kind::Regular,
        0o040_000 => Kind::Directory,
        0o120_000 => Kind::Link,
        0o020_000 | 0o060_000 => Kind::Device,
        0o010_000 => Kind::Fifo,
        _ => return Err(bad(format!("it has a file of no known kind (mode {mode:o})"))),
    })
}
