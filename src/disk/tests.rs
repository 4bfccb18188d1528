//! The whole room on a small tree that looks like a system. Without `e2fsck` on the machine there is no judge, and nothing is tested.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use super::layout::tests::layout;
use super::*;
use crate::digest::Digest;
use crate::format::row::ChunkRow;
use crate::progress::Silent;
use crate::root::sandbox::find_program;
use crate::store::Shared;
use crate::store::tests::{keep, noise, store};

const KERNEL: &str = "6.1.0-50-amd64";

fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put(&format!("boot/vmlinuz-{KERNEL}"), &vec![1; 100_000]);
    put(&format!("boot/initrd.img-{KERNEL}"), &vec![2; 200_000]);
    put("boot/efi/user.txt", b"mine");
    put("usr/lib/systemd/boot/efi/systemd-bootx64.efi", &vec![3; 50_000]);
    put("usr/lib/os-release", b"ID=debian\n");
    fs::create_dir(folder.path().join("etc")).unwrap();
    symlink("../usr/lib/os-release", folder.path().join("etc/os-release")).unwrap();
    folder
}

fn boot() -> Boot {
    Boot { provider: Provider::SystemdBoot, cmdline: "console=ttyS0".to_owned(), title: "Test".to_owned() }
}

fn make(tree: &Path, out: &Path, cancel: &Cancel) -> Result<Report, Error> {
    let scratch = tempfile::tempdir().unwrap();
    let (layout, boot) = (layout(128 << 20), boot());
    let job = Job { tree, deferred: &Deferred::default(), layout: &layout, boot: Some(&boot), out, scratch: scratch.path() };
    let report = write(job, &mut |_| Ok(Vec::new()), &Silent, cancel);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left in the scratch folder");
    report
}

fn is_here() -> bool {
    ["e2fsck", "debugfs"].iter().all(|program| find_program(program).is_some())
}

#[test]
fn a_tree_becomes_the_same_disk_twice() {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    fs::write(&b, "what was here before").unwrap();
    // The trees' own times differ; the layout's time is earlier than all.
    let (first, second) = (tree(), tree());
    let report = make(first.path(), &a, &Cancel::default()).unwrap();
    assert_eq!(make(second.path(), &b, &Cancel::default()).unwrap(), report);
    assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap(), "the disks differ");

    assert_eq!(report.kernels, [KERNEL]);
    assert_eq!(report.partitions.len(), 2);
    assert!(report.partitions.iter().all(|usage| usage.used > 0 && usage.used < usage.size), "{report:?}");
    assert!(!first.path().join("boot/efi/user.txt").exists() && first.path().join("etc/fstab").exists());
    let disk = fs::read(&a).unwrap();
    assert!(disk[..65 << 20].windows(4).any(|bytes| bytes == b"mine"), "the user's file is on the EFI system partition");
}

#[test]
fn a_failure_leaves_nothing_of_a_disk_behind() {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let large = tree();
    fs::write(large.path().join("large"), vec![1; 100 << 20]).unwrap();
    let error = make(large.path(), &out, &Cancel::default()).unwrap_err();
    assert!(matches!(error, Error::TooSmall { .. }), "{error}");
    assert_eq!(out.metadata().unwrap().len(), 0);
    // It is the same file when it is tried again: who has it open gets the disk.
    let held = File::open(&out).unwrap();
    make(tree().path(), &out, &Cancel::default()).unwrap();
    assert_eq!(held.metadata().unwrap().len(), 128 << 20);

    let (cancel, other) = (Cancel::default(), folder.path().join("other"));
    cancel.cancel();
    assert!(matches!(make(tree().path(), &other, &cancel), Err(Error::Cancelled(_))));
    assert!(!other.exists());
}

/// What `debugfs` says of a file system in the disk.
fn debugfs(disk: &Path, start: u64, request: &str) -> String {
    let mut command = std::process::Command::new(find_program("debugfs").unwrap());
    let output = command.arg("-R").arg(request).arg(format!("{}?offset={start}", disk.display())).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_partition_has_what_the_tree_has_at_its_mount_point() {
    if !is_here() {
        return;
    }
    let tree = tree();
    for (path, text) in [("var/log/a", "log"), ("var/lib/deep/b", "deep"), ("home/alice/c", "home"), ("data/d", "data")] {
        fs::create_dir_all(tree.path().join(path).parent().unwrap()).unwrap();
        fs::write(tree.path().join(path), text).unwrap();
    }
    fs::set_permissions(tree.path().join("home"), PermissionsExt::from_mode(0o711)).unwrap();
    let mut layout = layout(600 << 20);
    layout.partitions[1].len = 100 << 20;
    let mut start = 200 << 20;
    for (name, kind, filesystem, mount_point) in [
        ("var", PartitionKind::Var, FileSystem::Ext4, Some("/var")),
        ("deep", PartitionKind::Linux, FileSystem::Ext2, Some("/var/lib/deep")),
        ("home", PartitionKind::Home, FileSystem::Ext3, Some("/home")),
        ("data", PartitionKind::Linux, FileSystem::Fat16, Some("/data")),
        ("swap", PartitionKind::Swap, FileSystem::Swap, None),
        ("spare", PartitionKind::Linux, FileSystem::Ext4, None),
    ] {
        let mut partition = layout.partitions[1].clone();
        (partition.name, partition.kind, partition.filesystem) = (name.to_owned(), kind, Some(filesystem));
        (partition.mount_point, partition.label) = (mount_point.map(str::to_owned), None);
        (partition.start, partition.len) = (start, 32 << 20);
        start += partition.len;
        layout.partitions.push(partition);
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("disk");
    let job = Job { tree: tree.path(), deferred: &Deferred::default(), layout: &layout, boot: Some(&boot()), out: &out, scratch: folder.path() };
    let report = write(job, &mut |_| Ok(Vec::new()), &Silent, &Cancel::default()).unwrap();
    assert_eq!(report.partitions.iter().filter(|usage| usage.used > 0).count(), layout.partitions.len());

    let at = |name: &str| layout.partitions.iter().find(|partition| partition.name == name).unwrap().start;
    let has = |name: &str, path: &str| !debugfs(&out, at(name), &format!("stat {path}")).is_empty();
    assert_eq!(debugfs(&out, at("var"), "cat /log/a"), "log");
    assert_eq!(debugfs(&out, at("deep"), "cat /b"), "deep");
    assert_eq!(debugfs(&out, at("home"), "cat /alice/c"), "home");
    assert!(debugfs(&out, at("home"), "stat /").contains("Mode:  0711"), "the mount point's mode is that of the file system's root");
    assert!(has("var", "/lib/deep") && !has("var", "/lib/deep/b") && has("root", "/var") && !has("root", "/var/log"));
    assert!(has("root", "/home") && !has("root", "/home/alice") && has("spare", "/lost+found") && !has("spare", "/etc"));
    for (name, features) in [("deep", ""), ("home", "has_journal")] {
        let said = debugfs(&out, at(name), "features");
        assert!(said.contains(features) && !said.contains("extent") && !said.contains("metadata_csum"), "{name}: {said}");
    }
    for name in ["root", "var", "deep", "home", "spare"] {
        let image = format!("{}?offset={}", out.display(), at(name));
        let output = std::process::Command::new(find_program("e2fsck").unwrap()).args(["-fn", &image]).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let bytes = fs::read(&out).unwrap();
    let data = &bytes[at("data") as usize..][..32 << 20];
    assert!(data[54..59] == *b"FAT16" && data.windows(4).any(|bytes| bytes == b"data"));
    assert_eq!(bytes[at("swap") as usize + 4086..][..10], *b"SWAPSPACE2");
}

#[test]
fn a_mount_point_that_is_a_link_leads_nowhere() {
    if !is_here() {
        return;
    }
    let (tree, elsewhere, folder) = (tree(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(elsewhere.path().join("secret"), "host").unwrap();
    symlink(elsewhere.path(), tree.path().join("home")).unwrap();
    let mut layout = layout(200 << 20);
    layout.partitions[1].len = 64 << 20;
    let mut home = layout.partitions[1].clone();
    (home.name, home.kind, home.mount_point, home.start, home.len) =
        ("home".to_owned(), PartitionKind::Home, Some("/home".to_owned()), 150 << 20, 32 << 20);
    layout.partitions.push(home);
    let out = folder.path().join("disk");
    let job = Job { tree: tree.path(), deferred: &Deferred::default(), layout: &layout, boot: Some(&boot()), out: &out, scratch: folder.path() };
    let error = write(job, &mut |_| Ok(Vec::new()), &Silent, &Cancel::default()).unwrap_err();
    assert!(matches!(error, Error::Tree(_)), "{error}");
    assert!(elsewhere.path().join("secret").exists() && !out.exists());
}

#[test]
fn a_layout_survives_its_way_to_another_process() {
    let layout = layout(1 << 30);
    let text = serde_json::to_string(&(&layout, boot())).unwrap();
    assert_eq!(serde_json::from_str::<(Layout, Boot)>(&text).unwrap(), (layout, boot()));
}

#[test]
fn bytes_come_from_the_kept_root_where_the_tree_has_none() {
    let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::default());
    let at = |name: &str| folder.path().join(name);
    let (long, other) = (noise(300_001, 1), noise(300_001, 2));
    let gap = [&long[..8192], &vec![0; 50_000], &long[..200_000]].concat();
    for (path, bytes) in
        [("etc/long", &long), ("usr/lib/a.so", &long), ("usr/share/gap", &gap), ("usr/share/long", &long), ("usr/share/other", &other)]
    {
        fs::create_dir_all(at("old").join(path).parent().unwrap()).unwrap();
        fs::write(at("old").join(path), bytes).unwrap();
    }
    fs::hard_link(at("old/usr/share/long"), at("old/usr/again")).unwrap();
    crate::root::save(&Tree::open(&at("old")).unwrap(), &at("kept"), &cancel).unwrap();
    let (_dir, store) = store();
    let (root, _) = keep(&store, &at("kept"));
    let lay = |name: &str, defers| {
        fs::create_dir(at(name)).unwrap();
        crate::root::restore(&Tree::open(&at(name)).unwrap(), store.image_parts(&root).unwrap(), defers, &Silent, &cancel).unwrap()
    };
    let write = |name: &str, deferred: &Deferred| {
        let (layout, out) = (layout(128 << 20), at(&format!("{name}.raw")));
        let job = Job { tree: &at(name), deferred, layout: &layout, boot: None, out: &out, scratch: folder.path() };
        write(job, &mut |_| Ok(Vec::new()), &Silent, &cancel)
    };

    let whole = lay("whole", false);
    assert!(whole.is_empty() && write("whole", &whole).unwrap().shared.is_empty());
    let part = lay("part", true);
    assert_eq!(part.contents().count(), 3, "what programs may need is there");
    let shared = write("part", &part).unwrap().shared;
    let disk = fs::read(at("part.raw")).unwrap();
    assert!(disk == fs::read(at("whole.raw")).unwrap(), "the disks differ");
    // What has holes is not what the root has.
    let [first, second] = &shared[..] else { panic!("{shared:?}") };
    let kept = fs::read(at("kept")).unwrap();
    for stretch in [first, second] {
        let (at, from, len) = (stretch.at as usize, stretch.from as usize, stretch.len as usize);
        assert!(len == 303_104 && disk[at..at + len] == kept[from..from + len]);
    }

    // The store takes their chunks, and looks at nothing.
    let manifest = Digest::of(&root.encode().unwrap());
    let stage = |stretches: &[Stretch]| {
        let shared = Shared { manifest, stretches: stretches.to_vec() };
        store.stage_image(&at("part.raw"), Some(&shared), &Silent, &cancel).unwrap().manifest.digest
    };
    let expected = stage(&[]);
    assert_eq!(stage(&shared), expected);
    assert_ne!(stage(&[Stretch { from: second.from, ..*first }]), expected, "it is believed");
    for wrong in [Stretch { at: first.at + 4096, ..*first }, Stretch { from: first.from + 4096, ..*first }, Stretch { len: 4096, ..*first }] {
        assert_eq!(stage(&[wrong]), expected, "{wrong:?}");
    }
    let txn = store.write().unwrap();
    for digest in root.chunks() {
        let row = txn.get::<ChunkRow>(digest.as_bytes()).unwrap().unwrap();
        txn.put(digest.as_bytes(), &ChunkRow { lost: true, ..row }).unwrap();
    }
    txn.commit().unwrap();
    let shared = Shared { manifest, stretches: shared };
    let staged = store.stage_image(&at("part.raw"), Some(&shared), &Silent, &cancel).unwrap();
    assert!(staged.manifest.digest == expected && staged.own_bytes() > 600_000, "what is lost is stored again");
}

#[test]
fn nobody_takes_zeros_for_what_is_in_a_file() {
    let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::default());
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("old/usr/share")).unwrap();
    fs::write(at("old/usr/share/long"), noise(300_000, 1)).unwrap();
    crate::root::save(&Tree::open(&at("old")).unwrap(), &at("kept"), &cancel).unwrap();
    let (_dir, store) = store();
    let (root, _) = keep(&store, &at("kept"));
    let touched = |name: &str, touch: &dyn Fn(&Path)| {
        fs::create_dir(at(name)).unwrap();
        let parts = store.image_parts(&root).unwrap();
        let deferred = crate::root::restore(&Tree::open(&at(name)).unwrap(), parts, true, &Silent, &cancel).unwrap();
        touch(&at(name).join("usr/share/long"));
        let (layout, out) = (layout(128 << 20), at(&format!("{name}.raw")));
        let job = Job { tree: &at(name), deferred: &deferred, layout: &layout, boot: None, out: &out, scratch: folder.path() };
        let written = write(job, &mut |_| Ok(Vec::new()), &Silent, &cancel);
        assert_eq!(deferred.check().is_err(), written.is_err());
        written
    };
    let read = |path: &Path| drop(fs::read(path).unwrap());
    let append = |path: &Path| fs::File::options().append(true).open(path).unwrap().write_all(b"x").unwrap();
    let shorten = |path: &Path| fs::File::options().write(true).open(path).unwrap().set_len(4096).unwrap();
    let open = |path: &Path| drop(fs::File::open(path).unwrap());
    let read_and_remove = |path: &Path| {
        read(path);
        fs::remove_file(path).unwrap();
    };
    for (name, touch) in [("read", &read as &dyn Fn(&Path)), ("append", &append), ("shorten", &shorten), ("open", &open), ("gone", &read_and_remove)]
    {
        assert!(matches!(touched(name, touch), Err(Error::Touched(_))), "{name}");
    }
    let rename = |path: &Path| fs::rename(path, path.with_extension("new")).unwrap();
    let remove = |path: &Path| fs::remove_file(path).unwrap();
    for (name, look) in [("rename", &rename as &dyn Fn(&Path)), ("remove", &remove)] {
        touched(name, look).unwrap();
    }
}
