//! `inspect`, `diff` and `build --check`, where no image has to be built.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::cache::{json_of, keep_two_images};
use crate::support::program::run;

/// A disk of `fixtures/filesystems/`, as a file in `home`.
fn disk(home: &Path, name: &str) -> PathBuf {
    let packed = fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/filesystems/{name}.zst"))).unwrap();
    let path = home.join(format!("{name}.raw"));
    fs::write(&path, zstd::decode_all(packed).unwrap()).unwrap();
    path
}

/// The same with these bytes in place of others, wherever they are.
fn changed(path: &Path, old: &[u8], new: &[u8]) -> PathBuf {
    let mut bytes = fs::read(path).unwrap();
    let places: Vec<usize> = bytes.windows(old.len()).enumerate().filter(|(_, window)| *window == old).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    let path = path.with_extension("changed.raw");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_file_and_its_image_in_the_cache_are_told_the_same() {
    let home = tempfile::tempdir().unwrap();
    let path = disk(home.path(), "disk-gpt");
    let path = path.to_str().unwrap();
    let (status, out, err) = run(home.path(), &["inspect", path]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    for said in ["Debian GNU/Linux 12 (bookworm), host name tiny", "systemd-boot 252.39", "packages 2 (dpkg)", "linux-root-amd64", "anna   1000"] {
        assert!(out.contains(said), "{said}: {out}");
    }
    assert!(!out.contains("$6$") && !out.contains("590-2"), "{out}");
    assert!(run(home.path(), &["inspect", path, "--packages"]).1.contains("less     590-2    amd64"));
    assert!(!home.path().join("store").exists(), "who looks into a file needs no store");

    let id = run(home.path(), &["cache", "import", path]).1;
    let (status, out, err) = run(home.path(), &["inspect", &id[..12], "--json"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let (mut image, mut file) = (json_of(&out), json_of(&run(home.path(), &["inspect", path, "--json"]).1));
    assert_eq!((&image["spec_hash"], &image["format"]), (&json!(id.trim_end()), &json!(null)));
    assert_eq!((&file["spec_hash"], &file["format"], &file["image"]), (&json!(null), &json!("raw"), &json!(path)));
    for name in ["image", "spec_hash", "format"] {
        image[name].take();
        file[name].take();
    }
    assert_eq!(image, file);
    let (status, out, err) = run(home.path(), &["diff", &id[..12], path]);
    assert_eq!((status, out.as_str()), (0, ""));
    assert_eq!(err, format!("{} and {path} are the same, byte by byte\n", &id[..12]));
}

#[test]
fn what_differs_is_a_line_each_and_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let a = disk(home.path(), "disk-gpt");
    let b = changed(&a, b"Version: 590-2", b"Version: 591-1");
    let (status, out, err) = run(home.path(), &["diff", a.to_str().unwrap(), b.to_str().unwrap()]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(out, "~ less 590-2 -> 591-1\n\n~ /var/lib/dpkg/status: content, 178 B as before\n");
    assert!(err.contains(" differ: 1 package, 1 file, "), "{err}");
    let (status, out, err) = run(home.path(), &["diff", a.to_str().unwrap(), b.to_str().unwrap(), "--json"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let json = json_of(&out);
    assert_eq!((&json["same"], &json["files"][0]["what"], &json["first_byte"]["partition"]), (&json!(false), &json!(["content"]), &json!(2)));
    assert_eq!(json["packages"], json!([{"change": "changed", "name": "less", "from": "590-2", "to": "591-1"}]));
}

#[test]
fn what_cannot_be_looked_into_is_refused_with_a_way_out() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("empty.raw"), "").unwrap();
    fs::write(at("broken.qcow2"), b"QFI\xfb\0\0\0\x03").unwrap();
    fs::write(at("broken.raw.xz"), b"\xfd7zXZ\0\0\x04garbage").unwrap();
    let whole = disk(home.path(), "disk-gpt");
    fs::write(at("cut.raw"), &fs::read(&whole).unwrap()[..6 << 20]).unwrap();
    for (word, expected, said) in [
        (at("nothing.raw"), 2, "cannot open "),
        (home.path().to_str().unwrap().to_owned(), 2, "is no regular file"),
        ("/dev/zero".to_owned(), 2, "is no regular file"),
        (at("empty.raw"), 2, "is empty"),
        (at("broken.qcow2"), 4, "it ends too early"),
        (at("broken.raw.xz"), 4, "cannot be read as xz"),
        ("3f9a".to_owned(), 3, "no image in the cache"),
    ] {
        let whole = whole.to_str().unwrap();
        for arguments in [["inspect", &word].as_slice(), &["diff", &word, whole], &["diff", whole, &word]] {
            let (status, out, err) = run(home.path(), arguments);
            assert_eq!((status, out.as_str()), (expected, ""), "{arguments:?}: {err}");
            assert!(err.contains("error: ") && err.contains(said) && err.contains("\nhint: "), "{arguments:?}: {err}");
        }
    }
    let (status, out, err) = run(home.path(), &["inspect", &at("cut.raw")]);
    assert_eq!(status, 4, "{err}");
    assert!(out.contains("linux-root-amd64") && err.contains("warning: partition 2: it ends too early"), "{out}{err}");
    let (status, out, err) = run(home.path(), &["diff", &at("cut.raw"), whole.to_str().unwrap()]);
    assert_eq!((status, out.as_str()), (4, ""), "{err}");
    assert!(err.contains("cut.raw cannot be read: it ends too early\nhint: "), "{err}");
}

#[test]
fn a_damaged_image_of_the_cache_is_found_out() {
    let home = tempfile::tempdir().unwrap();
    let path = disk(home.path(), "disk-gpt");
    let id = run(home.path(), &["cache", "import", path.to_str().unwrap()]).1;
    let pack = fs::read_dir(home.path().join("store/packs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pack).unwrap();
    let len = bytes.len();
    bytes[100..len - 4096].iter_mut().step_by(512).for_each(|byte| *byte ^= 0xff);
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    let (status, out, err) = run(home.path(), &["inspect", &id[..12]]);
    assert_eq!((status, out.as_str()), (4, ""), "{err}");
    assert!(err.contains("is damaged"), "{err}");
    assert_eq!(run(home.path(), &["inspect", &id[..12]]).0, 3, "from now on it is a miss");
}

#[test]
fn a_file_wins_over_an_id() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let json = json_of(&run(home.path(), &["inspect", "3f9a", "--json"]).1);
    assert_eq!((&json["size"], &json["table"]), (&json!(1 << 20), &json!(null)));
    let (status, _, err) = run(home.path(), &["inspect", "3f9"]);
    assert!(status == 2 && err.contains("may mean any of 2 images"), "{err}");
}

#[test]
fn a_check_wants_an_image_that_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let spec = "fixtures/specs/debian12-minimal.yml";
    let (status, out, err) = run(home.path(), &["build", spec, "--check", "--offline"]);
    assert_eq!((status, out.as_str()), (3, ""), "{err}");
    assert!(err.contains("so there is nothing to check\nhint: build it first: image-composer build fixtures/"), "{err}");
    for more in [["--no-image-cache"].as_slice(), &["--rebuild"], &["--refresh"], &["-o", "out"], &["--sbom", "spdx"]] {
        let (status, _, err) = run(home.path(), &[&["build", spec, "--check"], more].concat());
        assert_eq!(status, 2, "{more:?}: {err}");
    }
}
