//! Specs that build on others.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::root::testing::DebBuilder;
use crate::spec::{LoadError, Loaded, load};

const ROOT: &str = "\
image: {name: root, version: '1'}
target: {dist: debian12, arch: x86_64}
disk: {size: 3GiB, artifacts: [{type: raw}, {type: qcow2}]}
packageRepositories:
  - {url: 'https://example.org/apt', codename: bookworm, pkey: key.gpg, priority: 100}
systemConfig:
  name: root
  description: The root
  packages: [curl, less]
  users:
    - {name: admin, groups: [adm], sudo: true}
    - {name: guest, shell: /bin/sh, password: old, hash_algo: sha256}
  additionalFiles:
    - {local: a.txt, final: /etc/a}
    - {local: b.txt, final: /etc/b}
  configurations: [{cmd: one}]
  kernel: {cmdline: quiet, packages: [linux-image-cloud-amd64]}
";

/// Writes files, and loads the first of them.
fn load_all(dir: &Path, files: &[(&str, &str)]) -> Result<Loaded, LoadError> {
    for (name, text) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    load(&dir.join(files[0].0))
}

/// A folder with the local files of [`ROOT`] beside it.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["base/a.txt", "base/b.txt", "base/key.gpg", "b.txt"] {
        fs::create_dir_all(dir.path().join("base")).unwrap();
        fs::write(dir.path().join(name), name).unwrap();
    }
    dir
}

/// What a user reads, without the folder's own name.
fn mistakes(dir: &Path, files: &[(&str, &str)]) -> String {
    load_all(dir, files).unwrap_err().to_string().replace(&format!("{}/", dir.display()), "")
}

#[test]
fn the_chain_is_merged_from_the_root_to_the_leaf() {
    let dir = folder();
    let leaf = "\
extends: base/middle.yml
image: {name: leaf}
systemConfig:
  packages: [nginx, less]
  users:
    - {name: guest, groups: [games], password: $6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.}
    - {name: extra}
  additionalFiles: [{local: b.txt, final: /etc/b}]
  configurations: [{cmd: three}]
  kernel: {cmdline: quiet splash}
";
    let middle = "\
extends: root.yml
disk: {size: 4GiB}
systemConfig:
  name: middle
  description:
  packages:
  configurations: [{cmd: two}]
packageRepositories:
  - {url: 'https://example.org/apt', codename: bookworm, pkey: key.gpg, priority: 900}
  - {url: 'https://example.org/apt', codename: other, pkey: key.gpg}
";
    let loaded = load_all(dir.path(), &[("leaf.yml", leaf), ("base/middle.yml", middle), ("base/root.yml", ROOT)]).unwrap();
    let spec = loaded.spec;
    assert_eq!((spec.image.name.as_str(), spec.image.version.as_str()), ("leaf", "1"));
    assert_eq!((spec.disk.size.0 >> 30, spec.disk.artifacts.len()), (4, 1), "the disk is replaced whole");
    let system = spec.system;
    assert_eq!((system.name.as_str(), system.description.as_deref()), ("middle", Some("The root")), "what is empty says nothing");
    assert!(["curl", "less", "nginx", "linux-image-cloud-amd64"].iter().all(|name| system.packages.contains(&(*name).to_owned())));
    assert_eq!(system.configurations, ["one", "two", "three"]);
    assert_eq!(system.cmdline, "quiet splash");
    let names: Vec<_> = system.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["admin", "guest", "extra"]);
    assert_eq!((system.users[1].groups.as_slice(), system.users[1].shell.as_deref()), (["games".to_owned()].as_slice(), Some("/bin/sh")));
    let local = |at: usize| system.additional_files[at].local.clone();
    assert_eq!((local(0), local(1)), (dir.path().join("base/a.txt"), dir.path().join("b.txt")), "each beside the file that names it");
    let repositories: Vec<_> = spec.repositories.iter().map(|repository| (repository.codename.as_str(), repository.priority)).collect();
    assert_eq!(repositories, [("bookworm", 900), ("other", 500)]);
}

#[test]
fn a_leaf_that_says_nothing_is_its_root() {
    let dir = folder();
    let leaf = load_all(dir.path(), &[("leaf.yml", "extends: ./base/root.yml\n"), ("base/root.yml", ROOT)]).unwrap();
    let root = load(&dir.path().join("base/root.yml")).unwrap();
    assert_eq!((leaf.hash(None), &leaf.spec), (root.hash(None), &root.spec));
    let empty = load_all(dir.path(), &[("leaf.yml", &format!("extends:\n{}", ROOT.replace(".txt", ".yml").replace("key.gpg", "leaf.yml")))]);
    assert!(empty.unwrap_err().to_string().contains("a.yml"), "an empty extends is none: its files are looked for beside it");
}

#[test]
fn a_chain_that_cannot_be_is_told_with_the_place_that_says_so() {
    let dir = folder();
    let wrong = |files: &[(&str, &str)]| mistakes(dir.path(), files);
    assert_eq!(
        wrong(&[("a.yml", "image: {}\nextends: a.yml\n")]),
        "a.yml:2:10: extends goes in a circle: a.yml → a.yml; let one of them extend nothing"
    );
    assert_eq!(
        wrong(&[("a.yml", "extends: base/b.yml\n"), ("base/b.yml", "extends: c.yml\n"), ("base/c.yml", "extends: ./b.yml\n")]),
        "base/c.yml:1:10: extends goes in a circle: b.yml → c.yml → b.yml; let one of them extend nothing"
    );
    let out = |name: &str| {
        format!(
            "a.yml:1:10: extends “{name}” leads out of the folder of the spec; a spec extends what lies in its own folder or beneath it: put both there"
        )
    };
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("link.yml")).unwrap();
    for name in ["../b.yml", "base/../../b.yml", "/etc/hostname", "link.yml"] {
        assert_eq!(wrong(&[("a.yml", &format!("extends: {name}\n"))]), out(name));
    }
    assert_eq!(
        wrong(&[("a.yml", "extends: none.yml\n")]),
        "a.yml:1:10: extends: cannot read none.yml: No such file or directory (os error 2); it is looked for beside the file that names it"
    );
    assert!(wrong(&[("a.yml", "extends: base\n")]).starts_with("a.yml:1:10: extends: "));
    assert_eq!(wrong(&[("a.yml", "extends: [b.yml]\n")]), "a.yml:1:10: extends must be the path of one file, but is a list");
    let chain: Vec<_> = (0..40).map(|number| (format!("n{number}.yml"), format!("extends: n{}.yml\n", number + 1))).collect();
    let chain: Vec<_> = chain.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(wrong(&chain), "n31.yml:1:10: more than 32 files extend each other");
}

#[test]
fn a_mistake_is_told_with_the_file_that_has_it() {
    let dir = folder();
    let root = ROOT.replace("priority: 100", "priority: many").replace("version: '1'", "version: 1");
    let text = mistakes(dir.path(), &[("leaf.yml", "extends: base/root.yml\nsystemConfig:\n  hostnam: x\n"), ("base/root.yml", &root)]);
    let places: Vec<_> = text.lines().map(|line| line.splitn(4, ':').take(2).collect::<Vec<_>>().join(":")).collect();
    assert_eq!(places, ["leaf.yml:3", "base/root.yml:1", "base/root.yml:5"], "{text}");
    assert!(mistakes(dir.path(), &[("leaf.yml", "extends: base/root.yml\n"), ("base/root.yml", "a: [\n")]).starts_with("base/root.yml:"));

    let text = mistakes(dir.path(), &[("leaf.yml", "extends: base/root.yml\ntarget: {dist: debian13}\n"), ("base/root.yml", ROOT)]);
    let hint = "extend a spec for the same target, or leave the field out";
    assert_eq!(text, format!("leaf.yml:2:16: target.dist is “debian13”, but “debian12” in line 2 of base/root.yml; {hint}"));

    let twice = "extends: base/root.yml\nsystemConfig: {users: [{name: guest}, {name: guest}]}\n";
    let text = mistakes(dir.path(), &[("leaf.yml", twice), ("base/root.yml", ROOT)]);
    assert!(text.contains("a second user “guest”"), "what is twice in one file is not joined: {text}");
}

#[test]
fn what_is_twice_in_several_files_is_told_with_both_places() {
    let dir = folder();
    fs::create_dir_all(dir.path().join("base/folder")).unwrap();
    fs::write(dir.path().join("base/folder/a"), DebBuilder::new("a", "1").build()).unwrap();
    fs::copy(dir.path().join("base/folder/a"), dir.path().join("base/folder/a.deb")).unwrap();
    let root = "\
image: {name: root, version: '1'}
target: {dist: debian12, arch: x86_64}
packageRepositories:
  - {path: folder}
  - {url: 'https://example.org/apt', codename: bookworm, pkey: key.gpg}
systemConfig:
  additionalFiles:
    - {local: folder, final: /etc/x}
    - {local: b.txt, final: /etc/y}
";
    let leaf = "\
extends: base/root.yml
packageRepositories:
  - {url: 'https://example.org/apt/', codename: bookworm, pkey: base/key.gpg}
  - {path: base/folder}
systemConfig:
  additionalFiles:
    - {local: b.txt, final: /etc/x/a}
    - {local: b.txt, final: /etc/y/b}
  users:
    - {name: bob}
    - {name: bob}
";
    let text = mistakes(dir.path(), &[("leaf.yml", leaf), ("base/root.yml", root)]);
    insta::assert_snapshot!(text, @r#"
    leaf.yml:3:5: packageRepositories[2] is a second repository “example.org/apt” with that codename; the first is in line 5 of base/root.yml
    leaf.yml:4:5: packageRepositories[3] has the id of the folder in line 4 of base/root.yml: “folder”; give it another id
    leaf.yml:7:7: systemConfig.additionalFiles[2] has the same destination as that in line 8 of base/root.yml: “/etc/x/a”
    leaf.yml:8:7: systemConfig.additionalFiles[3] lies beneath “/etc/y”, the file in line 9 of base/root.yml
    leaf.yml:11:7: systemConfig.users[1] is a second user “bob”; the first is in line 10
    "#);
}

#[test]
fn a_repository_with_an_id_takes_the_place_of_that_of_the_file_below() {
    let dir = folder();
    for folder in ["one", "base/two"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        fs::write(dir.path().join(folder).join("a.deb"), DebBuilder::new("a", "1").build()).unwrap();
    }
    let root = format!("{ROOT}  hostname: x\n").replace("packageRepositories:\n", "packageRepositories:\n  - {path: two, id: own}\n");
    let leaf = "extends: base/root.yml\npackageRepositories: [{path: one, id: own, priority: 900}]\n";
    let spec = load_all(dir.path(), &[("leaf.yml", leaf), ("base/root.yml", &root)]).unwrap().spec;
    let folders: Vec<_> = spec.folders.iter().map(|folder| (folder.id.as_str(), folder.path.clone(), folder.priority)).collect();
    assert_eq!(folders, [("own", dir.path().join("one"), 900)]);
    assert_eq!(spec.repositories.len(), 1);
}

#[test]
fn a_repository_is_known_by_its_id_or_else_by_its_place() {
    let merged = |base: &str, leaf: &str| {
        let dir = folder();
        let root = format!("{ROOT}  hostname: x\n")
            .replace("packageRepositories:\n", &format!("packageRepositories:\n  - {{{base}, codename: x, pkey: key.gpg}}\n"));
        let leaf = format!("extends: base/root.yml\npackageRepositories: [{{{leaf}, codename: x, pkey: base/key.gpg, priority: 900}}]\n");
        let spec = load_all(dir.path(), &[("leaf.yml", &leaf), ("base/root.yml", &root)]).unwrap_or_else(|error| panic!("{error}")).spec;
        let found = spec.repositories.iter().filter(|repository| repository.codename == "x");
        found.map(|repository| format!("{} {} {}", repository.id, repository.url, repository.priority)).collect::<Vec<_>>()
    };
    let own = ["own https://b.org/apt 900"];
    assert_eq!(merged("url: 'https://b.org/apt'", "url: 'https://b.org/apt', id: own"), own);
    assert_eq!(merged("url: 'https://b.org/apt', id: own", "url: 'https://b.org/apt'"), ["b.org/apt https://b.org/apt 900"]);
    assert_eq!(merged("url: 'https://a.org/apt', id: own", "url: 'https://b.org/apt', id: own"), own);
    assert_eq!(merged("url: 'https://a.org/apt', id: other", "url: 'https://b.org/apt', id: own"), ["other https://a.org/apt 500", own[0]]);
}

/// Sections that stand for themselves, so that any of them can stand in any file of a chain.
const SECTIONS: [&str; 4] = [
    "image: {name: a, version: '1'}\n",
    "target: {dist: debian12, arch: x86_64}\n",
    "disk: {size: 3GiB}\n",
    "systemConfig: {packages: [curl], hostname: edge, users: [{name: bob}], kernel: {cmdline: quiet}}\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn into_how_many_files_a_spec_is_split_does_not_change_its_hash(files in prop::collection::vec(0..3_usize, SECTIONS.len())) {
        let dir = tempfile::tempdir().unwrap();
        let whole = load_all(dir.path(), &[("whole.yml", &SECTIONS.concat())]).unwrap();
        let text = |file: usize| -> String { SECTIONS.iter().zip(&files).filter(|(_, of)| **of == file).map(|(text, _)| *text).collect() };
        let (leaf, middle) = (format!("extends: middle.yml\n{}", text(0)), format!("{}extends: root.yml\n", text(1)));
        let split = load_all(dir.path(), &[("leaf.yml", &leaf), ("middle.yml", &middle), ("root.yml", &text(2))]).unwrap();
        prop_assert_eq!(split.hash(None), whole.hash(None));
        // And what any of them says is part of it.
        let changed = |from: &str| from.replace("3GiB", "4GiB").replace("name: a,", "name: b,").replace("edge", "core").replace("x86_64}", "x86_64, os: debian}");
        let (leaf, middle, root) = (changed(&leaf), changed(&middle), changed(&text(2)));
        let other = load_all(dir.path(), &[("leaf.yml", &leaf), ("middle.yml", &middle), ("root.yml", &root)]).unwrap();
        prop_assert_ne!(other.hash(None), whole.hash(None));
    }
}
