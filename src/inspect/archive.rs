//! The files of a system as a tar archive (POSIX.1-2017, `pax`): what containers and the Windows Subsystem for Linux take.
//!
//! Names stand sorted, owners are numbers, and times whole seconds, so that the same disk gives the same archive. What a header has no room for (long names,
//! times before 1970, extended attributes as `SCHILY.xattr.NAME`) is in extended headers before it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tar::{EntryType, Header};

use super::disk::Disk;
use super::error::{Error, Result};
use super::node::{Kind, Limits, Node};
use super::problem::Problem;
use crate::disk::formats::FileSource;
use crate::progress::{Cancel, Event, Phase, Progress};

/// Bytes of a file that are read at a time.
const STEP: u64 = 1 << 20;

/// Archives are whole numbers of such blocks.
const BLOCK: u64 = 512;

/// The longest name that a header holds.
const NAME_LEN: usize = 100;

/// What stands for the owner and the mode where a file system has none.
const PLAIN: (u32, u32) = (0o755, 0o644);

/// How much longer than its disk the content of an archive may be: files with holes are written whole.
const GROWTH: u64 = 16;

/// Writes all files of the system on a raw disk, those of the file systems beneath its root where they are mounted. `lost+found` and sockets are left out.
/// Reports the bytes of files as [`Phase::Convert`].
///
/// # Errors
/// [`Error::Damaged`] where a part of the disk cannot be read, or has no root; what the operating system says, and the user's wish to stop.
pub fn archive((raw, raw_path): (&File, &Path), (out, path): (&File, &Path), progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
    let damaged = |place: &str, problem: Problem| match problem {
        Problem::Io(source) => Error::Io { action: "read", path: raw_path.to_owned(), source },
        Problem::Cancelled(cancelled) => cancelled.into(),
        problem => Error::Damaged { image: "the image".to_owned(), place: place.to_owned(), problem },
    };
    let source = raw.try_clone().and_then(FileSource::new).map_err(Error::io("read", raw_path))?;
    let mut disk = Disk::read(&source, Limits::USUAL, cancel).map_err(|problem| damaged("the disk", problem))?;
    if let Some((place, problem)) = std::mem::take(&mut disk.problems).into_iter().next() {
        return Err(damaged(&place, problem));
    }
    if !disk.tree.contains_key(b"/".as_slice()) {
        return Err(damaged("the system", Problem::Unsupported("no root file system of a kind that is read".to_owned())));
    }
    let total = super::report::totals(&disk).bytes;
    if total > disk.volume.len.saturating_mul(GROWTH) {
        return Err(damaged("the system", Problem::Wrong("its files are much longer than its disk")));
    }
    progress.report(Event::Start { phase: Phase::Convert, total: Some(total) });
    out.set_len(0).map_err(Error::io("empty", path))?;
    let mut archive = Archive { disk: &disk, out: BufWriter::new(out), files: HashMap::new(), progress, cancel };
    for (name, at) in &disk.tree {
        // What is behind a partition's number is mounted nowhere.
        if name.starts_with(b"/") && !is_lost_and_found(&disk, name, *at) {
            archive.add(name, *at).map_err(|error| error.into_error(|problem| damaged(&String::from_utf8_lossy(name), problem), path))?;
        }
    }
    archive.finish().map_err(Error::io("write", path))?;
    progress.report(Event::Finish { phase: Phase::Convert });
    Ok(())
}

/// The folder that checks of an ext file system fill, and what they put there.
fn is_lost_and_found(disk: &Disk<'_>, name: &[u8], (part, node): (usize, usize)) -> bool {
    let within = disk.node((part, node)).path.strip_prefix(b"/lost+found");
    within.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")) && name != b"/"
}

/// Why an entry cannot be added.
enum Failure {
    Read(Problem),
    Write(io::Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Read(problem)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl Failure {
    fn into_error(self, read: impl FnOnce(Problem) -> Error, path: &Path) -> Error {
        match self {
            Self::Read(problem) => read(problem),
            Self::Write(source) => Error::Io { action: "write", path: path.to_owned(), source },
        }
    }
}

struct Archive<'a, 'd> {
    disk: &'a Disk<'d>,
    out: BufWriter<&'a File>,
    /// The first names of files, by their file systems and handles.
    files: HashMap<(usize, u64), &'a [u8]>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

impl<'a> Archive<'a, '_> {
    fn add(&mut self, name: &'a [u8], at: (usize, usize)) -> Result<(), Failure> {
        self.cancel.check().map_err(Problem::from)?;
        let node = self.disk.node(at);
        let part = &self.disk.parts[at.0];
        let mut header = Header::new_ustar();
        let mut extended = Extended::default();
        let has_links = part.files.as_ref().is_some_and(|files| files.filesystem.has_links());
        let earlier = if has_links && node.kind != Kind::Folder { self.files.get(&(at.0, node.handle)).copied() } else { None };
        if has_links && earlier.is_none() {
            self.files.insert((at.0, node.handle), name);
        }
        let is_folder = node.kind == Kind::Folder;
        set_name(&mut header.as_old_mut().name, b"path", &entry_name(name, is_folder), &mut extended);
        let target = match (earlier, &node.kind) {
            (Some(first), _) => Some((EntryType::Link, entry_name(first, false))),
            (None, Kind::Link(target)) => Some((EntryType::Symlink, target.clone())),
            _ => None,
        };
        let kind = match (&target, &node.kind) {
            (Some((kind, _)), _) => *kind,
            (None, Kind::Folder) => EntryType::Directory,
            (None, Kind::File | Kind::Link(_)) => EntryType::Regular,
            (None, Kind::Character(major, minor)) => device(&mut header, EntryType::Char, *major, *minor)?,
            (None, Kind::Block(major, minor)) => device(&mut header, EntryType::Block, *major, *minor)?,
            (None, Kind::Fifo) => EntryType::Fifo,
            // A socket is nothing without the process that listens to it.
            (None, Kind::Socket) => return Ok(()),
            (None, Kind::Unknown) => return Err(Problem::Wrong("it is of none of the kinds that there are").into()),
        };
        if let Some((_, target)) = &target {
            set_name(&mut header.as_old_mut().linkname, b"linkpath", target, &mut extended);
        }
        header.set_entry_type(kind);
        header.set_mode(node.mode.map_or(if is_folder { PLAIN.0 } else { PLAIN.1 }, u32::from));
        header.set_uid(node.owner.0.into());
        header.set_gid(node.owner.1.into());
        header.set_mtime(u64::try_from(node.modified).unwrap_or(0));
        if node.modified < 0 {
            extended.set(b"mtime", node.modified.to_string().as_bytes());
        }
        let size = if kind == EntryType::Regular { node.size } else { 0 };
        header.set_size(size);
        if earlier.is_none() {
            for (name, value) in part.attributes(node)? {
                extended.set(&attribute_keyword(&name), &value);
            }
        }
        extended.write(&mut self.out)?;
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        if size > 0 {
            self.content(at.0, node)?;
        }
        Ok(())
    }

    fn content(&mut self, part: usize, node: &Node) -> Result<(), Failure> {
        let part = &self.disk.parts[part];
        let runs = part.files.as_ref().map_or(Ok(Vec::new()), |files| files.filesystem.runs(node))?;
        let mut buffer = Vec::new();
        for run in runs {
            let mut done = 0;
            while done < run.len {
                self.cancel.check().map_err(Problem::from)?;
                let len = (run.len - done).min(STEP);
                buffer.clear();
                buffer.resize(len as usize, 0);
                if let Some(at) = run.at {
                    part.volume.fill(&mut buffer, at + done)?;
                }
                self.out.write_all(&buffer)?;
                done += len;
                self.progress.report(Event::Advance { phase: Phase::Convert, by: len });
            }
        }
        pad(&mut self.out, node.size)?;
        Ok(())
    }

    /// Two blocks of zeros are the end.
    fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK as usize])?;
        self.out.flush()
    }
}

/// Fills the last block of so many bytes.
fn pad(out: &mut impl Write, len: u64) -> io::Result<()> {
    out.write_all(&vec![0; (len.next_multiple_of(BLOCK) - len) as usize])
}

/// `./etc/passwd`; folders end with a slash.
fn entry_name(path: &[u8], is_folder: bool) -> Vec<u8> {
    let slash: &[u8] = if is_folder && path != b"/" { b"/" } else { b"" };
    [b".", path, slash].concat()
}

/// Puts a name where it belongs, or what fits of it and all of it into an extended header.
fn set_name(field: &mut [u8; NAME_LEN], keyword: &[u8], name: &[u8], extended: &mut Extended) {
    let len = name.len().min(NAME_LEN);
    field[..len].copy_from_slice(&name[..len]);
    if name.len() > NAME_LEN {
        extended.set(keyword, name);
    }
}

/// What would end a keyword is spelled as GNU tar spells it.
fn attribute_keyword(name: &[u8]) -> Vec<u8> {
    let spelled = name.iter().flat_map(|byte| match byte {
        b'=' => b"%3D".to_vec(),
        b'%' => b"%25".to_vec(),
        other => vec![*other],
    });
    b"SCHILY.xattr.".iter().copied().chain(spelled).collect()
}

fn device(header: &mut Header, kind: EntryType, major: u32, minor: u32) -> io::Result<EntryType> {
    header.set_device_major(major)?;
    header.set_device_minor(minor)?;
    Ok(kind)
}

/// What does not fit into a header: records of a length, a keyword and a value.
#[derive(Default)]
struct Extended(Vec<u8>);

impl Extended {
    fn set(&mut self, keyword: &[u8], value: &[u8]) {
        // The length counts its own digits.
        let rest = 1 + keyword.len() + 1 + value.len() + 1;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len = rest + len.to_string().len();
        }
        self.0.extend([len.to_string().as_bytes(), b" ", keyword, b"=", value, b"\n"].concat());
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut header = Header::new_ustar();
        let name = b"./PaxHeaders/entry";
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(self.0.len() as u64);
        header.set_cksum();
        out.write_all(header.as_bytes())?;
        out.write_all(&self.0)?;
        pad(out, self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::io::Read as _;

    use super::super::tests::{fixture, tree};
    use super::*;
    use crate::digest::Sha256;
    use crate::progress::Silent;

    fn archive_of(disk: &[u8]) -> Result<Vec<u8>> {
        let (mut raw, out) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        raw.write_all(disk).unwrap();
        archive((raw.as_file(), raw.path()), (out.as_file(), out.path()), &Silent, &Cancel::default())?;
        Ok(std::fs::read(out.path()).unwrap())
    }

    /// A line for each entry, as `fixtures/filesystems/tree` has them.
    fn lines(archive: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(archive);
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let path = path.strip_prefix('.').unwrap().trim_end_matches('/').to_owned();
            let header = entry.header().clone();
            assert_eq!(header.mtime().unwrap(), if path.starts_with("/etc/") { 1_700_000_000 } else { header.mtime().unwrap() });
            let link = entry.link_name_bytes().map(|target| String::from_utf8(target.into_owned()).unwrap());
            let device = |kind: &str| format!("{kind} {}:{}", header.device_major().unwrap().unwrap(), header.device_minor().unwrap().unwrap());
            let (kind, more) = match header.entry_type() {
                EntryType::Link => return format!("{} {path}", files[link.unwrap().trim_start_matches('.')]),
                EntryType::Directory => ("folder".to_owned(), "0 -".to_owned()),
                EntryType::Symlink => ("link".to_owned(), format!("0 {}", link.unwrap())),
                EntryType::Char => ("character".to_owned(), format!("0 {}", &device("")[1..])),
                EntryType::Block => ("block".to_owned(), format!("0 {}", &device("")[1..])),
                EntryType::Fifo => ("fifo".to_owned(), "0 -".to_owned()),
                EntryType::Regular => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).unwrap();
                    ("file".to_owned(), format!("{} {}", bytes.len(), Sha256::of(&bytes)))
                }
                other => panic!("{other:?}"),
            };
            let line = format!("{kind} {:o} {}:{} {more}", header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
            files.insert(path.clone(), line.clone());
            format!("{line} {path}")
        });
        entries.collect()
    }

    #[test]
    fn an_archive_has_what_the_disk_has() {
        let disk = fixture("disk-gpt");
        let made = archive_of(&disk).unwrap();
        assert_eq!(made, archive_of(&disk).unwrap(), "the same again");
        let (efi, mut rest): (Vec<_>, Vec<_>) = lines(&made).into_iter().partition(|line| line.contains(" /boot/efi"));
        assert_eq!(rest.remove(0), "folder 755 0:0 0 - ", "the root is the first");
        rest.sort();
        let mut expected: Vec<_> = tree().lines().map(str::to_owned).collect();
        expected.sort();
        assert_eq!(rest, expected);
        assert!(
            efi[0] == "folder 755 0:0 0 - /boot/efi" && efi.iter().any(|line| line.starts_with("file 644 0:0 ") && line.ends_with("BOOTX64.EFI"))
        );
    }

    #[test]
    fn extended_attributes_are_in_the_words_of_others() {
        let made = archive_of(&fixture("small-attributes")).unwrap();
        let mut archive = tar::Archive::new(made.as_slice());
        let mut shown = String::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            for extension in entry.pax_extensions().unwrap().into_iter().flatten() {
                let extension = extension.unwrap();
                writeln!(shown, "{path} {} {}", extension.key().unwrap(), extension.value_bytes().len()).unwrap();
            }
        }
        let expected = "./folder/ SCHILY.xattr.system.posix_acl_access 44\n./folder/ SCHILY.xattr.user.block 200\n./long SCHILY.xattr.user.long 3000\n\
            ./ping SCHILY.xattr.security.capability 20\n./ping SCHILY.xattr.user.note 4\n";
        assert_eq!(shown, expected);
        assert_eq!(attribute_keyword(b"user.a=%"), b"SCHILY.xattr.user.a%3D%25");
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for len in [0, 80, 84, 85, 86, 87, 980, 985, 990] {
            let mut extended = Extended::default();
            extended.set(b"path", &vec![b'a'; len]);
            let text = String::from_utf8(extended.0).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse(), Ok(text.len()));
        }
    }

    #[test]
    fn a_disk_without_a_root_has_no_archive() {
        let error = archive_of(&[0; 4096]).err().unwrap();
        assert_eq!(
            error.to_string(),
            "the system of the image cannot be read: it has no root file system of a kind that is read, which is not supported"
        );
        assert!(archive_of(&fixture("disk-gpt")[..9 << 20]).is_err_and(|error| error.is_damage()));
    }
}
