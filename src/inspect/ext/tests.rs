//! File systems that `mke2fs` made (`fixtures/filesystems/make`), against the list of what it was told to put there.

use super::super::filesystem::{Content, FileSystem, open};
use super::super::tests::{fixture, tree};
use super::*;
use crate::digest::Sha256;

/// A line for each name, as `fixtures/filesystems/tree` has it.
fn lines(filesystem: &FileSystem<'_>, volume: &Volume<'_>) -> Vec<String> {
    let nodes = filesystem.nodes(Limits::USUAL, &Cancel::default()).unwrap();
    let line = |node: &Node| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (kind, more) = match &node.kind {
            Kind::File => {
                let bytes = volume.read_runs(&filesystem.runs(node).unwrap(), u64::MAX).unwrap();
                assert_eq!(bytes.len() as u64, node.size);
                ("file", Sha256::of(&bytes).to_string())
            }
            Kind::Folder => ("folder", "-".to_owned()),
            Kind::Link(target) => ("link", text(target)),
            Kind::Character(major, minor) => ("character", format!("{major}:{minor}")),
            Kind::Block(major, minor) => ("block", format!("{major}:{minor}")),
            Kind::Fifo => ("fifo", "-".to_owned()),
            Kind::Socket | Kind::Unknown => ("other", "-".to_owned()),
        };
        let (uid, gid) = node.owner;
        format!("{kind} {:o} {uid}:{gid} {} {more} {}", node.mode.unwrap(), node.size, text(&node.path))
    };
    let is_own = |node: &&Node| !node.path.is_empty() && !node.path.starts_with(b"/lost+found");
    let mut lines: Vec<String> = nodes.iter().filter(is_own).map(line).collect();
    lines.sort();
    lines
}

#[test]
fn what_mke2fs_wrote_is_read() {
    let mut expected: Vec<String> = tree().lines().map(str::to_owned).collect();
    expected.sort();
    for (name, kind) in
        [("ext2-1k", "ext2"), ("ext3-2k", "ext3"), ("ext4-1k", "ext4"), ("ext4-4k", "ext4"), ("ext4-16k", "ext4"), ("ext4-clusters", "ext4")]
    {
        let bytes = fixture(name);
        let source = bytes.as_slice();
        let volume = Volume::whole(&source);
        let Content::FileSystem(filesystem) = open(volume).unwrap() else { panic!("{name} is not known") };
        assert_eq!((filesystem.kind(), filesystem.label().as_str(), filesystem.len()), (kind, "tiny", bytes.len() as u64), "{name}");
        assert_eq!(filesystem.uuid(), "11111111-2222-3333-4444-555555555555");
        assert!(filesystem.used(&Cancel::default()).unwrap() > 500_000);
        assert_eq!(lines(&filesystem, &volume), expected, "{name}");
        let nodes = filesystem.nodes(Limits::USUAL, &Cancel::default()).unwrap();
        let handle = |path: &[u8]| nodes.iter().find(|node| node.path == path).unwrap().handle;
        assert_eq!(handle(b"/root/numbers"), handle(b"/root/second-name"));
        assert!(nodes.iter().filter(|node| node.path.starts_with(b"/etc/")).all(|node| node.modified == 1_700_000_000));
        let sparse = nodes.iter().find(|node| node.path == b"/root/sparse").unwrap();
        let holes: u64 = filesystem.runs(sparse).unwrap().iter().filter(|run| run.at.is_none()).map(|run| run.len).sum();
        assert!(holes > 2 << 20, "{name}");
    }
}

#[test]
fn extended_attributes_are_those_that_were_set() {
    let bytes = fixture("small-attributes");
    let source = bytes.as_slice();
    let Content::FileSystem(filesystem) = open(Volume::whole(&source)).unwrap() else { panic!() };
    let nodes = filesystem.nodes(Limits::USUAL, &Cancel::default()).unwrap();
    let of = |path: &[u8]| {
        let found = filesystem.attributes(nodes.iter().find(|node| node.path == path).unwrap()).unwrap();
        found.into_iter().map(|(name, value)| (String::from_utf8(name).unwrap(), value)).collect::<Vec<_>>()
    };
    let has = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(of(b"/ping"), [has("security.capability", &capability), has("user.note", b"kept")]);
    assert_eq!(of(b"/long"), [has("user.long", &[b'l'; 3000])]);
    assert_eq!(of(b"/plain"), []);
    let rights: [(u16, u16, u32); 5] = [(1, 7, u32::MAX), (2, 4, 7), (4, 5, u32::MAX), (16, 5, u32::MAX), (32, 0, u32::MAX)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in rights {
        list.extend([tag.to_le_bytes(), rights.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    assert_eq!(of(b"/folder"), [has("system.posix_acl_access", &list), has("user.block", &[b'b'; 200])]);
}

#[test]
fn a_folder_within_itself_ends() {
    let mut bytes = fixture("small-ext2");
    // The entry of `/etc` gets the inode of the root.
    let at = bytes.windows(11).position(|window| &window[8..] == b"etc" && window[6] == 3 && window[7] == 2).unwrap();
    bytes[at..at + 4].copy_from_slice(&2_u32.to_le_bytes());
    let source = bytes.as_slice();
    let Content::FileSystem(filesystem) = open(Volume::whole(&source)).unwrap() else { panic!() };
    let problem = filesystem.nodes(Limits::USUAL, &Cancel::default()).unwrap_err();
    assert_eq!(problem.to_string(), "a folder is in two places");
}

#[test]
fn names_are_counted() {
    let bytes = fixture("ext4-4k");
    let source = bytes.as_slice();
    let Content::FileSystem(filesystem) = open(Volume::whole(&source)).unwrap() else { panic!() };
    for limits in [Limits { names: 100, ..Limits::USUAL }, Limits { bytes: 10_000, ..Limits::USUAL }] {
        let problem = filesystem.nodes(limits, &Cancel::default()).unwrap_err();
        assert_eq!(problem.to_string(), "it has more files than are read, which is not supported");
    }
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(matches!(filesystem.nodes(Limits::USUAL, &cancel), Err(Problem::Cancelled(_))));
}
