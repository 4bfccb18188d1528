//! `cache export` and `cache import`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::cache::{json_of, keep_two_images};
use crate::support::program::{program, run};

/// A raw disk of 5 MiB with a little in it.
fn raw_disk(home: &Path) -> PathBuf {
    let path = home.join("appliance.raw");
    let mut bytes = vec![0; 5 << 20];
    bytes[1_000_000..1_200_000].fill(7);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn an_image_leaves_in_every_format_and_comes_in_again() {
    let home = tempfile::tempdir().unwrap();
    let raw = raw_disk(home.path());
    let (status, id, err) = run(home.path(), &["cache", "import", raw.to_str().unwrap()]);
    assert_eq!(status, 0, "{err}");
    assert_eq!((id.len(), id.trim_end()), (65, blake3::hash(&fs::read(&raw).unwrap()).to_hex().as_str()));
    assert!(err.contains("imported a disk of 5.00 MiB (raw) as "), "{err}");
    let list = run(home.path(), &["cache", "list"]).1;
    assert!(list.starts_with(&format!("{}\tappliance\t\t5242880\t", id.trim_end())), "{list}");

    for format in ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "raw.zst", "qcow2.zst", "vmdk.gz", "qcow2.xz", "raw.bz2"] {
        let out = home.path().join(format!("out.{format}"));
        let (status, path, err) = run(home.path(), &["cache", "export", &id[..12], out.to_str().unwrap()]);
        assert_eq!((status, path), (0, format!("{}\n", out.display())), "{err}");
        assert!(err.contains(&format!("exported {} as {format}: a disk of 5.00 MiB in ", &id[..12])), "{err}");
        let (status, again, err) = run(home.path(), &["cache", "import", out.to_str().unwrap(), "--json"]);
        assert_eq!(status, 0, "{err}");
        let again = json_of(&again);
        assert_eq!((&again["outcome"], &again["format"], &again["image"]["spec_hash"]), (&json!("present"), &json!(format), &json!(id.trim_end())));
        assert!(err.contains("is in the cache already: nothing was changed"), "{err}");
    }
    assert!(fs::read(home.path().join("out.raw")).unwrap() == fs::read(&raw).unwrap());
    assert_eq!(json_of(&run(home.path(), &["cache", "list", "--json"]).1)["images"].as_array().unwrap().len(), 1);
}

#[test]
fn an_export_is_refused_before_it_begins() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let out = home.path().join("disk.qcow2");
    let out = out.to_str().unwrap();
    fs::write(out, "mine").unwrap();
    let refused = |arguments: &[&str], expected: i32, said: &str| {
        let (status, data, err) = run(home.path(), &[&["cache", "export"], arguments].concat());
        assert_eq!((status, data.as_str()), (expected, ""), "{arguments:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(said) && err.contains("\nhint: "), "{arguments:?}: {err}");
    };
    refused(&["3f9a", out], 2, "is there already");
    refused(&["3f9a", home.path().to_str().unwrap(), "--format", "raw", "--force"], 2, "is no regular file");
    refused(&["3f9a", "/nowhere/disk.raw"], 2, "cannot inspect /nowhere");
    refused(&["3f9a", "disk.iso"], 2, "does not say which format");
    refused(&["3f9a", "-"], 2, "a format is needed");
    refused(&["3f9a", "-", "--format", "raw", "--json"], 2, "cannot be shown");
    refused(&["3f9", out], 2, "may mean any of 2 images");
    refused(&["ffff", out], 3, "no image");
    assert_eq!(fs::read(out).unwrap(), b"mine");

    let (status, json, err) = run(home.path(), &["cache", "export", "3f9a", out, "--force", "--format", "raw", "--json"]);
    assert_eq!(status, 0, "{err}");
    let json = json_of(&json);
    assert_eq!((&json["path"], &json["format"], &json["size"], &json["disk_size"]), (&json!(out), &json!("raw"), &json!(1 << 20), &json!(1 << 20)));
    assert_eq!(fs::read(out).unwrap(), vec![7; 1 << 20]);
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".partial")), "{left:?}");
    let uses = json_of(&run(home.path(), &["cache", "info", "3f9a", "--json"]).1)["uses"].clone();
    assert_eq!(uses, json!(1), "an export is a use");
}

#[test]
fn an_export_over_a_link_writes_what_it_points_to() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let (file, link) = (home.path().join("disk.raw"), home.path().join("link.raw"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink("disk.raw", &link).unwrap();
    assert_eq!(run(home.path(), &["cache", "export", "3f9a", link.to_str().unwrap()]).0, 2);
    assert_eq!(run(home.path(), &["cache", "export", "3f9a", link.to_str().unwrap(), "--force"]).0, 0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&file).unwrap(), vec![7; 1 << 20]);
}

#[test]
fn an_image_goes_to_standard_output() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let output = program(home.path(), &["cache", "export", "3f9a", "-", "--format", "raw.zst"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(zstd::decode_all(output.stdout.as_slice()).unwrap(), vec![7; 1 << 20]);
}

#[test]
fn a_file_that_is_no_disk_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8], more: &[&str], expected: i32, said: &str| {
        let path = home.path().join(name);
        fs::write(&path, bytes).unwrap();
        let (status, data, err) = run(home.path(), &[&["cache", "import", path.to_str().unwrap()], more].concat());
        assert_eq!((status, data.as_str()), (expected, ""), "{name}: {err}");
        assert!(err.contains("error: ") && err.contains(said) && err.contains("\nhint: "), "{name}: {err}");
    };
    refused("disk.qcow2", &[1; 4096], &[], 2, "is called qcow2, and is none");
    refused("disk.raw.lz4", b"\x04\x22\x4d\x18", &[], 1, "it is compressed with lz4");
    refused("disk.raw.gz", b"\x1f\x8b\x08", &[], 4, "it ends too early");
    refused("disk.raw.xz", b"\xfd7zXZ\0\0\x04garbage", &[], 4, "cannot be read as xz");
    refused("disk.vmdk", b"# Disk DescriptorFile\nversion=1\n", &[], 1, "whose data lie in other files");
    refused("nothing.raw", b"", &[], 2, "is empty");
    refused("disk.vhdx", b"vhdxfile", &[], 4, "it ends too early");
    refused("disk.raw", &[1; 4096], &["--max-size", "4095"], 1, "is longer than");
    refused("disk.zst", &zstd::encode_all([0; 5000].as_slice(), 3).unwrap(), &["--max-size", "4096"], 1, "is longer than");
    assert_eq!(run(home.path(), &["cache", "import", "/nowhere/disk.raw"]).0, 2);
    assert_eq!(json_of(&run(home.path(), &["cache", "list", "--json"]).1)["images"], json!([]));
}

#[test]
fn a_name_that_contradicts_the_content_is_told() {
    let home = tempfile::tempdir().unwrap();
    let raw = raw_disk(home.path());
    let id = run(home.path(), &["cache", "import", raw.to_str().unwrap(), "--name", "mine"]).1;
    let out = home.path().join("disk.vdi");
    assert_eq!(run(home.path(), &["cache", "export", id.trim_end(), out.to_str().unwrap(), "--format", "qcow2"]).0, 0);
    let (status, again, err) = run(home.path(), &["cache", "import", out.to_str().unwrap()]);
    assert_eq!((status, again), (0, id));
    assert!(err.starts_with("warning: ") && err.contains("is called vdi, and is qcow2"), "{err}");
    assert!(run(home.path(), &["cache", "list"]).1.contains("\tmine\t"));
}

/// A spec whose disk has 322 MiB (no smaller one is allowed), and a raw disk of that length with this byte at its beginning.
fn spec_and_disk(home: &Path, byte: u8) -> (PathBuf, PathBuf) {
    let (spec, raw) = (home.join("edge.yml"), home.join(format!("disk-{byte}.raw")));
    let formats = ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi"].map(|format| format!("{{ type: {format} }}")).join(", ");
    let text = "image: { name: edge, version: \"1\" }\ntarget: { dist: debian12, arch: x86_64 }\nsystemConfig: { name: edge }\n";
    let esp = "{ id: esp, type: esp, start: 1MiB, end: 65MiB, fsType: fat32, mountPoint: /boot/efi }";
    let root = "{ id: root, type: linux-root-amd64, start: 65MiB, end: \"0\", fsType: ext4, mountPoint: / }";
    fs::write(&spec, format!("{text}disk: {{ size: 322MiB, partitions: [ {esp}, {root} ], artifacts: [ {formats} ] }}\n")).unwrap();
    fs::write(&raw, [byte; 5000]).unwrap();
    fs::File::options().write(true).open(&raw).unwrap().set_len(322 << 20).unwrap();
    (spec, raw)
}

#[test]
fn an_image_that_is_imported_for_a_spec_is_what_its_build_takes() {
    let home = tempfile::tempdir().unwrap();
    let (spec, raw) = spec_and_disk(home.path(), 7);
    let (spec, out) = (spec.to_str().unwrap(), home.path().join("out"));
    let (status, id, err) = run(home.path(), &["cache", "import", raw.to_str().unwrap(), "--spec", spec]);
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("warning: builds of edge 1 will take this image: that it is what the spec says is your word alone"), "{err}");
    let (status, json, err) = run(home.path(), &["build", spec, "--offline", "--json", "-o", out.to_str().unwrap()]);
    assert_eq!(status, 0, "{err}");
    assert!(err.contains(&format!("image cache: hit {}, imported just now from disk-7.raw", &id[..12])), "{err}");
    let json = json_of(&json);
    assert_eq!((&json["spec_hash"], &json["image"]["imported"]["file"]), (&json!(id.trim_end()), &json!("disk-7.raw")));
    assert!(fs::read(out.join("edge-1.raw")).unwrap() == fs::read(&raw).unwrap());
    for format in ["qcow2", "vhd", "vhdx", "vmdk", "vdi"] {
        let (built, exported) = (out.join(format!("edge-1.{format}")), home.path().join(format!("exported.{format}")));
        assert_eq!(run(home.path(), &["cache", "export", id.trim_end(), exported.to_str().unwrap()]).0, 0);
        assert!(fs::read(built).unwrap() == fs::read(exported).unwrap(), "{format}: a build and an export write the same file");
    }
}

#[test]
fn the_files_of_a_disk_are_an_archive() {
    let home = tempfile::tempdir().unwrap();
    let (spec, raw) = spec_and_disk(home.path(), 7);
    let text = fs::read_to_string(&spec).unwrap().replace("{ type: qcow2 }", "{ type: tar, compression: zstd }, { type: tar }");
    fs::write(&spec, text).unwrap();
    // What a disk without files of a system says.
    let (spec, out) = (spec.to_str().unwrap(), home.path().join("out"));
    let id = run(home.path(), &["cache", "import", raw.to_str().unwrap()]).1;
    let none = home.path().join("none.tar");
    let (status, _, err) = run(home.path(), &["cache", "export", id.trim_end(), none.to_str().unwrap()]);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("it has no root file system of a kind that is read"), "{err}");
    assert!(!none.exists());

    let disk = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/filesystems/disk-gpt.zst");
    fs::write(&raw, zstd::decode_all(fs::File::open(disk).unwrap()).unwrap()).unwrap();
    fs::File::options().write(true).open(&raw).unwrap().set_len(322 << 20).unwrap();
    let (status, id, err) = run(home.path(), &["cache", "import", raw.to_str().unwrap(), "--spec", spec]);
    assert_eq!(status, 0, "{err}");
    let (status, _, err) = run(home.path(), &["build", spec, "--offline", "-o", out.to_str().unwrap()]);
    assert_eq!(status, 0, "{err}");
    let archive = fs::read(out.join("edge-1.tar")).unwrap();
    assert!(zstd::decode_all(fs::File::open(out.join("edge-1.tar.zst")).unwrap()).unwrap() == archive);
    let exported = home.path().join("exported.tar");
    assert_eq!(run(home.path(), &["cache", "export", id.trim_end(), exported.to_str().unwrap()]).0, 0);
    assert!(fs::read(&exported).unwrap() == archive, "a build and an export write the same file");
    let (status, _, err) = run(home.path(), &["cache", "import", exported.to_str().unwrap()]);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("it is a tar archive"), "{err}");
}

#[test]
fn a_spec_takes_only_a_disk_of_its_size_and_one_image() {
    let home = tempfile::tempdir().unwrap();
    let (spec, raw) = spec_and_disk(home.path(), 7);
    let spec = spec.to_str().unwrap();
    let import = |raw: &Path, more: &[&str]| run(home.path(), &[&["cache", "import", raw.to_str().unwrap(), "--spec", spec], more].concat());
    let small = raw_disk(home.path());
    let (status, out, err) = import(&small, &[]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("has 5.00 MiB (5242880 bytes), and the spec’s has 322 MiB (337641472 bytes)\nhint: "), "{err}");

    let id = import(&raw, &[]).1;
    let (status, again, err) = import(&raw, &[]);
    assert_eq!((status, &again), (0, &id));
    assert!(err.contains("is in the cache already"), "{err}");
    let (_, other) = spec_and_disk(home.path(), 8);
    let (status, out, err) = import(&other, &[]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("has another image of this spec already") && err.contains("--force"), "{err}");
    let digest = || json_of(&run(home.path(), &["cache", "info", id.trim_end(), "--json"]).1)["image_digest"].clone();
    let before = digest();
    assert_eq!(import(&other, &["--force"]).1, id);
    assert_ne!(digest(), before);
}

#[test]
fn a_damaged_image_is_not_exported() {
    let home = tempfile::tempdir().unwrap();
    let raw = raw_disk(home.path());
    let id = run(home.path(), &["cache", "import", raw.to_str().unwrap()]).1;
    let pack = fs::read_dir(home.path().join("store/packs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[40] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let out = home.path().join("out");
    fs::create_dir(&out).unwrap();
    let (status, data, err) = run(home.path(), &["cache", "export", id.trim_end(), out.join("disk.vmdk").to_str().unwrap()]);
    assert_eq!((status, data.as_str()), (4, ""), "{err}");
    assert!(err.contains("is damaged"), "{err}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "nothing is left");
    // The same file mends it.
    let (status, again, err) = run(home.path(), &["cache", "import", raw.to_str().unwrap()]);
    assert_eq!((status, again), (0, id.clone()), "{err}");
    assert_eq!(run(home.path(), &["cache", "export", id.trim_end(), out.join("disk.vmdk").to_str().unwrap()]).0, 0);
}
