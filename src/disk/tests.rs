//! The whole room on a small tree that looks like a system. Without `mke2fs` on the machine there is nothing to test.

use std::fs;
use std::os::unix::fs::symlink;

use super::layout::tests::layout;
use super::*;
use crate::progress::Silent;

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
    let job = Job { tree, layout: &layout, boot: &boot, out, scratch: scratch.path() };
    let report = write(job, &mut |_| Ok(Vec::new()), &Silent, cancel);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left in the scratch folder");
    report
}

fn is_here() -> bool {
    requirements().iter().all(Requirement::is_met)
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
fn a_failure_leaves_no_disk_behind() {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let large = tree();
    fs::write(large.path().join("large"), vec![1; 100 << 20]).unwrap();
    let error = make(large.path(), &out, &Cancel::default()).unwrap_err();
    assert!(matches!(error, Error::TooSmall { .. }), "{error}");
    assert!(!out.exists());

    let cancel = Cancel::default();
    cancel.cancel();
    assert!(matches!(make(tree().path(), &out, &cancel), Err(Error::Cancelled(_))));
    assert!(!out.exists());
}

#[test]
fn a_layout_survives_its_way_to_another_process() {
    let layout = layout(1 << 30);
    let text = serde_json::to_string(&(&layout, boot())).unwrap();
    assert_eq!(serde_json::from_str::<(Layout, Boot)>(&text).unwrap(), (layout, boot()));
}
