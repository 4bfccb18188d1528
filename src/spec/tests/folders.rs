//! Folders of packages as repositories.

use std::fs;
use std::path::Path;

use crate::root::RpmBuilder;
use crate::root::testing::{DebBuilder, ar};
use crate::spec::model::PackageFolder;
use crate::spec::{LoadError, Loaded, load};

fn deb(name: &str, version: &str) -> Vec<u8> {
    DebBuilder::new(name, version).build()
}

/// The spec `spec.yml` in this folder, with these repositories.
fn load_in(folder: &Path, repositories: &str) -> Result<Loaded, LoadError> {
    load_of("debian12", folder, repositories)
}

fn load_of(dist: &str, folder: &Path, repositories: &str) -> Result<Loaded, LoadError> {
    let text = format!("image: {{name: a, version: '1'}}\ntarget: {{dist: {dist}, arch: x86_64}}\npackageRepositories: [{repositories}]\n");
    fs::write(folder.join("spec.yml"), text).unwrap();
    load(&folder.join("spec.yml"))
}

fn loaded_in(folder: &Path, repositories: &str) -> Loaded {
    load_in(folder, repositories).unwrap_or_else(|error| panic!("{error}"))
}

fn names(folder: &PackageFolder) -> Vec<String> {
    folder.packages.iter().filter_map(|file| Some(file.package.as_ref()?.coordinates.to_string())).collect()
}

#[test]
fn its_packages_say_themselves_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let debs = dir.path().join("my debs");
    fs::create_dir_all(debs.join("folder")).unwrap();
    for (file, bytes) in [
        ("b_1%3a2_all.deb", deb("b", "1:2")),
        ("a.deb", DebBuilder::new("a", "1").with_field("Depends: b (>= 1),\n c | d\nFilename: ../../etc/passwd\nSHA256: 00").build()),
        ("again.deb", deb("b", "1:2")),
        ("foreign.deb", DebBuilder::new("foreign", "1").architecture("arm64").build()),
        ("README", b"not a package".to_vec()),
        ("folder/c.deb", b"not looked into".to_vec()),
    ] {
        fs::write(debs.join(file), bytes).unwrap();
    }
    std::os::unix::fs::symlink("a.deb", debs.join("link.deb")).unwrap();
    let spec = loaded_in(dir.path(), "{path: my debs, id: local, priority: 900, allowPackages: ['a*']}").spec;
    let [folder] = spec.folders.as_slice() else { panic!("{:?}", spec.folders) };
    assert_eq!((folder.id.as_str(), folder.priority, folder.allow_packages.as_slice()), ("local", 900, ["a*".to_owned()].as_slice()));
    let files: Vec<&str> = folder.packages.iter().map(|file| file.file.as_str()).collect();
    assert_eq!(files, ["a.deb", "again.deb", "b_1%3a2_all.deb", "foreign.deb", "link.deb"]);
    assert_eq!(names(folder), ["a=1:all (local)", "b=1:2:all (local)"]);
    let record = folder.packages[0].package.as_ref().unwrap();
    assert_eq!((record.filename.as_str(), record.sha256, record.archive.pin), ("a.deb", folder.packages[0].digest, 900));
    assert_eq!(record.size, fs::metadata(debs.join("a.deb")).unwrap().len());
    assert_eq!(record.relations.depends.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b (>= 1)", "c | d"]);
    // As a part of an address.
    assert!(record.archive.mirrors[0].ends_with("/my%20debs"), "{:?}", record.archive.mirrors);
    // As templates of other programs say it.
    let spec = loaded_in(dir.path(), "{path: my debs, codename: localdeb, component: main, pkey: '[trusted=yes]'}").spec;
    assert_eq!((spec.folders[0].id.as_str(), spec.repositories.len()), ("localdeb", 0));
    fs::remove_file(debs.join("again.deb")).unwrap();
    let spec = loaded_in(dir.path(), "{path: my debs, id: local}").spec;
    assert_eq!(spec.folders[0].packages[1].package.as_ref().unwrap().filename, "b_1%253a2_all.deb");
}

#[test]
fn each_change_of_its_packages_changes_the_hash_and_its_place_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let hash_in = |place: &str, path: &str| {
        let folder = dir.path().join(place);
        loaded_in(&folder, &format!("{{path: {path}}}")).hash(None)
    };
    for place in ["one", "two"] {
        fs::create_dir_all(dir.path().join(place).join("debs")).unwrap();
        fs::write(dir.path().join(place).join("debs/a.deb"), deb("a", "1")).unwrap();
    }
    let first = hash_in("one", "debs");
    let absolute = dir.path().join("two/debs");
    for path in ["debs", "./debs/", "../two/debs", absolute.to_str().unwrap(), &format!("'file://{}'", absolute.display())] {
        assert_eq!(hash_in("two", path), first, "{path}");
    }
    fs::write(dir.path().join("two/debs/README"), "a").unwrap();
    assert_eq!(hash_in("two", "debs"), first, "what is no package does not count");

    let mut seen = vec![first];
    let mut changed = |what: &str| {
        let hash = hash_in("two", "debs");
        assert!(!seen.contains(&hash), "{what}");
        seen.push(hash);
    };
    fs::write(absolute.join("a.deb"), DebBuilder::new("a", "1").file("usr/a", b"a", 0o644).build()).unwrap();
    changed("contents");
    fs::write(absolute.join("b.deb"), deb("b", "1")).unwrap();
    changed("one more");
    fs::remove_file(absolute.join("a.deb")).unwrap();
    changed("one less");
}

#[test]
fn what_is_wrong_is_told_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for folder in ["empty/sub", "bad/dir.deb", "twice", "good", "debian"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    for (file, bytes) in [
        ("empty/README", b"nothing here".to_vec()),
        ("bad/text.deb", b"#!/bin/sh\necho hello\n".to_vec()),
        ("bad/short.deb", deb("a", "1")[..100].to_vec()),
        ("bad/headless.deb", ar(&[("debian-binary", b"2.0\n"), ("data.tar", b"")])),
        ("bad/name.deb", deb("a/../b", "1")),
        ("bad/depends.deb", DebBuilder::new("b", "1").with_field("Depends: a (nonsense 1)").build()),
        ("twice/a.deb", deb("a", "1")),
        ("twice/b.deb", DebBuilder::new("a", "1").file("usr/a", b"a", 0o644).build()),
        ("good/a.deb", deb("a", "1")),
        ("debian/a.deb", deb("a", "1")),
    ] {
        fs::write(at(file), bytes).unwrap();
    }
    rustix::fs::mknodat(rustix::fs::CWD, at("bad/pipe.deb"), rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644), 0).unwrap();
    let repositories = "
  {path: none}, {path: empty}, {path: spec.yml}, {path: bad}, {path: twice},
  {path: good}, {path: ./good/}, {path: debian}, {path: ., priority: x},
  {path: good, id: a b, url: 'https://h/d', codename: x, component: main, pkey: k, pkeys: [k], packages: [p], insecureSkipVerify: true},
  {path: good, id: h/d}, {url: 'https://h/d', codename: x, pkey: spec.yml}";
    let error = load_in(dir.path(), repositories).unwrap_err();
    let told = error.diagnostics().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(told.replace(dir.path().to_str().unwrap(), "DIR"));
}

#[test]
fn rpm_packages_say_themselves_what_they_are_too() {
    let dir = tempfile::tempdir().unwrap();
    let rpms = dir.path().join("rpms");
    fs::create_dir(&rpms).unwrap();
    let tool = RpmBuilder::new("Tool_x", "1", "2").licence("MIT").requires("lib(a)").requires("(b if c)").provides("tool").file(
        "/usr/bin/tool",
        b"x",
        0o755,
    );
    for (file, bytes) in [("Tool_x-1-2.noarch.rpm", tool.build()), ("Tool_x-1-2.src.rpm", b"a source".to_vec()), ("a.deb", deb("a", "1"))] {
        fs::write(rpms.join(file), bytes).unwrap();
    }
    let load = || load_of("azl3", dir.path(), "{path: rpms, priority: 900, excludePackages: [b*, a]}");
    let loaded = load().unwrap_or_else(|error| panic!("{error}"));
    let [folder] = loaded.spec.folders.as_slice() else { panic!("{:?}", loaded.spec.folders) };
    assert_eq!(folder.exclude_packages, ["a", "b*"]);
    assert_eq!((names(folder), folder.packages.len()), (vec!["Tool_x=1-2:noarch (rpms)".to_owned()], 1));
    let record = folder.packages[0].package.as_ref().unwrap();
    assert_eq!((record.filename.as_str(), record.sha256, record.archive.pin), ("Tool_x-1-2.noarch.rpm", folder.packages[0].digest, 900));
    assert_eq!(record.licence.as_deref(), Some("MIT"));
    let relations = &record.relations;
    assert_eq!(relations.depends.iter().map(ToString::to_string).collect::<Vec<_>>(), ["lib(a)"]);
    assert_eq!(relations.conditional.len(), 1);
    let provided: Vec<&str> = record.provides.iter().map(|provide| provide.name.as_str()).collect();
    assert!(provided.contains(&"tool") && provided.contains(&"/usr/bin/tool"), "{provided:?}");

    fs::write(rpms.join("Tool_x-1-2.noarch.rpm"), tool.file("/usr/bin/more", b"y", 0o755).build()).unwrap();
    assert_ne!(load().unwrap().hash(None), loaded.hash(None));
    fs::write(rpms.join("bad.rpm"), b"no package").unwrap();
    assert!(load().unwrap_err().to_string().contains("bad.rpm"));
}
