use super::package::{Rpm, examine};
use super::testing::RpmBuilder;
use super::*;

fn demo() -> RpmBuilder {
    RpmBuilder::new("demo", "1.0", "2").dir("/usr/bin", 0o755).file("/usr/bin/demo", b"#!/bin/sh\n", 0o4755)
}

fn problem(package: &RpmBuilder) -> String {
    let error = examine(&package.build()).unwrap_err();
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(&error) {
        text = format!("{text}: {source}");
    }
    text
}

/// Unpacks a package into a new tree.
fn unpacked(package: &RpmBuilder) -> Result<tempfile::TempDir, Error> {
    let root = tempfile::tempdir().unwrap();
    let tree = Tree::open(root.path()).unwrap();
    let (directories, cancel) = (Directories::default(), Cancel::default());
    let site = Site { tree: &tree, directories: &directories, time: 1_600_000_000, cancel: &cancel };
    let bytes = package.build();
    bootstrap::unpack(site, 0, Rpm::read(Origin::named("demo 1"), &*bytes, bytes.len() as u64)?)?;
    directories.apply(&tree)?;
    Ok(root)
}

#[test]
fn every_compression_and_both_kinds_of_payload_are_read() {
    for compression in ["", "gzip", "xz", "zstd"] {
        for package in [demo(), demo().stripped()] {
            examine(&package.compression(compression).build()).unwrap();
        }
    }
}

#[test]
fn the_digest_of_the_payload_is_compared() {
    let package = demo().promised().build();
    examine(&package).unwrap();
    // The last bytes of gzip's end are the length of what it holds, which nothing else compares here.
    let mut longer = package.clone();
    longer.push(0);
    assert!(examine(&longer).is_err());
    examine(&[&*demo().build(), &[0]].concat()).unwrap();
}

#[test]
fn files_links_and_directories_are_unpacked() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    for package in [demo(), demo().stripped()] {
        let package = package
            .dir("/var/lib/demo", 0o2750)
            .entry("/usr/bin/link", 0o120_777, b"", "demo")
            .with("/usr/share/first", 0o100_644, |file| (file.inode, file.content) = (99, b"shared".to_vec()))
            .with("/usr/share/second", 0o100_644, |file| (file.inode, file.content) = (99, b"shared".to_vec()))
            .with("/var/lib/demo/state", 0o100_600, |file| file.ghost = true)
            .file("/usr/share/empty", b"", 0o600)
            .entry("/dev/null", 0o020_666, b"", "");
        let root = unpacked(&package).unwrap();
        let at = |path: &str| std::fs::symlink_metadata(root.path().join(path)).unwrap();
        assert_eq!(std::fs::read(root.path().join("usr/bin/demo")).unwrap(), b"#!/bin/sh\n");
        assert_eq!(at("usr/bin/demo").permissions().mode() & 0o7777, 0o4755);
        assert_eq!(at("usr/bin/demo").mtime(), 1_600_000_000);
        assert_eq!(at("var/lib/demo").permissions().mode() & 0o7777, 0o2750);
        assert_eq!(std::fs::read_link(root.path().join("usr/bin/link")).unwrap().to_str(), Some("demo"));
        assert_eq!(std::fs::read(root.path().join("usr/share/first")).unwrap(), b"shared");
        assert_eq!(at("usr/share/first").ino(), at("usr/share/second").ino());
        assert_eq!(at("usr/share/empty").len(), 0);
        assert!(!root.path().join("var/lib/demo/state").exists() && !root.path().join("dev/null").exists());
    }
}

#[test]
fn no_name_leads_out_of_the_tree() {
    for path in ["/usr/../../etc/passwd", "usr/bin/demo", "/usr/bin/a\nb", "../demo", "/.."] {
        let problem = problem(&demo().file(path, b"x", 0o644));
        assert!(problem.contains("it has a file “"), "{problem}");
    }
    // The payload is believed in nothing: neither in a name of its own, nor in one that the header has already had.
    for name in ["./../../etc/passwd", "/etc/passwd", "./usr/bin/demo", "./usr/bin/other"] {
        let hostile = demo().with("/usr/bin/real", 0o100_644, |file| file.named = Some(name.to_owned()));
        assert!(problem(&hostile).contains("payload"), "{name}");
    }
}

/// A link of one file is never a way for another: what leads out of the tree leads back into it.
#[test]
fn links_never_lead_out() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap();
    let package = demo().entry("/usr/out", 0o120_777, b"", target).file("/usr/out/file", b"x", 0o644);
    // Either the kernel finds nothing there beneath the root, or the file lies there.
    let _ = unpacked(&package);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn contents_must_be_those_that_the_header_promises() {
    let wrong_digest = demo().with("/etc/a", 0o100_644, |file| (file.content, file.digest) = (b"a".to_vec(), Some(testing::sha256(b"b"))));
    assert!(problem(&wrong_digest).contains("/etc/a does not have the digest that its header promises"));
    let wrong_size = demo().with("/etc/a", 0o100_644, |file| (file.content, file.size) = (b"a".to_vec(), Some(4_000_000_000)));
    assert!(problem(&wrong_size).contains("/etc/a has 1 bytes in its payload, and 4000000000 in its header"));
    assert!(examine(&wrong_size.stripped().build()).is_err());
    let ghost = demo().with("/etc/a", 0o100_644, |file| file.named = Some("./usr/bin".to_owned()));
    assert!(problem(&ghost).contains("not twice"));
    let mut missing = demo().file("/etc/a", b"a", 0o644).with("/etc/b", 0o100_644, |file| file.ghost = true).build();
    assert!(examine(&missing).is_ok());
    missing.truncate(missing.len() - 20);
    assert!(matches!(examine(&missing), Err(Error::Unreadable { .. })));
}

#[test]
fn a_bomb_is_cut_off() {
    let zeros = vec![0; 100 << 20];
    let package = RpmBuilder::new("bomb", "1", "1").file("/zeros", &zeros, 0o644).compression("zstd").build();
    let error = examine(&package).unwrap_err();
    assert!(
        std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("decompresses to more than"))
            || error.to_string().contains("decompresses to more than"),
        "{error}"
    );
}

#[test]
fn what_is_no_package_is_refused() {
    let good = demo().build();
    for cut in [0, 50, 96, 100, 130, 200, 400] {
        assert!(examine(&good[..cut]).is_err(), "{cut}");
    }
    let mut deb = good.clone();
    deb[..8].copy_from_slice(b"!<arch>\n");
    assert!(examine(&deb).unwrap_err().to_string().contains("no RPM package"));
}

#[test]
fn the_packages_that_rpm_needs_are_found() {
    let packages = [
        RpmBuilder::new("filesystem", "1", "1").entry("/bin", 0o120_777, b"", "usr/bin"),
        RpmBuilder::new("rpm", "4", "1").file("/usr/bin/rpm", b"", 0o755).requires("librpm.so.9()(64bit)").requires("/bin/sh").requires("rpmlib(X)"),
        RpmBuilder::new("rpm-libs", "4", "1").provides("librpm.so.9()(64bit)").requires("(lua if rpm)"),
        RpmBuilder::new("lua", "5", "1"),
        RpmBuilder::new("bash", "5", "1").file("/usr/bin/sh", b"", 0o755),
        RpmBuilder::new("release", "5", "1").file("/usr/lib/rpm/macros.d/macros.dist", b"", 0o644),
        RpmBuilder::new("systemd", "5", "1").requires("rpm-libs"),
    ];
    let facts: Vec<Facts> = packages
        .iter()
        .map(|package| {
            let bytes = package.build();
            Facts::of(&Rpm::read(Origin::named("demo"), &*bytes, bytes.len() as u64).unwrap()).unwrap()
        })
        .collect();
    assert_eq!(bootstrap::needed(&facts).unwrap(), [true, true, true, true, true, true, false]);
    assert!(bootstrap::needed(&facts[2..]).is_none());
}
