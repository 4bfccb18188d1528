//! File systems made of small trees, judged by `e2fsck` and `debugfs`. Without `mke2fs` on the machine there is nothing to test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::*;
use crate::digest::Digest;
use crate::disk::layout::tests::layout;

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
        let debugfs = program::find("debugfs").unwrap();
        let output = Command::new(debugfs).env("TZ", "UTC").args(["-R", request, &self.image()]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn assert_clean(&self) {
        let output = Command::new(program::find("e2fsck").unwrap()).args(["-fn", &self.image()]).output().unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
}

fn is_here() -> bool {
    program::requirements().iter().all(program::Requirement::is_met)
}

fn make(tree: &Path, len: u64) -> Result<Made, Error> {
    let layout = layout(66 * MIB + len);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let disk = File::create_new(&path).unwrap();
    drop(disk);
    let disk = File::options().read(true).write(true).open(&path).unwrap();
    disk.set_len(layout.size).unwrap();
    let used = write((&disk, &path), &layout, &layout.partitions[1], &Tree::open(tree)?, folder.path(), &Cancel::default())?;
    Ok(Made { folder, used, start: layout.partitions[1].start })
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
    fs::write(source.path().join("large"), vec![1; 63 << 20]).unwrap();
    // Fits by the estimate, and not with the group descriptors and bitmaps.
    let needs = Needs::of(&Tree::open(source.path()).unwrap(), &Cancel::default()).unwrap();
    let len = (64 << 20..80 << 20).step_by(4096).find(|len| needs.bytes_with(needs.inodes_for(*len), needs::journal_for(*len)) <= *len).unwrap();
    let error = make(source.path(), len).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::TooSmall { .. }), "{error}");
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

#[test]
fn damage_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let layout = layout(80 * MIB);
    let disk = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    disk.set_len(layout.size).unwrap();
    let settings = inodes::Settings { time: 0, root_mode: 0o755 };
    assert!(matches!(inodes::settle((&disk, &path), &layout.partitions[1], settings, &Cancel::default()), Err(Error::Ext4(_))));
}
