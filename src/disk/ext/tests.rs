//! File systems made of small trees, judged by `e2fsck` and `debugfs`. Where these are missing there is no judge, and nothing is tested.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt, symlink};
use std::process::Command;

use super::*;
use crate::digest::Digest;
use crate::disk::layout::tests::layout;
use crate::root::sandbox::find_program;

const MIB: u64 = 1 << 20;

struct Made {
    folder: tempfile::TempDir,
    used: u64,
    start: u64,
}

impl Made {
    fn image(&self) -> String {
        format!("{}?offset={}", self.folder.path().join("disk").display(), self.start)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("disk")).unwrap()
    }

    fn debugfs(&self, request: &str) -> String {
        let debugfs = find_program("debugfs").unwrap();
        let output = Command::new(debugfs).env("TZ", "UTC").args(["-R", request, &self.image()]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn assert_clean(&self) {
        let output = Command::new(find_program("e2fsck").unwrap()).args(["-fn", &self.image()]).output().unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
}

fn is_here() -> bool {
    ["e2fsck", "debugfs"].iter().all(|program| find_program(program).is_some())
}

fn make(tree: &Path, len: u64) -> Result<Made, Error> {
    make_as(FileSystem::Ext4, tree, len)
}

fn make_as(filesystem: FileSystem, tree: &Path, len: u64) -> Result<Made, Error> {
    let mut layout = layout(66 * MIB + len);
    layout.partitions[1].filesystem = Some(filesystem);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let disk = File::create_new(&path).unwrap();
    drop(disk);
    let disk = File::options().read(true).write(true).open(&path).unwrap();
    disk.set_len(layout.size).unwrap();
    let used = write((&disk, &path), &layout, &layout.partitions[1], (&Tree::open(tree)?, &Deferred::default()), &Cancel::default())?;
    Ok(Made { folder, used: used.used, start: layout.partitions[1].start })
}

/// A tree with some of everything, its files made in this order.
fn tree(names: &[&str]) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    for name in names {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), name.repeat(1000)).unwrap();
    }
    fs::create_dir(at("private")).unwrap();
    fs::set_permissions(at("private"), fs::Permissions::from_mode(0o1750)).unwrap();
    symlink("/etc/passwd", at("link")).unwrap();
    fs::hard_link(at(names.iter().min().unwrap()), at("second name")).unwrap();
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in names.iter().copied().chain(["private", "usr/bin", "usr", "."]) {
        let time = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000));
        if let Ok(file) = File::open(at(name)) {
            file.set_times(time).unwrap();
        }
    }
    tree
}

#[test]
fn a_tree_made_twice_gives_the_same_bytes() {
    if !is_here() {
        return;
    }
    let a = make(tree(&["usr/bin/a", "usr/bin/b", "usr/bin/c", "zeta"]).path(), 64 * MIB).unwrap();
    let other = tree(&["zeta", "usr/bin/c", "usr/bin/a", "usr/bin/b"]);
    // Reading changes the access times, and a change of mode the change times.
    fs::set_permissions(other.path().join("zeta"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(other.path().join("zeta"), fs::Permissions::from_mode(0o644)).unwrap();
    let b = make(other.path(), 64 * MIB).unwrap();
    assert!(a.bytes() == b.bytes(), "the images differ");
    assert_eq!(a.used, b.used);
    a.assert_clean();
}

#[test]
fn every_time_is_the_layouts_or_earlier() {
    if !is_here() {
        return;
    }
    let source = tree(&["usr/bin/a", "late"]);
    let late = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_999_999_999);
    File::options().write(true).open(source.path().join("late")).unwrap().set_times(fs::FileTimes::new().set_modified(late)).unwrap();
    let made = make(source.path(), 64 * MIB).unwrap();
    // 1,700,000,000 and 1,600,000,000.
    let (clamp, earlier) = ("0x6553f100:00000000", "0x5f5e1000:00000000");
    for (path, modified) in [("/usr/bin/a", earlier), ("/usr", earlier), ("/late", clamp), ("/", clamp), ("/lost+found", clamp), ("<8>", clamp)] {
        let text = made.debugfs(&format!("stat {path}"));
        for (name, time) in [("ctime", clamp), ("atime", clamp), ("mtime", modified), ("crtime", clamp)] {
            assert!(text.contains(&format!("{name}: {time}")), "{name} of {path}: {text}");
        }
    }
    made.assert_clean();
}

#[test]
fn modes_links_and_places_arrive() {
    if !is_here() {
        return;
    }
    let source = tree(&["usr/bin/a", "b"]);
    fs::set_permissions(source.path(), fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(source.path().join("usr/bin/a"), fs::Permissions::from_mode(0o4755)).unwrap();
    let made = make(source.path(), 64 * MIB).unwrap();
    for (path, expected) in [
        ("/", "Mode:  0751"),
        ("/usr/bin/a", "Mode:  04755"),
        ("/private", "Mode:  01750"),
        ("/link", "Fast link dest: \"/etc/passwd\""),
        ("/b", "Links: 2"),
    ] {
        let text = made.debugfs(&format!("stat {path}"));
        assert!(text.contains(expected), "{path}: {text}");
    }
}

/// Files that map their blocks in each of the ways that there are; their paths.
fn with_files(tree: &Path) -> Vec<String> {
    let in_pieces = |name: &str, pieces: u64| {
        let file = File::create(tree.join(name)).unwrap();
        for piece in 0..pieces {
            file.write_all_at(&(piece + 1).to_le_bytes(), piece * 2 * BLOCK + 99).unwrap();
        }
    };
    fs::write(tree.join("empty"), "").unwrap();
    fs::write(tree.join("one byte"), "1").unwrap();
    fs::write(tree.join("a block"), vec![2; BLOCK as usize]).unwrap();
    fs::write(tree.join("more than fits a group"), vec![3; 130 << 20]).unwrap();
    // So many extents are in the inode, in a block below it, in five, and in five below another.
    for (name, pieces) in [("four pieces", 4), ("five pieces", 5), ("many pieces", 1400), ("very many pieces", 1600)] {
        in_pieces(name, pieces);
    }
    let end = File::create(tree.join("far")).unwrap();
    end.write_all_at(b"far", 5 << 30).unwrap();
    end.write_all_at(b"near", 4 << 20).unwrap();
    end.set_len((5 << 30) + 5 * BLOCK + 1).unwrap();
    let mut names: Vec<_> = fs::read_dir(tree).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_in_files_arrives_in_all_three_kinds() {
    if !is_here() {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    let names = with_files(source.path());
    fs::create_dir(source.path().join("large")).unwrap();
    for number in 0..3000 {
        fs::write(source.path().join(format!("large/{number:060}")), "").unwrap();
    }
    symlink("x".repeat(59), source.path().join("in its inode")).unwrap();
    symlink("y".repeat(60), source.path().join("in a block")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, source.path().join("queue"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    for filesystem in [FileSystem::Ext2, FileSystem::Ext3, FileSystem::Ext4] {
        let made = make_as(filesystem, source.path(), 300 * MIB).unwrap();
        made.assert_clean();
        let folder = tempfile::tempdir().unwrap();
        for name in names.iter().filter(|name| *name != "far") {
            let copy = folder.path().join("copy");
            made.debugfs(&format!("dump \"/{name}\" {}", copy.display()));
            assert!(fs::read(&copy).unwrap() == fs::read(source.path().join(name)).unwrap(), "{filesystem:?}: {name}");
        }
        // As long as it is, and two blocks with their map: in the inode, or through one and through three levels.
        let (far, nodes) = (made.debugfs("stat /far"), if filesystem == FileSystem::Ext4 { 0 } else { 1 + 3 });
        assert!(far.contains("Size: 5368729601"), "{far}");
        assert!(far.contains(&format!("Blockcount: {}", (2 + nodes) * 8)), "{filesystem:?}: {far}");
        for (link, target) in [("in its inode", "x".repeat(59)), ("in a block", "y".repeat(60))] {
            let text = made.debugfs(&format!("stat \"/{link}\"")) + &made.debugfs(&format!("cat \"/{link}\""));
            assert!(text.contains(&target), "{text}");
        }
        assert!(made.debugfs("stat /queue").contains("Type: FIFO    Mode:  0400"));
        assert_eq!(made.debugfs("ls -p /large").lines().filter(|line| line.contains("/0000")).count(), 3000);
    }
}

#[test]
fn attributes_that_need_a_block_arrive() {
    if !is_here() {
        return;
    }
    let source = tree(&["a"]);
    let value = "0123456789".repeat(30);
    let set =
        |path: &str, name: &str, value: &[u8]| rustix::fs::setxattr(source.path().join(path), name, value, rustix::fs::XattrFlags::empty()).is_ok();
    assert!(set("a", "user.long", value.as_bytes()) && set("a", "user.second", b"2") && set("private", "user.of-a-folder", b"kept"));
    // Owner, user 1, group, mask and others: a list that is not a mode.
    let list = [
        [2, 0, 0, 0].as_slice(),
        &[1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255],
        &[16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255],
    ];
    let has_lists = set("zeta", "system.posix_acl_access", &list.concat()) || set("a", "system.posix_acl_access", &list.concat());
    let made = make(source.path(), 64 * MIB).unwrap();
    let text = made.debugfs("ea_list /a");
    assert!(text.contains("user.long (300)") && text.contains("user.second (1) = \"2\""), "{text}");
    assert_eq!(made.debugfs("ea_get -V /a user.long").trim_end(), value);
    assert!(!has_lists || text.contains("system.posix_acl_access (28) = 01 00 00 00 01 00 06 00 02 00 06 00 01 00 00 00 04 00 04"), "{text}");
    assert!(made.debugfs("ea_list /private").contains("user.of-a-folder (4) = \"kept\""));
    made.assert_clean();
}

#[test]
fn it_can_grow() {
    let Some(resize2fs) = find_program("resize2fs").filter(|_| is_here()) else { return };
    for filesystem in [FileSystem::Ext2, FileSystem::Ext3, FileSystem::Ext4] {
        let made = make_as(filesystem, tree(&["a", "b"]).path(), 200 * MIB).unwrap();
        // The file system alone, and more room behind it.
        let path = made.folder.path().join("grown");
        fs::write(&path, &made.bytes()[made.start as usize..][..200 * MIB as usize]).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(2000 * MIB).unwrap();
        let output = Command::new(&resize2fs).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output = Command::new(find_program("e2fsck").unwrap()).arg("-fn").arg(&path).output().unwrap();
        assert!(output.status.success(), "{filesystem:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn more_inodes_than_a_group_counts_make_smaller_groups() {
    if !is_here() {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    for number in 0..40_000 {
        symlink("x", source.path().join(number.to_string())).unwrap();
    }
    for filesystem in [FileSystem::Ext3, FileSystem::Ext4] {
        make_as(filesystem, source.path(), 100 * MIB).unwrap().assert_clean();
    }
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let source = tempfile::tempdir().unwrap();
    let path = source.path().join("long");
    File::create(&path).unwrap().set_len(3 << 40).unwrap();
    let error = make_as(FileSystem::Ext3, source.path(), 64 * MIB).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "/long in the image is longer than files of such a file system can be");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    for number in 0..32_000 {
        fs::hard_link(&path, source.path().join(number.to_string())).unwrap();
    }
    let error = make_as(FileSystem::Ext3, source.path(), 64 * MIB).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "/0 in the image has more names than the 32000 that the file system counts");
    let nothing = tempfile::tempdir().unwrap();
    for len in [0, 512, 4096, MIB] {
        assert!(matches!(make(nothing.path(), len).map(drop), Err(Error::TooSmall { .. })), "{len}");
    }
}

#[test]
fn capabilities_owners_and_devices_arrive() {
    if !is_here() || !rustix::process::geteuid().is_root() {
        return;
    }
    let source = tree(&["ping"]);
    let ping = source.path().join("ping");
    // CAP_NET_RAW, effective, version 2 (`linux/capability.h`).
    let mut capability = [0; 20];
    capability[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
    rustix::fs::setxattr(&ping, "security.capability", &capability, rustix::fs::XattrFlags::empty()).unwrap();
    rustix::fs::setxattr(&ping, "user.note", b"kept", rustix::fs::XattrFlags::empty()).unwrap();
    std::os::unix::fs::chown(source.path().join("private"), Some(70_000), Some(12)).unwrap();
    let device = rustix::fs::makedev(1, 3);
    let open_to_all = rustix::fs::Mode::from_raw_mode(0o666);
    let has_devices =
        rustix::fs::mknodat(rustix::fs::CWD, source.path().join("null"), rustix::fs::FileType::CharacterDevice, open_to_all, device).is_ok();
    let made = make(source.path(), 64 * MIB).unwrap();
    let attributes = made.debugfs("ea_list /ping");
    assert!(attributes.contains("security.capability (20) = 01 00 00 02 00 20"), "{attributes}");
    assert!(attributes.contains("user.note (4) = \"kept\""), "{attributes}");
    let owner = made.debugfs("stat /private");
    assert!(owner.contains("User: 70000   Group:    12"), "{owner}");
    assert!(!has_devices || made.debugfs("stat /null").contains("Device major/minor number: 01:03"));
    made.assert_clean();
}

#[test]
fn says_how_much_is_missing() {
    if !is_here() {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("large"), vec![1; 64 << 20]).unwrap();
    let error = make(source.path(), 64 * MIB).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "partition “root” of 64.0 MiB is too small: 6.00 MiB more are needed");
    // The estimate is a lower bound; a little more than it asks for is enough.
    make(source.path(), 72 * MIB).unwrap().assert_clean();
}

#[test]
fn a_tree_that_just_does_not_fit_is_still_told_so() {
    if !is_here() {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    // Each has a block of attributes, of which nobody knows before it is made.
    for number in 0..40 {
        let path = source.path().join(number.to_string());
        fs::write(&path, vec![1; 100 << 10]).unwrap();
        rustix::fs::setxattr(&path, "user.note", &[1; 200], rustix::fs::XattrFlags::empty()).unwrap();
    }
    let lengths: Vec<u64> = (8 << 20..10 << 20).step_by(4096).collect();
    let fits = lengths.partition_point(|len| make(source.path(), *len).is_err());
    assert!(matches!(make(source.path(), lengths[fits - 1]).map(drop), Err(Error::TooSmall { .. })));
    let full = make(source.path(), lengths[fits]).unwrap();
    full.assert_clean();
    assert!(full.debugfs("show_super_stats -h").contains("Free blocks:              0"), "{}", full.debugfs("show_super_stats -h"));
}

#[test]
fn the_tables_identifiers_are_the_layouts() {
    if !is_here() {
        return;
    }
    let made = make(tree(&["a"]).path(), 64 * MIB).unwrap();
    let mut expected = layout(66 * MIB + 64 * MIB);
    let text = made.debugfs("show_super_stats -h");
    assert!(text.contains(&expected.filesystem_uuid(&expected.partitions[1])), "{text}");
    for part in ["volume name:   root", "crc32c", "Reserved block count:     163", "Tue Nov 14 22:13:20 2023"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("metadata_csum_seed") && !text.contains("orphan_file"), "{text}");
    expected.seed = Digest::of(b"other");
    assert!(!text.contains(&expected.filesystem_uuid(&expected.partitions[1])));
}
