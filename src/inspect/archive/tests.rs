//! Archives as other programs read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use ::tar::EntryType;

use super::*;
use crate::digest::Sha256;
use crate::inspect::tests::{fixture, tree};
use crate::progress::Silent;

/// What one of the functions writes of a disk.
fn written(disk: &[u8], write: impl FnOnce((&File, &Path), (&File, &Path)) -> Result<()>) -> Result<Vec<u8>> {
    let (mut raw, out) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    raw.write_all(disk).unwrap();
    write((raw.as_file(), raw.path()), (out.as_file(), out.path()))?;
    Ok(std::fs::read(out.path()).unwrap())
}

fn archive_of(disk: &[u8], kind: ArchiveKind) -> Result<Vec<u8>> {
    written(disk, |raw, out| archive(raw, out, kind, &Silent, &Cancel::default()))
}

/// A line for each entry, as `fixtures/filesystems/tree` has them.
fn lines(archive: &[u8]) -> Vec<String> {
    let mut archive = ::tar::Archive::new(archive);
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
    let made = archive_of(&disk, ArchiveKind::Tar).unwrap();
    assert_eq!(made, archive_of(&disk, ArchiveKind::Tar).unwrap(), "the same again");
    let (efi, mut rest): (Vec<_>, Vec<_>) = lines(&made).into_iter().partition(|line| line.contains(" /boot/efi"));
    assert_eq!(rest.remove(0), "folder 755 0:0 0 - ", "the root is the first");
    rest.sort();
    let mut expected: Vec<_> = tree().lines().map(str::to_owned).collect();
    expected.sort();
    assert_eq!(rest, expected);
    assert!(efi[0] == "folder 755 0:0 0 - /boot/efi" && efi.iter().any(|line| line.starts_with("file 644 0:0 ") && line.ends_with("BOOTX64.EFI")));
}

#[test]
fn extended_attributes_are_in_the_words_of_others() {
    let made = archive_of(&fixture("small-attributes"), ArchiveKind::Tar).unwrap();
    let mut archive = ::tar::Archive::new(made.as_slice());
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
}

#[test]
fn a_disk_without_a_root_has_no_archive() {
    let error = archive_of(&[0; 4096], ArchiveKind::Tar).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the system of the image cannot be read: it has no root file system of a kind that is read, which is not supported"
    );
    assert!(archive_of(&fixture("disk-gpt")[..9 << 20], ArchiveKind::Tar).is_err_and(|error| error.is_damage()));
}

/// An entry of an initrd: what `fixtures/filesystems/tree` says of such a file, its number and how many names it has.
fn initrd_entries(mut bytes: &[u8]) -> Vec<(String, u32, u32)> {
    let mut contents: BTreeMap<u32, String> = BTreeMap::new();
    let mut entries = Vec::new();
    let mut take = |len: usize| {
        let (taken, rest) = bytes.split_at(len);
        bytes = rest;
        taken.to_vec()
    };
    loop {
        let header = String::from_utf8(take(110)).unwrap();
        let field = |number: usize| u32::from_str_radix(&header[6 + number * 8..][..8], 16).unwrap();
        assert!(header.starts_with("070701") && field(7) == 0 && field(8) == 0 && field(12) == 0);
        let (name_len, len) = (field(11) as usize, field(6) as usize);
        let name = take((110 + name_len).next_multiple_of(4) - 110);
        let name = std::str::from_utf8(&name[..name_len]).unwrap().strip_suffix('\0').unwrap().to_owned();
        let content = take(len.next_multiple_of(4))[..len].to_vec();
        if name == "TRAILER!!!" {
            return entries;
        }
        let device = format!("{}:{}", field(9), field(10));
        let (kind, more) = match field(1) >> 12 {
            0o04 => ("folder", "0 -".to_owned()),
            0o12 => ("link", format!("0 {}", String::from_utf8(content).unwrap())),
            0o02 => ("character", format!("0 {device}")),
            0o06 => ("block", format!("0 {device}")),
            0o01 => ("fifo", "0 -".to_owned()),
            0o10 if contents.contains_key(&field(0)) => ("file", contents[&field(0)].clone()),
            0o10 => {
                let said = format!("{} {}", content.len(), Sha256::of(&content));
                contents.insert(field(0), said.clone());
                ("file", said)
            }
            other => panic!("{other:o}"),
        };
        let path = if name == "." { String::new() } else { format!("/{name}") };
        entries.push((format!("{kind} {:o} {}:{} {more} {path}", field(1) & 0o7777, field(2), field(3)), field(0), field(4)));
    }
}

#[test]
fn an_initrd_has_what_runs_in_memory() {
    let disk = fixture("disk-gpt");
    let cancel = Cancel::default();
    let made = written(&disk, |raw, out| with_system(raw, &cancel, |disk| write((disk, raw.1), out, ArchiveKind::Initrd, &Silent, &cancel))).unwrap();
    let entries = initrd_entries(&made);
    let (lines, init): (Vec<_>, Vec<_>) = entries.iter().map(|(line, ..)| line.clone()).partition(|line| !line.ends_with(" /init"));
    assert_eq!(init, ["link 777 0:0 0 sbin/init /init"]);
    let is_left_out = |line: &&str| line.contains(" /boot/vmlinuz-") || line.ends_with(" /etc/fstab");
    let tree = tree();
    let mut expected: Vec<_> = tree.lines().filter(|line| !is_left_out(line)).map(str::to_owned).collect();
    expected.push("folder 755 0:0 0 - ".to_owned());
    let (mut found, folders) = (lines.clone(), lines);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(
        folders[0].starts_with("folder 755 0:0 0 - ")
            && folders.iter().position(|line| line.ends_with(" /etc")) < folders.iter().position(|line| line.ends_with(" /etc/passwd"))
    );
    // Names of the same file say that there are several, and others that there is one.
    for (line, number, names) in &entries {
        let alike = entries.iter().filter(|(_, other, _)| other == number).count();
        assert!(*names as usize == alike, "{line}: {names} names, {alike} found");
    }
    assert!(entries.iter().any(|(.., names)| *names > 1));
}

#[test]
fn an_initrd_needs_something_to_start() {
    let error = archive_of(&fixture("disk-gpt"), ArchiveKind::Initrd).unwrap_err();
    assert_eq!(error.to_string(), "the system of the image has no /sbin/init that could be started");
}

#[test]
fn the_kernel_is_that_of_the_system() {
    let kernel_of = |disk: &[u8]| written(disk, |raw, out| kernel(raw, out, &Silent, &Cancel::default()));
    assert_eq!(kernel_of(&fixture("disk-gpt")).unwrap(), b"kernel\n");
    let error = kernel_of(&fixture("small-ext4")).unwrap_err();
    assert!(error.to_string().contains("no kernel in /boot"), "{error}");
}
