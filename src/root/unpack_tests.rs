use super::*;
use crate::progress::Cancel;
use crate::root::ahead::split;
use crate::root::site::Directories;
use crate::root::testing::{DebBuilder, package};
use crate::tree::Tree;
use tar::EntryType;

/// Unpacks one package after another into a new tree.
struct Bench {
    root: tempfile::TempDir,
    packages: Vec<crate::root::plan::Package>,
    diversions: dpkg::Diversions,
}

impl Bench {
    fn new(names: &[&str]) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            packages: names.iter().map(|name| package(name)).collect(),
            diversions: dpkg::Diversions::default(),
        }
    }

    /// Unpacks these data parts in this order; from parts that are decompressed ahead it becomes the same.
    fn unpack(&self, order: &[(usize, &[u8], &[String])]) -> Result<Vec<Vec<String>>, Error> {
        let twin = tempfile::tempdir().unwrap();
        let copied = std::process::Command::new("cp").arg("-aT").args([self.root.path(), twin.path()]).status().unwrap();
        assert!(copied.success());
        let lists = self.unpack_to(self.root.path(), order, false);
        match (&lists, self.unpack_to(twin.path(), order, true)) {
            (Ok(lists), Ok(ahead)) => assert_eq!((lists, look(self.root.path())), (&ahead, look(twin.path()))),
            (Err(error), ahead) => assert_eq!(error.to_string(), ahead.unwrap_err().to_string()),
            (Ok(_), Err(error)) => panic!("{error}"),
        }
        lists
    }

    fn unpack_to(&self, root: &Path, order: &[(usize, &[u8], &[String])], ahead: bool) -> Result<Vec<Vec<String>>, Error> {
        let tree = Tree::open(root)?;
        let (claims, directories, cancel) = (Claims::new(&self.packages), Directories::default(), Cancel::default());
        let site = Site { tree: &tree, directories: &directories, time: 2_000_000_000, cancel: &cancel };
        let unpacker = Unpacker { site, claims: &claims, diversions: &self.diversions };
        let beside = tempfile::tempdir_in(root.parent().unwrap()).unwrap();
        let mut lists = Vec::new();
        for (at, (number, data, conffiles)) in order.iter().enumerate() {
            let package = &self.packages[*number];
            let job = Job { number: *number, name: package.coordinates.name(), origin: &Origin::of(package), conffiles };
            let contents = Contents::create(beside.path().join(at.to_string())).unwrap();
            let archive = if ahead { split(*data, &contents, &cancel).ok() } else { None };
            lists.push(match &archive {
                Some(archive) => unpacker.unpack(&job, archive.as_slice(), Some(&contents)),
                None => unpacker.unpack(&job, *data, None),
            }?);
        }
        directories.apply(&tree)?;
        Ok(lists)
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.root.path().join(path)).ok()
    }
}

/// All below a directory, with what an image has of it.
fn look(root: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let data = path.symlink_metadata().unwrap();
        // What is made in a folder changes its time and, on some file systems, its number of links.
        let (links, time) = if data.is_dir() { (0, 0) } else { (data.nlink(), data.mtime()) };
        let content = if data.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let target = path.read_link().ok();
        found.push(format!("{:?} {:o} {links} {time} {target:?} {content:?}", path.strip_prefix(root).unwrap(), data.mode()));
        if data.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

fn deb() -> DebBuilder {
    DebBuilder::new("demo", "1")
}

#[test]
fn unpacks_files_links_and_directories() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let bench = Bench::new(&["demo"]);
    let data = deb()
        .dir("./", 0o755)
        .dir("./usr/", 0o755)
        .dir("./usr/lib/", 0o2750)
        .file("./usr/lib/tool", b"#!/bin/sh\n", 0o4755)
        .entry(EntryType::Link, "./usr/lib/same", "./usr/lib/tool", b"", 0)
        .entry(EntryType::Symlink, "./usr/lib/link", "tool", b"", 0o777)
        .data();
    let lists = bench.unpack(&[(0, &data, &[])]).unwrap();
    assert_eq!(lists[0], ["/.", "/usr", "/usr/lib", "/usr/lib/tool", "/usr/lib/same", "/usr/lib/link"]);
    let tool = std::fs::metadata(bench.root.path().join("usr/lib/tool")).unwrap();
    assert_eq!((tool.permissions().mode() & 0o7777, tool.nlink(), tool.mtime()), (0o4755, 2, 1_000_000_000));
    assert_eq!(std::fs::metadata(bench.root.path().join("usr/lib")).unwrap().permissions().mode() & 0o7777, 0o2750);
    assert_eq!(std::fs::read_link(bench.root.path().join("usr/lib/link")).unwrap(), Path::new("tool"));
}

#[test]
fn never_writes_outside_the_root() {
    let host = tempfile::tempdir().unwrap();
    let victim = host.path().join("victim");
    std::fs::write(&victim, "host").unwrap();
    let outside = host.path().to_str().unwrap();
    for (data, problem) in [
        (deb().file("../victim", b"evil", 0o644).data(), "“..”"),
        (deb().file("./usr/../../victim", b"evil", 0o644).data(), "“..”"),
        (deb().file("/etc/absolute", b"evil", 0o644).data(), "absolute"),
        (deb().entry(EntryType::Link, "./link", "../victim", b"", 0).data(), "“..”"),
        (deb().entry(EntryType::Link, "./link", victim.to_str().unwrap(), b"", 0).data(), "absolute"),
        (deb().file("./two\nlines", b"", 0o644).data(), "line break"),
    ] {
        let bench = Bench::new(&["demo"]);
        let error = bench.unpack(&[(0, &data, &[])]).unwrap_err();
        assert!(matches!(error, Error::HostileEntry { .. }) && error.to_string().contains(problem), "{error}");
    }
    // A link to a directory outside, then a file through it: it lands beneath the root, or nowhere.
    for target in [outside, "../../../../../../../.."] {
        let bench = Bench::new(&["demo"]);
        let through = format!("./dir{}/victim", if target == outside { "" } else { outside });
        let data = deb().entry(EntryType::Symlink, "./dir", target, b"", 0o777).file(&through, b"evil", 0o644).data();
        // Whether it is refused or lands inside is the same to the host.
        let _ = bench.unpack(&[(0, &data, &[])]);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "host");
    }
    // A link with the name of a file that comes again: the link is replaced, not followed.
    let bench = Bench::new(&["demo"]);
    let data = deb().entry(EntryType::Symlink, "./file", victim.to_str().unwrap(), b"", 0o777).file("./file", b"evil", 0o644).data();
    bench.unpack(&[(0, &data, &[])]).unwrap();
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "host");
    assert_eq!(bench.read("file").unwrap(), "evil");
}

#[test]
fn a_link_to_a_directory_stands_for_it() {
    let bench = Bench::new(&["demo"]);
    std::fs::create_dir_all(bench.root.path().join("usr/bin")).unwrap();
    std::os::unix::fs::symlink("usr/bin", bench.root.path().join("bin")).unwrap();
    bench.unpack(&[(0, &deb().dir("./bin/", 0o755).file("./bin/sh", b"shell", 0o755).data(), &[])]).unwrap();
    assert_eq!(bench.read("usr/bin/sh").unwrap(), "shell");
    assert!(bench.root.path().join("bin").is_symlink());
}

#[test]
fn a_file_without_a_name_is_nothing() {
    let bench = Bench::new(&["demo"]);
    let data = deb().file("./", b"nothing", 0o644).file("./a", b"a", 0o644).data();
    assert_eq!(bench.unpack(&[(0, &data, &[])]).unwrap()[0], ["/.", "/a"]);
    assert_eq!(bench.read("a").as_deref(), Some("a"));
}

#[test]
fn configuration_files_wait_for_dpkg() {
    let bench = Bench::new(&["demo"]);
    let data = deb().file("./etc/demo.conf", b"new", 0o644).data();
    let lists = bench.unpack(&[(0, &data, &["/etc/demo.conf".to_owned()])]).unwrap();
    assert_eq!(lists[0], ["/etc/demo.conf"], "it is listed under its own name");
    assert_eq!((bench.read("etc/demo.conf"), bench.read("etc/demo.conf.dpkg-new").as_deref()), (None, Some("new")));
}

#[test]
fn diverted_files_go_to_their_other_name() {
    let mut bench = Bench::new(&["demo", "diverter"]);
    let tree = Tree::open(bench.root.path()).unwrap();
    tree.write("var/lib/dpkg/diversions", b"/usr/bin/tool\n/usr/bin/tool.real\ndiverter\n", 0o644).unwrap();
    bench.diversions = dpkg::Diversions::load(&tree).unwrap();
    let (own, others) = (deb().file("./usr/bin/tool", b"diverter's", 0o755).data(), deb().file("./usr/bin/tool", b"demo's", 0o755).data());
    for order in [[(0, &*others, [].as_slice()), (1, &*own, &[])], [(1, &*own, &[]), (0, &*others, &[])]] {
        bench.unpack(&order).unwrap();
        assert_eq!((bench.read("usr/bin/tool").unwrap(), bench.read("usr/bin/tool.real").unwrap()), ("diverter's".to_owned(), "demo's".to_owned()));
    }
}

#[test]
fn the_outcome_does_not_depend_on_the_order() {
    let old = deb().dir("./shared/", 0o755).file("./shared/file", b"old", 0o644).data();
    let new = deb().dir("./shared/", 0o700).file("./shared/file", b"new", 0o644).data();
    for order in [[0, 1], [1, 0]] {
        use std::os::unix::fs::PermissionsExt as _;
        let mut bench = Bench::new(&["old", "new"]);
        bench.packages[1].replaces = vec![0];
        let data = [&old, &new];
        bench.unpack(&order.map(|number| (number, data[number].as_slice(), [].as_slice()))).unwrap();
        assert_eq!(bench.read("shared/file").unwrap(), "new");
        assert_eq!(std::fs::metadata(bench.root.path().join("shared")).unwrap().permissions().mode() & 0o777, 0o755, "the first of the plan decides");
    }
}

#[test]
fn two_packages_with_the_same_file_are_named() {
    let bench = Bench::new(&["one", "two"]);
    let data = deb().file("./same", b"", 0o644).data();
    let error = bench.unpack(&[(0, &data, &[]), (1, &data, &[])]).unwrap_err();
    assert_eq!(error.to_string(), "packages one and two both contain /same, and neither says that it replaces the other");
}

#[test]
fn a_cut_archive_is_an_error_of_the_package() {
    let bench = Bench::new(&["demo"]);
    let data = deb().file("./file", &[1; 5000], 0o644).data();
    assert!(matches!(bench.unpack(&[(0, &data[..2000], &[])]), Err(Error::Unreadable { .. })));
}

#[test]
fn extended_attributes_and_pipes_arrive() {
    use std::os::unix::fs::FileTypeExt as _;
    let bench = Bench::new(&["demo"]);
    let data = deb()
        .xattrs(&[("user.demo", b"value"), ("trusted.not-ours", b"value")])
        .file("./file", b"", 0o644)
        .entry(EntryType::Fifo, "./pipe", "", b"", 0o600)
        .data();
    bench.unpack(&[(0, &data, &[])]).unwrap();
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(bench.root.path().join("file"), "user.demo", &mut value).unwrap();
    assert_eq!(&value[..length], b"value");
    assert!(rustix::fs::getxattr(bench.root.path().join("file"), "trusted.not-ours", &mut value).is_err());
    assert!(std::fs::metadata(bench.root.path().join("pipe")).unwrap().file_type().is_fifo());
}
