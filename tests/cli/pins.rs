//! `cache pin` and `cache unpin`.

use std::path::Path;

use image_composer::cache::{Coordinates, PackageCache};
use image_composer::digest::{Digest, Sha256};
use image_composer::store::Store;
use serde_json::json;

use super::cache::{json_of, keep_two_images};
use crate::support::program::run;

/// Keeps packages in the store: name, version, architecture.
pub(super) fn keep_packages(home: &Path, packages: &[[&str; 3]]) {
    let store = Store::open(&home.join("store")).unwrap();
    for [name, version, arch] in packages {
        let coordinates = Coordinates::new(name, version, arch, "debian").unwrap();
        let bytes = noise(&coordinates.to_string(), 20_000);
        PackageCache::new(&store).insert(&coordinates, &Sha256::of(&bytes), &mut bytes.as_slice()).unwrap();
    }
}

/// Bytes that do not compress: others for each name.
pub(super) fn noise(name: &str, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 32);
    while bytes.len() < len {
        bytes.extend_from_slice(Digest::of(format!("{name} {}", bytes.len()).as_bytes()).as_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn pinned_packages(home: &Path) -> Vec<String> {
    let packages = PackageCache::new(&Store::open(&home.join("store")).unwrap()).list().unwrap();
    packages.iter().filter(|package| package.pinned).map(|package| package.coordinates.to_string()).collect()
}

fn pinned_images(home: &Path) -> Vec<String> {
    let images = json_of(&run(home, &["cache", "list", "--json"]).1);
    let pinned = images["images"].as_array().unwrap().iter().filter(|image| image["pinned"] == true);
    pinned.map(|image| image["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn images_and_packages_are_pinned_and_unpinned() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    keep_packages(home.path(), &[["bash", "5.2", "amd64"], ["bash", "5.3", "amd64"], ["libc6", "2:1", "amd64"]]);

    let (status, out, err) = run(home.path(), &["cache", "pin", "3f9b", "bash", "libc6=2:1:amd64"]);
    assert_eq!((status, out.as_str()), (0, ""), "{err}");
    assert_eq!(err, "pinned 3f9b00000000, server 1.0\npinned 2 packages called bash\npinned libc6=2:1:amd64 (debian)\n");
    assert_eq!(pinned_images(home.path()), ["server"]);
    assert_eq!(pinned_packages(home.path()).len(), 3);
    let list = run(home.path(), &["cache", "list"]).1;
    assert_eq!(list.lines().filter(|line| line.contains("\tserver\t") && line.ends_with("\tpinned")).count(), 1, "{list}");
    assert!(run(home.path(), &["cache", "info", "3f9b"]).1.contains("\npinned "));

    let (status, _, err) = run(home.path(), &["cache", "pin", "3f9b", "bash=5.2"]);
    assert_eq!((status, err.as_str()), (0, "3f9b00000000, server 1.0 is pinned already\nbash=5.2:amd64 (debian) is pinned already\n"));

    let (status, out, _) = run(home.path(), &["cache", "unpin", "3f9a", "bash:amd64", "--json"]);
    let package = |version| json!({"name": "bash", "version": version, "arch": "amd64", "repository": "debian", "changed": true});
    let image = json!({"spec_hash": format!("3f9a{}", "0".repeat(60)), "name": "minimal", "version": "1.0", "changed": false});
    assert_eq!((status, json_of(&out)), (0, json!({"pinned": false, "images": [image], "packages": [package("5.2"), package("5.3")]})));
    assert_eq!(pinned_packages(home.path()), ["libc6=2:1:amd64 (debian)"]);
}

#[test]
fn a_word_that_means_nothing_pins_nothing() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [["cache", "pin", "bash"], ["cache", "unpin", "3f9a"]] {
        let (status, _, err) = run(home.path(), &arguments);
        assert_eq!(status, 3);
        assert!(err.starts_with(&format!("error: nothing in the store is called “{}”\nhint: there is no store yet", arguments[2])), "{err}");
    }
    assert!(!home.path().join("store").exists());

    keep_two_images(home.path());
    keep_packages(home.path(), &[["bash", "5.2", "amd64"]]);
    let (status, _, err) = run(home.path(), &["cache", "pin", "bash", "minimal"]);
    assert_eq!(status, 3);
    assert_eq!(err, "error: nothing in the store is called “minimal”\nhint: the image minimal 1.0 has the id 3f9a00000000\n");
    assert!(pinned_packages(home.path()).is_empty(), "all or nothing");
    let (status, _, err) = run(home.path(), &["cache", "pin", "3f9"]);
    assert_eq!(status, 2);
    assert!(err.starts_with("error: “3f9” may mean any of 2 images"), "{err}");
}

#[test]
fn a_word_that_means_a_package_and_an_image_is_refused() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    keep_packages(home.path(), &[["3f9b", "1", "all"], ["3f9", "1", "all"]]);
    for word in ["3f9b", "3f9"] {
        let (status, _, err) = run(home.path(), &["cache", "pin", word]);
        assert_eq!(status, 2);
        assert!(err.contains(&format!("as in {word}:all")), "{err}");
    }
    assert_eq!(run(home.path(), &["cache", "pin", "3f9b:all", "3f9b0"]).0, 0);
    assert_eq!((pinned_packages(home.path()).len(), pinned_images(home.path())), (1, vec!["server".to_owned()]));
}
