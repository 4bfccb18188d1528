//! `fetch`, `cache export --bundle` and `cache import` of a bundle: the way to a machine without a network.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use serde_json::json;

use super::cache::{json_of, keep_two_images};
use crate::support::Tree;
use crate::support::deb::Deb;
use crate::support::keys::TestKey;
use crate::support::program::{outcome, program, run};
use crate::support::repository::Repository;
use crate::support::server::Server;

const SPEC: &str = "fixtures/specs/debian12-minimal.yml";

/// What the spec and its profile name.
const PACKAGES: [&str; 23] = [
    "adduser",
    "apt",
    "dbus",
    "debian-archive-keyring",
    "e2fsprogs",
    "init",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "login",
    "mount",
    "passwd",
    "procps",
    "systemd",
    "systemd-sysv",
    "tzdata",
    "udev",
    "util-linux",
    "zstd",
    "linux-image-cloud-amd64",
    "systemd-boot",
    "systemd-boot-efi",
];

/// A mirror of both of the profile's archives, signed with `key`.
pub(super) fn mirror(key: &TestKey) -> Tree {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let suite = |name: &str| Repository::new(name).dated(now - 3600, 7);
    let main = PACKAGES.iter().fold(suite("bookworm"), |suite, name| suite.with(Deb::new(name, "1.0")));
    let mut tree = Tree::new();
    for repository in [main, suite("bookworm-updates"), suite("bookworm-security")] {
        tree.extend(repository.build(key));
    }
    tree
}

/// Writes a configuration that trusts `key` alone.
pub(super) fn trust(home: &Path, key: &TestKey) {
    let keyring = home.join("keyring.gpg");
    fs::write(&keyring, key.public()).unwrap();
    let folder = home.join(".config/image-composer");
    fs::create_dir_all(&folder).unwrap();
    let path = keyring.display();
    fs::write(folder.join("config.yaml"), format!("keyrings:\n  debian: {path}\n  debian-security: {path}\n")).unwrap();
}

/// A home that trusts `key`, with `fetch` done from a server.
fn fetched(key: &TestKey) -> (tempfile::TempDir, Server) {
    let home = tempfile::tempdir().unwrap();
    trust(home.path(), key);
    let server = Server::new(mirror(key));
    let (status, out, err) = run(home.path(), &fetch(&server, &[]).each_ref().map(String::as_str));
    assert_eq!((status, out.as_str()), (0, ""), "{err}");
    assert!(err.contains(&format!("{SPEC}: 23 packages in the store (23 fetched, ")), "{err}");
    (home, server)
}

/// The command line of a fetch from a server: five words, then the rest.
fn fetch(server: &Server, more: &[&str]) -> [String; 7] {
    let mirror = |archive: &str| format!("--mirror={archive}={}", server.url());
    let word = |at: usize| more.get(at).map_or_else(|| "-v".to_owned(), |word| (*word).to_owned());
    [
        "fetch".to_owned(),
        SPEC.to_owned(),
        mirror("debian"),
        mirror("debian-security"),
        word(0),
        "--workers=2".to_owned(),
        "--progress=none".to_owned(),
    ]
}

fn bundle(home: &Path) -> String {
    let path = home.join("a.bundle").to_str().unwrap().to_owned();
    let (status, out, err) = run(home, &["cache", "export", "--bundle", &path, "--spec", SPEC]);
    assert_eq!((status, out), (0, format!("{path}\n")), "{err}");
    assert!(err.contains("wrote a bundle of 0 images, 23 packages and 6 files of metadata, "), "{err}");
    path
}

#[test]
fn what_was_fetched_is_not_fetched_again() {
    let key = TestKey::new(1);
    let (home, server) = fetched(&key);
    server.forget();
    let words = fetch(&server, &["--json"]);
    let (status, out, err) = run(home.path(), &words.each_ref().map(String::as_str));
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("23 packages in the store (nothing was to be fetched), "), "{err}");
    let out = json_of(&out);
    assert_eq!(out["specs"][0]["packages"], json!({"total": 23, "fetched": 0, "fetched_bytes": 0, "present": 23}));
    assert_eq!((&out["specs"][0]["path"], &out["failed"]), (&json!(SPEC), &json!([])));
    assert!(server.asked().iter().all(|asked| asked.path.ends_with("InRelease")), "only whether the metadata is the current one was asked");

    let (status, _, err) = run(home.path(), &["fetch", SPEC, "--offline"]);
    assert_eq!(status, 0, "{err}");
    fs::remove_dir_all(home.path().join("store")).unwrap();
    let (status, _, err) = run(home.path(), &["fetch", SPEC, "--offline"]);
    assert_eq!(status, 3, "{err}");
    assert!(err.contains("hint: fetch them where there is a network: image-composer fetch "), "{err}");
}

#[test]
fn a_spec_that_fails_keeps_no_other_from_being_fetched() {
    let key = TestKey::new(1);
    let home = tempfile::tempdir().unwrap();
    trust(home.path(), &key);
    let server = Server::new(mirror(&key));
    let more = home.path().join("more.yml");
    let spec = fs::read_to_string(SPEC).unwrap().replace("  hostname:", "  packages: [ missing-one ]\n  hostname:");
    fs::write(&more, spec).unwrap();
    let none = home.path().join("none.yml");
    let words = fetch(&server, &["--json"]);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.splice(1..1, [more.to_str().unwrap(), none.to_str().unwrap()]);
    let (status, out, err) = run(home.path(), &words);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("missing-one") && err.contains(&format!("{SPEC}: 23 packages in the store")), "{err}");
    assert!(err.ends_with(&format!("error: 2 of 3 specs could not be fetched:\n  {}\n  {}\n", more.display(), none.display())), "{err}");
    let out = json_of(&out);
    assert_eq!((out["specs"].as_array().unwrap().len(), out["failed"].as_array().unwrap().len()), (1, 2));
}

#[test]
fn a_bundle_seeds_a_store_without_a_network() {
    let key = TestKey::new(1);
    let (home, _server) = fetched(&key);
    let path = bundle(home.path());
    let there = tempfile::tempdir().unwrap();
    trust(there.path(), &key);
    let (status, out, err) = run(there.path(), &["cache", "import", &path]);
    assert_eq!((status, out.as_str()), (0, ""), "{err}");
    assert!(err.contains("imported 0 of 0 images, 23 of 23 packages and 6 of 6 files of metadata from a bundle of "), "{err}");
    let (status, _, err) = run(there.path(), &["fetch", SPEC, "--offline"]);
    assert_eq!(status, 0, "{err}");

    let (status, out, err) = run(there.path(), &["cache", "import", &path, "--json"]);
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("the store has all of the bundle already"), "{err}");
    let out = json_of(&out);
    assert_eq!((&out["packages"], &out["added"]), (&json!({"added": 0, "present": 23, "kept": 0}), &json!(0)));
}

/// The signature is verified again each time metadata is read: the importer's keyring decides, whatever the bundle says of itself.
#[test]
fn a_bundle_makes_nothing_trusted() {
    let (home, _server) = fetched(&TestKey::new(1));
    let path = bundle(home.path());
    let there = tempfile::tempdir().unwrap();
    trust(there.path(), &TestKey::new(2));
    assert_eq!(run(there.path(), &["cache", "import", &path]).0, 0);
    let (status, _, err) = run(there.path(), &["fetch", SPEC, "--offline"]);
    assert_eq!(status, 4, "{err}");
    assert!(err.contains("InRelease"), "{err}");
}

#[test]
fn images_come_over_by_file_and_by_pipe() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let path = home.path().join("one.bundle");
    let path = path.to_str().unwrap();
    let (status, out, err) = run(home.path(), &["cache", "export", "--bundle", path, "3f9a", "--dry-run", "--json"]);
    assert_eq!(status, 0, "{err}");
    let planned = json_of(&out);
    assert_eq!((planned["dry_run"].as_bool(), planned["images"].as_array().unwrap().len(), Path::new(path).exists()), (Some(true), 1, false));
    assert!(err.contains("the bundle would have 1 image, "), "{err}");
    assert_eq!(run(home.path(), &["cache", "export", "--bundle", path, "3f9a"]).0, 0);
    let bytes = fs::read(path).unwrap();
    assert_eq!(planned["size"].as_u64(), Some(bytes.len() as u64));
    assert!(zstd::decode_all(bytes.as_slice()).unwrap() == vec![7; 1 << 20]);
    let (status, _, err) = run(home.path(), &["cache", "export", "--bundle", path, "3f9a"]);
    assert!(status == 2 && err.contains("is there already") && err.contains("--force"), "{err}");

    let piped = program(home.path(), &["cache", "export", "--bundle", "-", "--all"]).output().unwrap();
    assert!(piped.status.success());
    let there = tempfile::tempdir().unwrap();
    let (status, out, err) = outcome(program(there.path(), &["cache", "import", "-"]).write_stdin(piped.stdout));
    assert_eq!(status, 0, "{err}");
    assert_eq!(out, format!("3f9a{0}\n3f9b{0}\n", "0".repeat(60)));
    let (status, out, err) = run(there.path(), &["cache", "import", path, "--json"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(json_of(&out)["images"][0]["outcome"], json!("present"));
}

/// Whoever writes to the pipe has stopped, and does not close it.
#[test]
fn ctrl_c_ends_the_wait_for_a_pipe() {
    let home = tempfile::tempdir().unwrap();
    let program = assert_cmd::cargo::cargo_bin!("image-composer");
    let mut child = std::process::Command::new(program)
        .env_clear()
        .env("IMAGE_COMPOSER_STORE", home.path().join("store"))
        .args(["cache", "import", "-"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The lease is there as soon as signals are listened to.
    let leases = home.path().join("store/leases");
    while !fs::read_dir(&leases).is_ok_and(|mut entries| entries.next().is_some()) {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_damaged_bundle_is_refused() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let path = home.path().join("a.bundle");
    assert_eq!(run(home.path(), &["cache", "export", "--bundle", path.to_str().unwrap(), "--all"]).0, 0);
    let good = fs::read(&path).unwrap();
    let there = tempfile::tempdir().unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut other = good.clone();
    other[0] ^= 1;
    for (bad, said) in [
        (&flipped[..], "damaged"),
        (&other[..], "cannot be understood"),
        (&good[..9], "cannot be understood"),
        (&good[..good.len() - 1], "cut off"),
        (&[&good[..], b"x"].concat()[..], "follows the end"),
    ] {
        let bad_path = there.path().join("bad.bundle");
        fs::File::create(&bad_path).unwrap().write_all(bad).unwrap();
        let (status, out, err) = run(there.path(), &["cache", "import", bad_path.to_str().unwrap()]);
        assert_eq!((status, out.as_str()), (4, ""), "{err}");
        assert!(err.contains(said) && err.contains("hint: nothing was imported"), "{err}");
        assert_eq!(run(there.path(), &["cache", "list"]).1, "");
    }
}

#[test]
fn what_has_no_effect_is_said_once() {
    let key = TestKey::new(1);
    let (home, _server) = fetched(&key);
    let path = home.path().join("a.bundle");
    let arguments = ["cache", "export", "--bundle", path.to_str().unwrap(), "--spec", SPEC];
    let (status, _, err) = outcome(program(home.path(), &arguments).env("IMAGE_COMPOSER_STOER", "/x"));
    assert_eq!((status, err.matches("IMAGE_COMPOSER_STOER is not known").count()), (0, 1), "{err}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    for (arguments, said) in [
        (&["cache", "export", "--bundle", "x"][..], "nothing is named"),
        (&["cache", "export", "--bundle", "-", "3f9a", "--json"], "cannot be shown"),
        (&["cache", "export", "3f9a"], "an image’s id and a file are needed"),
        (&["cache", "export", "3f9a", "x.raw", "--dry-run"], "--bundle"),
        (&["cache", "export", "--bundle", "x", "--all", "--spec", SPEC], "cannot be used with"),
        (&["cache", "import", "-", "--name", "x"], "a bundle says itself"),
        (&["fetch"], "required"),
        (&["fetch", SPEC, "--mirror", "ubuntu=http://h/ubuntu"], "no spec uses the archive “ubuntu”"),
    ] {
        let (status, out, err) = run(home.path(), arguments);
        assert_eq!((status, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
}

/// Dies, or finds the disk full, at every step of an import: what is to be seen afterwards is nothing or all of it, and a rerun finishes.
#[cfg(debug_assertions)]
#[test]
fn an_import_that_is_cut_off_at_any_step_leaves_nothing_or_all() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let path = home.path().join("a.bundle");
    let path = path.to_str().unwrap();
    assert_eq!(run(home.path(), &["cache", "export", "--bundle", path, "--all"]).0, 0);
    let images = |home: &Path| {
        let (status, out, err) = run(home, &["cache", "list"]);
        assert_eq!(status, 0, "{err}");
        out.lines().count()
    };
    // A full disk is told at fewer steps: what it leaves is what a death leaves.
    for (action, stride) in [("abort", 1), ("enospc", 5)] {
        let mut step = 0;
        loop {
            step += stride;
            let there = tempfile::tempdir().unwrap();
            let mut command = program(there.path(), &["cache", "import", path]);
            let output = command.env("IMAGE_COMPOSER_FAILPOINT", format!("*={action}@{step}")).output().unwrap();
            let seen = images(there.path());
            if output.status.success() {
                assert!(seen == 2 && step > 40, "{action}: {step} steps");
                break;
            }
            let err = String::from_utf8(output.stderr).unwrap();
            assert!(action == "abort" || err.contains("No space left") || err.contains("no room"), "{err}");
            assert!(seen == 0 || seen == 2, "{action} at step {step}: {seen} images");
            if step % 10 == 0 {
                assert_eq!(run(there.path(), &["cache", "import", path]).0, 0);
                assert_eq!(images(there.path()), 2);
            }
            let left = fs::read_dir(there.path().join("store/tmp")).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{action} at step {step}");
        }
    }
}
