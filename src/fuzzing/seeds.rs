//! What the fuzz targets begin with: `fuzz/seeds/TARGET/`, one small valid input for each way that the program writes such bytes.
//!
//! `IMAGE_COMPOSER_SEEDS=write cargo test --lib seeds` makes them again, from what this program and the fixtures of other programs are now.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::cache::{Coordinates, MetadataCache, PackageCache, bundle as bundling};
use crate::digest::Sha256;
use crate::format::blob::{Alias, BlobKind, Header, MetadataAttributes, MetadataName, PackageName};
use crate::format::record::{Import, ReleaseDate};
use crate::format::totals::Amount;
use crate::progress::Silent;
use crate::repo::ReleaseInfo;
use crate::repo::rpm::primary::Packages;
use crate::repo::rpm::primary::tests::primary;
use crate::repo::signature::tests::keys::{SignOptions, TestKey};
use crate::resolve::{LockedPackage, Reason};
use crate::root::testing::DebBuilder;
use crate::root::{self, RpmBuilder};
use crate::store::Store;
use crate::store::tests::noise;

fn text(text: &str) -> String {
    text.to_owned()
}

pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(super) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn package_name() -> PackageName {
    PackageName { name: text("hello"), version: text("1:2-3"), arch: text("amd64"), repository: text("debian"), sha256: Sha256::of(b"") }
}

fn metadata_name() -> MetadataName {
    let attributes = MetadataAttributes { etag: Some(text("\"1\"")), last_modified: None, verified_by: vec![text("ABCD")] };
    MetadataName { archive: text("debian"), path: text("dists/stable/InRelease"), fetched_at: 1_700_000_000, attributes }
}

fn an_image() -> ImageDocument {
    let digest = Digest::of(b"");
    ImageDocument {
        format: 1,
        spec_hash: digest,
        name: text("minimal"),
        version: text("1.0"),
        dist: text("debian12"),
        arch: text("x86_64"),
        raw_len: 1 << 30,
        data_len: 1 << 20,
        raw_digest: digest,
        own_bytes: 1 << 19,
        manifest: digest,
        lock: digest,
        annotations: digest,
        built_at: 1_700_000_000,
        build_millis: 30_000,
        source_date: 1_600_000_000,
        releases: vec![ReleaseDate { archive: text("debian"), suite: text("bookworm"), date: 1_690_000_000 }],
        imported: Some(Import { file: text("disk.qcow2"), format: text("qcow2") }),
    }
}

fn a_lock() -> Lock {
    let package = |name: &str, reason| LockedPackage {
        coordinates: Coordinates::new(name, "1.0-1", "amd64", "debian").unwrap(),
        sha256: Sha256::of(b""),
        size: 10,
        filename: format!("pool/{name}.deb"),
        installed_size: 20,
        essential: false,
        reason,
    };
    Lock { packages: vec![package("a", Reason::Wanted), package("b", Reason::DependencyOf(text("a")))], releases: Vec::new() }
}

fn a_lock_file() -> String {
    let digest = Digest::of(b"");
    let release = ReleaseInfo { archive: text("debian"), suite: text("bookworm"), date: 1_690_000_000, digest, keys: Vec::new() };
    LockFile { inputs: digest, wanted: vec![text("a")], lock: Lock { releases: vec![release], ..a_lock() } }.to_text()
}

/// A bundle of an image with a hole, a package and a file of a repository.
fn a_bundle() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let raw = dir.path().join("raw");
    fs::write(&raw, [noise(3000, 1), vec![0; 96 << 10], noise(100, 2)].concat()).unwrap();
    let new = crate::cache::NewImage {
        name: text("minimal"),
        version: text("1"),
        dist: text("debian12"),
        arch: text("x86_64"),
        annotations: Vec::new(),
        lock: cbor::encode(&a_lock()).unwrap(),
        build_time: std::time::Duration::from_secs(1),
        source_date: 7,
        releases: Vec::new(),
        imported: None,
    };
    let cancel = Cancel::default();
    crate::cache::ImageCache::new(&store).insert(&crate::cache::SpecHash::of_canonical(b"spec"), &new, &raw, &Silent, &cancel).unwrap();
    let name = Coordinates::new("hello", "1", "amd64", "debian").unwrap();
    PackageCache::new(&store).insert(&name, &Sha256::of(b"package"), &mut &b"package"[..]).unwrap();
    MetadataCache::new(&store).insert("debian", "dists/stable/InRelease", b"signed", &MetadataAttributes::default()).unwrap();
    let plan = bundling::plan(&store, &bundling::Selection { all: true, ..bundling::Selection::default() }, &cancel).unwrap();
    let mut bytes = Vec::new();
    bundling::write(&store, &plan, &mut bytes, &Silent, &cancel).unwrap();
    bytes
}

/// A keyring and a text with its signature, as the target takes them.
fn signed(keyring: &[u8], text: &[u8], signature: &[u8]) -> Vec<u8> {
    let lengths = [keyring.len() as u32, text.len() as u32].map(u32::to_le_bytes).concat();
    [lengths.as_slice(), keyring, text, signature].concat()
}

const RELEASE: &str = "Origin: Debian\nSuite: stable\nCodename: bookworm\nDate: Sat, 11 Jul 2020 10:16:37 UTC\nAcquire-By-Hash: yes\n\
    Architectures: all amd64\nComponents: main contrib\nSHA256:\n \
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-amd64/Packages\n";

const PACKAGES: &str = "Package: bash\nPriority: required\nEssential: yes\nMulti-Arch: foreign\nInstalled-Size: 7164\nSize: 1500000\n\
    Version: 5.2.15-2+b7\nArchitecture: amd64\nFilename: pool/main/b/bash/bash_5.2.15-2+b7_amd64.deb\nDepends: base-files (>= 2.1.12),\n\x20debianutils | a:any\n\
    Pre-Depends: libc6\nConflicts: c\nBreaks: b (<< 2)\nProvides: sh (= 1), shell\n\
    SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\n";

/// A disk image as the target takes it. Of what is long and no zeros the beginning is enough.
fn sparse(format: Format, file: &[u8], keep: usize) -> Vec<u8> {
    let number = Format::ALL.iter().position(|known| *known == format).unwrap() as u8;
    let mut seed = vec![number];
    seed.extend_from_slice(&(file.len() as u32).to_le_bytes());
    let zeros = [0; 64];
    let mut at = 0;
    for run in file.chunks(64).collect::<Vec<_>>().chunk_by(|a, b| (**a == zeros) == (**b == zeros)) {
        let len = run.iter().map(|line| <[u8]>::len(line)).sum::<usize>();
        if *run[0] != zeros {
            let part = &file[at..at + len.min(keep)];
            seed.extend_from_slice(&(at as u32).to_le_bytes());
            seed.extend_from_slice(&(part.len() as u16).to_le_bytes());
            seed.extend_from_slice(part);
        }
        at += len;
    }
    seed
}

/// The head and the table of a root tree.
fn a_tree() -> Vec<u8> {
    let entry = |path: &str, kind| tree::Entry {
        path: path.as_bytes().to_vec(),
        kind,
        mode: 0o755,
        uid: 0,
        gid: 1,
        mtime: (7, 8),
        attributes: vec![(b"user.a".to_vec(), b"b".to_vec())],
    };
    let entries = [
        entry("", tree::Kind::Directory),
        entry("a", tree::Kind::File { offset: 4096, len: 5, data: Some(std::iter::once(0..1).collect()) }),
        entry("b", tree::Kind::HardLink(1)),
        entry("c", tree::Kind::Symlink(b"a".to_vec())),
        entry("d", tree::Kind::Character(1, 3)),
    ];
    let table = tree::encode(&entries).unwrap();
    let head = tree::Head { offset: 1 << 20, len: table.len() as u64, entries: entries.len() as u32, has_data: true };
    [&head.encode()[..], &table].concat()
}

/// In every compression, and as what is kept of the one that takes long.
fn debs() -> Vec<(String, Vec<u8>)> {
    let mut debs = Vec::new();
    for compression in ["", ".gz", ".xz", ".zst"] {
        let deb = DebBuilder::new("demo", "1").dir("./usr/", 0o755).xattrs(&[("user.a", b"1")]).file("./usr/demo", b"hello", 0o755);
        let deb = deb.entry(tar::EntryType::Symlink, "./link", "usr/demo", b"", 0o777).control_file("conffiles", b"/etc/demo\n");
        let deb = deb.compression(compression).build();
        let mut plain = Vec::new();
        if root::decompressed("demo 1", deb.as_slice(), deb.len() as u64, |bytes| bytes.read_to_end(&mut plain)).unwrap().is_some() {
            debs.push(("plain".to_owned(), plain));
        }
        debs.push((format!("demo{compression}"), deb));
    }
    debs
}

/// RPM packages with every compression and both kinds of payload.
fn rpms() -> Vec<(String, Vec<u8>)> {
    let packages = ["", "gzip", "xz", "zstd"].into_iter().flat_map(|compression| {
        let rpm = RpmBuilder::new("demo", "1", "2").dir("/usr", 0o755).file("/usr/demo", b"hello", 0o755).requires("/bin/sh");
        let rpm = rpm.entry("/link", 0o120_777, b"", "usr/demo").with("/ghost", 0o100_644, |file| file.ghost = true).compression(compression);
        [(format!("demo.{compression}"), rpm.build()), (format!("stripped.{compression}"), rpm.stripped().build())]
    });
    packages.collect()
}

/// What is made of a list of packages.
fn rpm_list(primary: &[u8]) -> Vec<u8> {
    let archive = Arc::new(Archive { id: text("rpm"), mirrors: Vec::new(), pin: 500 });
    let Packages { records, unproven, unusable } = crate::repo::rpm::primary::parse(primary, &archive, "x86_64").unwrap();
    let head = Head { packaging: Packaging::Rpm, arch: text("x86_64"), unproven, unusable };
    List::of_records(head, &records).bytes().to_vec()
}

/// A list of packages, what names it, the mirrors that have it, and the files of the packages.
fn rpm_metadata() -> [(&'static str, &'static str, Vec<u8>); 5] {
    let lists = "a 1:2.0~rc1-3: requires b >= 2, rpmlib(FileCaps) <= 4.6, /bin/sh, (c if d else e); provides f >= 3; conflicts g; files /usr/bin/a\n\
                 new 2-1: obsoletes old < 2; requires (v >= 1 with v < 2)";
    let data = format!(
        "<data type=\"primary\"><checksum type=\"sha256\">{}</checksum><location href=\"repodata/primary.xml.gz\"/>\
         <timestamp>1700000000</timestamp><size>3</size><open-size>9</open-size></data>",
        Sha256::of(b"")
    );
    let hash = format!("<verification><hash type=\"sha256\">{}</hash></verification>", Sha256::of(b""));
    let url = "<url protocol=\"https\" preference=\"100\">https://h/os/repodata/repomd.xml</url>";
    let metalink = format!("<metalink><files><file name=\"repomd.xml\">{hash}<resources>{url}</resources></file></files></metalink>");
    let package = format!("<package pkgid=\"{}\" name=\"a\"><file>/usr/bin/a</file><file type=\"dir\">/srv</file></package>", Sha256::of(b""));
    let files = format!("<filelists packages=\"1\">{package}</filelists>");
    let (primary, repomd) = (primary(lists), format!("<?xml version=\"1.0\"?>\n<repomd><revision>9</revision>{data}</repomd>"));
    [
        ("primary", "list", rpm_list(primary.as_bytes())),
        ("primary", "two", primary.into_bytes()),
        ("repomd", "primary", repomd.into_bytes()),
        ("repomd", "metalink", metalink.into_bytes()),
        ("repomd", "files", files.into_bytes()),
    ]
}

/// All seeds: target, name, bytes.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds: Vec<(&str, String, Vec<u8>)> = Vec::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| seeds.push((target, text(name), bytes));
    let (digest, other) = (Digest::of(b"a"), Digest::of(b"b"));
    let headers = [
        ("package", Header::package(package_name())),
        ("metadata", Header::metadata(metadata_name())),
        ("manifest", Header::unnamed(BlobKind::Manifest)),
    ];
    for (name, header) in headers {
        add("blob", name, cbor::encode(&header).unwrap());
    }
    add("bundle", "all", a_bundle());
    add("cbor", "lock", cbor::encode(&a_lock()).unwrap());
    add("cbor", "alias", Alias { digest, header: Header::package(package_name()) }.encode().unwrap());
    for (name, deb) in debs() {
        add("deb", &name, deb);
    }
    for (name, rpm) in rpms() {
        add("rpm", &name, rpm);
    }
    for (name, format) in [
        ("small-clusters.qcow2", Format::Qcow2),
        ("zlib.qcow2", Format::Qcow2),
        ("zstd.qcow2", Format::Qcow2),
        ("dynamic.vhd", Format::Vhd),
        ("fixed.vhd", Format::Vhd),
        ("dynamic.vhdx", Format::Vhdx),
        ("sparse.vmdk", Format::Vmdk),
        ("stream.vmdk", Format::Vmdk),
        ("dynamic.vdi", Format::Vdi),
    ] {
        let file = zstd::decode_all(fs::File::open(folder("fixtures/disks").join(format!("{name}.zst"))).unwrap()).unwrap();
        let keep = if matches!(name, "zlib.qcow2" | "zstd.qcow2" | "stream.vmdk") { usize::from(u16::MAX) } else { 256 };
        add("disk", name, sparse(format, &file, keep));
    }
    for name in ["small-ext2", "small-ext4", "small-attributes", "small-fat12", "small-fat16", "small-fat32", "small-gpt", "small-mbr"] {
        let file = zstd::decode_all(fs::File::open(folder("fixtures/filesystems").join(format!("{name}.zst"))).unwrap()).unwrap();
        // Without the number of a format before it.
        add("inspect", name, sparse(Format::Raw, &file, usize::from(u16::MAX))[1..].to_vec());
    }
    add("frames", "two", [&[0; 0][..], &skippable::head(3).unwrap(), b"abc", &skippable::head(0).unwrap()].concat());
    let extents = vec![
        Extent::Chunk { digest, offset: 0, length: 4096 },
        Extent::Hole { length: 1 << 20 },
        Extent::Chunk { digest: other, offset: 5, length: 7 },
    ];
    let manifest = Manifest { raw_len: extents.iter().map(Extent::length).sum(), raw_digest: digest, extents };
    add("manifest", "hole", manifest.encode().unwrap());
    let entry = |digest, offset, stored_len| packs::Entry { digest, offset, stored_len, raw_len: 20 };
    let (_, footer) = packs::encode_footer(&[entry(digest, 16, 10), entry(other, 26, 5)]).unwrap();
    add("pack", "two", footer[skippable::HEAD_LEN..footer.len() - packs::TRAILER_LEN].to_vec());
    add("packages", "bash", PACKAGES.as_bytes().to_vec());
    add("packages", "list", indexes::parse(PACKAGES.as_bytes(), "debian", "amd64").unwrap().bytes().to_vec());
    for (target, name, bytes) in rpm_metadata() {
        add(target, name, bytes);
    }
    add("record", "imported", an_image().encode().unwrap());
    add("relation", "depends", b"base-files (>= 2.1.12), a:any | b (<< 2) [amd64 !i386] <!nocheck>, c".to_vec());
    add("relation", "provides", b"sh (= 1), shell".to_vec());
    add("lock", "lock", a_lock_file().into_bytes());
    add("release", "stable", RELEASE.as_bytes().to_vec());
    add("row", "blob", BlobRow { kind: BlobKind::Manifest, lost: false, references: 1, raw_len: 2, stored_len: 3 }.encode());
    add("row", "chunk", ChunkRow { lost: true, references: 1, pack: digest, offset: 16, stored_len: 5, raw_len: 6 }.encode());
    let package = PackageRow { blob: digest, sha256: Sha256::of(b""), alias: Some(other), pinned: true, added_at: 1, last_used: 2, uses: 3 };
    add("row", "package", package.encode());
    let image = ImageRow {
        record: digest,
        manifest: digest,
        lock: other,
        annotations: other,
        damaged: false,
        pinned: true,
        tree: false,
        last_used: 1,
        uses: 2,
    };
    add("row", "image", image.encode());
    add("row", "metadata", MetadataRow { blob: digest, alias: None, fetched_at: 1, last_used: 2, attributes: metadata_name().attributes }.encode());
    add("row", "trash", TrashRow { since: 1, stored_len: 2 }.encode());
    add("row", "pack", PackRow { stored_len: 100, chunks: 2, live_len: 50 }.encode());
    add("row", "total", TotalRow(Amount::one(3, 2)).encode());
    add("row", "usage", UsageRow { since: 1, hits: 2, misses: 3, saved_bytes: 4, saved_millis: 5 }.encode());
    add("row", "hold", HoldRow.encode());
    add("tree", "five", a_tree());
    let (key, how) = (TestKey::new(1), SignOptions::default());
    let in_release = key.sign_cleartext(RELEASE, &how);
    add("signature", "in-release", signed(&key.public(), in_release.as_bytes(), b""));
    add("signature", "detached", signed(key.public_armored().as_bytes(), RELEASE.as_bytes(), key.sign_detached(RELEASE.as_bytes(), &how).as_bytes()));
    add("sources", "one-line", b"deb [arch=amd64 signed-by=/k.gpg] http://example.org/debian stable main contrib\n# deb x\n".to_vec());
    add(
        "sources",
        "deb822",
        b"Types: deb deb-src\nURIs: http://example.org/debian/\nSuites: stable stable-updates\nComponents: main\nSigned-By: /k.gpg\n".to_vec(),
    );
    for name in ["debian12-minimal.yml", "debian13-minimal.yml"] {
        add("spec", name, fs::read(folder("fixtures/specs").join(name)).unwrap());
    }
    seeds
}

/// A seed that is refused teaches a fuzzer little.
#[test]
fn every_seed_is_accepted() {
    let of = folder("fuzz/seeds");
    if std::env::var_os("IMAGE_COMPOSER_SEEDS").is_some() {
        for (target, name, bytes) in seeds() {
            fs::create_dir_all(of.join(target)).unwrap();
            fs::write(of.join(target).join(name), bytes).unwrap();
        }
    }
    for (target, run) in TARGETS {
        let seeds = files(&of.join(target));
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for (name, bytes) in seeds {
            assert!(run(&bytes), "{target}/{name}");
        }
    }
}

/// What is written now is accepted now; the seeds in the repository are those of the day on which they were made.
#[test]
fn seeds_can_be_made_again() {
    for (target, name, bytes) in seeds() {
        let (_, run) = TARGETS.iter().find(|(known, _)| *known == target).unwrap();
        assert!(run(&bytes), "{target}/{name}");
        assert!(bytes.len() < 64 << 10, "{target}/{name} has {} bytes", bytes.len());
    }
}

#[test]
fn every_target_is_built() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| text(name)).collect();
    let built = names(&folder("fuzz/fuzz_targets")).into_iter().map(|name| text(name.trim_end_matches(".rs"))).collect();
    assert_eq!(targets, built);
    let manifest = fs::read_to_string(folder("fuzz/Cargo.toml")).unwrap();
    assert!(targets.iter().all(|name| manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\""))));
}
