//! Specs in their own language again.

use std::fs;
use std::path::Path;

use super::fixtures;
use crate::distro;
use crate::spec::{Loaded, Origin, load, resolve};

/// The spec at `path` written out elsewhere, and read from there.
fn written_and_read(path: &Path) -> (String, Loaded) {
    let resolved = resolve(path).unwrap_or_else(|error| panic!("{error}"));
    let text: String = resolved.lines().into_iter().map(|(text, _)| text + "\n").collect();
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.yml");
    fs::write(&copy, &text).unwrap();
    let loaded = load(&copy).unwrap_or_else(|error| panic!("{error}\n{text}"));
    (text, loaded)
}

#[test]
fn what_is_written_has_the_same_hash() {
    for name in ["debian12-minimal", "debian12-grub", "debian12-memory", "debian12-wsl2", "debian13-minimal"] {
        let path = fixtures().join(name).with_extension("yml");
        let (text, again) = written_and_read(&path);
        let first = load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((again.hash(None), &again.spec), (first.hash(None), &first.spec), "{text}");
        assert!(!text.contains("image-composer\n"), "a plain password is written: {text}");
    }
}

#[test]
fn every_profile_is_written_for_every_type_of_image() {
    let dir = tempfile::tempdir().unwrap();
    for profile in distro::PROFILES {
        for (kind, disk) in
            [("raw", "extendLastPartitionToFillDisk: true"), ("img", "size: 1GiB"), ("wsl2", "artifacts: [{type: tar, compression: xz}]")]
        {
            let path = dir.path().join("spec.yml");
            let target = format!("target: {{dist: {}, arch: {}, imageType: {kind}}}", profile.name, profile.architectures[0].name());
            fs::write(&path, format!("image: {{name: a, version: '1'}}\n{target}\ndisk: {{{disk}}}\n")).unwrap();
            let (text, again) = written_and_read(&path);
            let first = load(&path).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((again.hash(None), &again.spec), (first.hash(None), &first.spec), "{text}");
            let makes_initrds = |name: &String| name.starts_with("dracut") || name.starts_with("initramfs");
            assert_eq!(first.spec.system.packages.iter().any(makes_initrds), kind == "raw", "{text}");
        }
    }
}

#[test]
fn every_kind_of_field_is_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("base")).unwrap();
    for name in ["base/file", "base/key.gpg", "folder"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let base = "\
image: {name: base, version: '1'}
target: {dist: debian12, arch: aarch64}
metadata: {keywords: [a, 'b: c'], nothing: }
packageRepositories: [{url: 'https://example.org/apt', codename: x, pkeys: [key.gpg], priority: 600, allowPackages: ['a*']},
  {url: 'https://example.org/other', codename: x, pkey: '[trusted=yes]'}]
systemConfig:
  packages: [curl, 'linux-image-6*', less=6*]
  installRecommends: true
  users: [{name: bob, password: secret-word, hash_algo: sha256, passwordMaxAge: 9}, {name: eve, password: ''}]
  additionalFiles: [{local: file, final: /etc/file, mode: '0600', owner: 'root:root'}]
  configurations: [{cmd: \"echo 'a: b' # c\\nls\"}]
  network: {backend: netplan, interfaces: [{name: eth0, dhcp4: true}]}
  kernel: {version: '6.1', enableExtraModules: dm_crypt}
  immutability: {enabled: false}
  sbom: cyclonedx
build: {cache: {use_image_cache: false}}
";
    fs::write(dir.path().join("base/base.yml"), base).unwrap();
    let leaf = dir.path().join("leaf.yml");
    fs::write(&leaf, "extends: base/base.yml\nimage: {name: leaf}\nsystemConfig: {additionalFiles: [{local: folder, final: /etc/more}]}\n").unwrap();
    let first = load(&leaf).unwrap_or_else(|error| panic!("{error}"));
    let (text, mut again) = written_and_read(&leaf);
    // Only where that stands is another.
    let unverified = again.spec.repositories[1].unverified.as_mut().unwrap();
    (unverified.file, unverified.line) = (dir.path().join("base/base.yml"), 5);
    assert_eq!((again.hash(None), &again.spec), (first.hash(None), &first.spec), "{text}");
    assert!(!text.contains("secret-word") && !text.contains("hash_algo") && text.contains("password: \"\""), "{text}");

    let origins = resolve(&leaf).unwrap_or_else(|error| panic!("{error}")).lines();
    let of = |begin: &str| origins.iter().find(|(text, _)| text.trim_start().starts_with(begin)).unwrap().1.clone().unwrap();
    assert_eq!(of("name: leaf"), Origin::File(leaf.clone(), 2));
    assert_eq!(of("version: \"1\""), Origin::File(dir.path().join("base/base.yml"), 1));
    assert_eq!(of("- curl"), Origin::File(dir.path().join("base/base.yml"), 7));
    assert_eq!(of("- adduser"), Origin::Default("debian12"));
    assert_eq!(of("size: "), Origin::Default("debian12"));
}
