//! Loading repositories: what is proven is taken, everything else is refused, and the error says what and why.

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image_composer::cache::{MadeFrom, MetadataAttributes, MetadataCache};
use image_composer::digest::{Digest, Sha256};
use image_composer::fetch::{Client, ClientOptions};
use image_composer::progress::{Cancel, Event, Progress};
use image_composer::repo::{self, Archive, ArchiveConfig, Cause, Keyring, LoadOptions, PackageRecord, SuiteConfig, Trust, Universe};
use image_composer::store::Store;
use pgp::crypto::hash::HashAlgorithm;

use crate::support::deb::Deb;
use crate::support::keys::{KeyOptions, SignOptions, TestKey};
use crate::support::repository::{NOW, RELEASE_DATE, Repository, Signed};
use crate::support::server::{Fault, Server};
use crate::support::{Compression, Tree, write_tree};

const INRELEASE: &str = "dists/stable/InRelease";
const PACKAGES: &str = "dists/stable/main/binary-amd64/Packages";

/// A store, a client, and the warnings that came.
struct World {
    directory: tempfile::TempDir,
    store: Store,
    client: Client,
    warnings: Warnings,
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Progress for Warnings {
    fn report(&self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let client = Client::new(&ClientOptions { retries: 0, ..ClientOptions::default() }).unwrap();
        Self { directory, store, client, warnings: Warnings::default() }
    }

    fn load_with(&self, archives: &[ArchiveConfig], options: LoadOptions) -> Result<Universe, repo::Error> {
        let cache = MetadataCache::new(&self.store);
        repo::load(archives, "amd64", &self.client, Some(&cache), &options, &self.warnings, &Cancel::default())
    }

    fn load(&self, archive: &ArchiveConfig) -> Result<Universe, repo::Error> {
        self.load_with(std::slice::from_ref(archive), ONLINE)
    }

    fn load_offline(&self, archive: &ArchiveConfig) -> Result<Universe, repo::Error> {
        self.load_with(std::slice::from_ref(archive), LoadOptions { offline: true, ..ONLINE })
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.0.lock().unwrap().clone()
    }
}

const ONLINE: LoadOptions = LoadOptions { offline: false, now: NOW, check_age: true };

fn key() -> TestKey {
    TestKey::new(1)
}

fn repository() -> Repository {
    Repository::new("stable").with(Deb::new("hello", "1.0").field("Depends", "libc6 (>= 2)")).with(Deb::new("docs", "1.0").arch("all"))
}

fn archive(mirrors: &[&str]) -> ArchiveConfig {
    ArchiveConfig {
        id: "test".to_owned(),
        packaging: image_composer::distro::Packaging::Deb,
        mirrors: mirrors.iter().map(|mirror| (*mirror).to_owned()).collect(),
        list: None,
        suites: vec![SuiteConfig { name: "stable".to_owned(), components: vec!["main".to_owned()] }],
        allow: Vec::new(),
        exclude: Vec::new(),
        trust: Trust::Keys(Keyring::parse("test.gpg", &key().public()).unwrap()),
        pin: 500,
    }
}

fn names(universe: &Universe) -> Vec<String> {
    universe.packages.iter().map(|package| package.coordinates.to_string()).collect()
}

/// Loads a tree from a server, into an empty store.
fn load_tree(tree: Tree) -> Result<Universe, repo::Error> {
    let server = Server::new(tree);
    World::new().load(&archive(&[&server.url()]))
}

/// What was wrong, and everything that the error says from its head to its root.
fn refused(result: Result<Universe, repo::Error>) -> (Cause, String) {
    let error = result.expect_err("the load should fail");
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    match error {
        repo::Error::Suite { cause, .. } => (cause.cause, text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_repository_is_loaded() {
    let tree = repository().build(&key());
    let deb = tree["pool/main/h/hello/hello_1.0_amd64.deb"].clone();
    let server = Server::new(tree);
    let world = World::new();
    let universe = world.load(&archive(&[&server.url()])).unwrap();
    assert_eq!(names(&universe), ["hello=1.0:amd64 (test)", "docs=1.0:all (test)"]);
    let hello = &universe.packages[0];
    assert_eq!(hello.sha256, image_composer::digest::Sha256::of(&deb));
    assert_eq!((hello.size, hello.filename.as_str()), (deb.len() as u64, "pool/main/h/hello/hello_1.0_amd64.deb"));
    assert_eq!(hello.archive.mirrors, [server.url()]);
    assert_eq!(universe.releases.len(), 1);
    assert_eq!((universe.releases[0].suite.as_str(), universe.releases[0].date), ("stable", RELEASE_DATE));
    assert!(world.warnings().is_empty());
}

#[test]
fn a_directory_of_the_host_is_a_mirror_too() {
    let world = World::new();
    let mirror = world.directory.path().join("mirror");
    write_tree(&repository().build(&key()), &mirror);
    let universe = world.load(&archive(&[&format!("file://{}", mirror.display())])).unwrap();
    assert_eq!(universe.packages.len(), 2);
}

/// A flat repository in a folder, as `dpkg-scanpackages FOLDER` makes it, with packages of several architectures in one index: paths of packages begin at the
/// address of the repository (Debian repository format, “Filename”), and not in the folder.
fn flat(folder: &str, debs: &[Deb]) -> Tree {
    let mut tree = Tree::new();
    let mut index = String::new();
    for deb in debs {
        let (bytes, name) = (deb.build(), deb.pool_path().rsplit('/').next().unwrap().to_owned());
        let digest = image_composer::digest::Sha256::of(&bytes);
        writeln!(index, "{}Filename: ./{folder}{name}\nSize: {}\nSHA256: {digest}\n", deb.control(), bytes.len()).unwrap();
        tree.insert(format!("{folder}{name}"), bytes);
    }
    let digest = image_composer::digest::Sha256::of(index.as_bytes());
    let release = format!("Suite: whatever\nDate: Wed, 01 Jan 2020 12:00:00 UTC\nSHA256:\n {digest} {} Packages\n", index.len());
    let how = SignOptions { created: RELEASE_DATE as u32, ..SignOptions::default() };
    tree.insert(format!("{folder}InRelease"), key().sign_cleartext(&release, &how).into_bytes());
    tree.insert(format!("{folder}Packages"), index.into_bytes());
    tree
}

fn flat_archive(mirror: &str, names: &[&str]) -> ArchiveConfig {
    let suites = names.iter().map(|name| SuiteConfig { name: (*name).to_owned(), components: Vec::new() }).collect();
    ArchiveConfig { suites, ..archive(&[mirror]) }
}

#[test]
fn flat_repositories_are_loaded_from_their_folders() {
    let mut tree = flat("", &[Deb::new("top", "1.0"), Deb::new("foreign", "1.0").arch("arm64")]);
    tree.extend(flat("extra/", &[Deb::new("below", "1.0").arch("all")]));
    let server = Server::new(tree);
    let world = World::new();
    let archive = flat_archive(&server.url(), &["./", "extra/"]);
    for universe in [world.load(&archive).unwrap(), world.load_offline(&archive).unwrap()] {
        assert_eq!(names(&universe), ["top=1.0:amd64 (test)", "below=1.0:all (test)"]);
        let files: Vec<&str> = universe.packages.iter().map(|package| package.filename.as_str()).collect();
        assert_eq!(files, ["top_1.0_amd64.deb", "extra/below_1.0_all.deb"]);
    }
}

#[test]
fn a_flat_repository_is_proven_like_any_other() {
    let mut tree = flat("", &[Deb::new("top", "1.0")]);
    tree.get_mut("Packages").unwrap()[0] ^= 1;
    let server = Server::new(tree);
    let (cause, _) = refused(World::new().load(&flat_archive(&server.url(), &["./"])));
    assert!(matches!(cause, Cause::Digest { .. }), "{cause:?}");
    for name in ["../", "a/../", "/", "a//"] {
        let result = World::new().load(&flat_archive(&server.url(), &[name]));
        assert!(matches!(result, Err(repo::Error::Name { .. })), "{name}: {result:?}");
    }
}

#[test]
fn a_package_that_says_nonsense_is_left_out_and_named() {
    let mut repository = repository();
    let digest = image_composer::digest::Sha256::of(b"x");
    let (odd, rest) = ("Package: odd\nVersion: 1\nArchitecture: amd64", format!("Filename: a.deb\nSize: 1\nSHA256: {digest}\n\n"));
    repository.more_packages = format!("{odd}\nDepends: ${{shlibs:Depends}}\n{rest}");
    let server = Server::new(repository.build(&key()));
    let world = World::new();
    let archive = archive(&[&server.url()]);
    for universe in [world.load(&archive).unwrap(), world.load_offline(&archive).unwrap()] {
        assert_eq!(names(&universe), ["hello=1.0:amd64 (test)", "docs=1.0:all (test)"]);
    }
    let warnings = world.warnings();
    assert!(warnings.len() == 2 && warnings.iter().all(|warning| warning.starts_with("odd of test is left out: ")), "{warnings:?}");
}

/// `apt_preferences(5)`: what a suite says of itself counts where the user has said nothing.
#[test]
fn a_suite_that_is_not_automatic_is_last() {
    let said = |fields: &[&str]| {
        let mut repository = repository();
        repository.fields.extend(fields.iter().map(|field| ((*field).to_owned(), "yes".to_owned())));
        Server::new(repository.build(&key()))
    };
    for (fields, pin, expected) in [
        (&["NotAutomatic", "ButAutomaticUpgrades"][..], 500, 100),
        (&["NotAutomatic"], 500, 1),
        (&["ButAutomaticUpgrades"], 500, 500),
        (&["NotAutomatic"], 600, 600),
        (&["NotAutomatic"], -1, -1),
    ] {
        let (server, world) = (said(fields), World::new());
        let archive = ArchiveConfig { pin, ..archive(&[&server.url()]) };
        for universe in [world.load(&archive).unwrap(), world.load_offline(&archive).unwrap()] {
            assert!(universe.packages.iter().all(|package| package.archive.pin == expected), "{fields:?} {pin}");
        }
    }
}

#[test]
fn only_allowed_packages_are_taken() {
    let server = Server::new(repository().build(&key()));
    for (allow, expected) in [(&["doc*"][..], &["docs=1.0:all (test)"][..]), (&["hell", "none"], &[]), (&["hello"], &["hello=1.0:amd64 (test)"])] {
        let allow = allow.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(names(&World::new().load(&ArchiveConfig { allow, ..archive(&[&server.url()]) }).unwrap()), expected);
    }
}

#[test]
fn either_of_two_keyrings_will_do() {
    let server = Server::new(repository().build(&key()));
    let other = || Keyring::parse("other.gpg", &TestKey::new(2).public()).unwrap();
    let own = Keyring::parse("test.gpg", &key().public()).unwrap();
    let both = ArchiveConfig { trust: Trust::Keys(other().with(own)), ..archive(&[&server.url()]) };
    assert_eq!(World::new().load(&both).unwrap().packages.len(), 2);
    assert!(World::new().load(&ArchiveConfig { trust: Trust::Keys(other()), ..archive(&[&server.url()]) }).is_err());
}

#[test]
fn every_compression_is_read() {
    for compressions in [
        vec![Compression::Zstd],
        vec![Compression::Xz],
        vec![Compression::Gzip],
        vec![Compression::None],
        vec![Compression::Gzip, Compression::Xz, Compression::Zstd],
    ] {
        for lists_plain in [true, false] {
            let repository = Repository { compressions: compressions.clone(), lists_plain, ..repository() };
            let server = Server::new(repository.build(&key()));
            let world = World::new();
            let archive = archive(&[&server.url()]);
            assert_eq!(world.load(&archive).unwrap().packages.len(), 2, "{compressions:?}");
            server.forget();
            // The second time the index comes from the store, whichever way it was kept.
            assert_eq!(world.load(&archive).unwrap().packages.len(), 2, "{compressions:?}");
            assert_eq!(server.asked().len(), 1, "{compressions:?}");
        }
    }
}

#[test]
fn a_tampered_inrelease_is_refused() {
    let mut tree = repository().build(&key());
    let text = String::from_utf8(tree[INRELEASE].clone()).unwrap().replace("Origin: Test", "Origin: Evil");
    tree.insert(INRELEASE.to_owned(), text.into_bytes());
    let (cause, text) = refused(load_tree(tree));
    assert!(matches!(cause, Cause::Signature(_)), "{cause:?}");
    assert!(text.contains(INRELEASE) && text.contains("the text does not match the signature"), "{text}");
}

#[test]
fn a_tampered_index_is_refused() {
    let good = repository().build(&key());
    let evil = Repository::new("stable").with(Deb::new("hello", "6.6.6")).build(&key());
    let evil_index = evil[&format!("{PACKAGES}.xz")].clone();
    for same_length in [true, false] {
        let mut tree = good.clone();
        for (path, bytes) in &mut tree {
            if path.contains("/by-hash/") || path.ends_with("Packages.xz") {
                evil_index.clone_into(bytes);
                if same_length {
                    bytes.resize(good[path].len(), 0);
                }
            }
        }
        let (cause, text) = refused(load_tree(tree));
        assert!(matches!(cause, Cause::Digest { .. } | Cause::TooLong { .. }), "{cause:?}");
        assert!(text.contains("binary-amd64"), "{text}");
    }
}

/// Nothing but the digest can tell: the length is right, and so is the syntax.
#[test]
fn an_index_with_one_changed_version_is_refused() {
    let mut tree = Repository { compressions: vec![Compression::None], ..repository() }.build(&key());
    for (_, bytes) in tree.iter_mut().filter(|(path, _)| path.contains("binary-amd64")) {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains("Version: 1.0\n"));
        *bytes = text.replace("Version: 1.0\n", "Version: 0.9\n").into_bytes();
    }
    let (cause, _) = refused(load_tree(tree));
    assert!(matches!(cause, Cause::Digest { expected_len, found_len, .. } if expected_len == found_len), "{cause:?}");
}

/// The kept index is as long as the new one, and not the new one.
#[test]
fn an_outdated_index_of_the_same_length_is_not_taken_from_the_store() {
    let of = |version: &str| Repository::new("stable").with(Deb::new("hello", version)).build(&key());
    let server = Server::new(of("1.0"));
    let world = World::new();
    let archive = archive(&[&server.url()]);
    world.load(&archive).unwrap();
    server.replace(of("1.1"));
    assert_eq!(names(&world.load(&archive).unwrap()), ["hello=1.1:amd64 (test)"]);
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let stranger = TestKey::new(2);
    let (cause, text) = refused(load_tree(repository().build(&stranger)));
    assert!(matches!(cause, Cause::Signature(_)));
    assert!(text.contains(&format!("{}: unknown key", stranger.fingerprint())), "{text}");
}

#[test]
fn an_expired_release_is_refused_unless_the_user_wants_it() {
    let server = Server::new(repository().build(&key()));
    let world = World::new();
    let late = LoadOptions { now: RELEASE_DATE + 7 * 86_400, ..ONLINE };
    let archives = [archive(&[&server.url()])];
    let (cause, text) = refused(world.load_with(&archives, late));
    assert!(matches!(cause, Cause::Release(_)));
    assert!(text.contains("it was valid until 2020-01-08 12:00 UTC"), "{text}");
    assert!(world.load_with(&archives, LoadOptions { check_age: false, ..late }).is_ok());
    assert!(world.load_with(&archives, LoadOptions { now: late.now - 1, ..ONLINE }).is_ok());
}

#[test]
fn the_kept_release_is_used_where_the_mirror_has_an_older_one_unless_the_user_wants_that() {
    let how = SignOptions { created: RELEASE_DATE as u32, ..SignOptions::default() };
    let new = repository().with(Deb::new("new", "1.0")).dated(RELEASE_DATE + 3_600, 7);
    // An old one may come in the other form.
    for (first, second) in [(Signed::Inline, Signed::Inline), (Signed::Inline, Signed::Detached), (Signed::Detached, Signed::Inline)] {
        let server = Server::new(new.build_signed(&key(), &how, first));
        let world = World::new();
        let archives = [archive(&[&server.url()])];
        let kept = world.load(&archives[0]).unwrap();
        server.replace(repository().build_signed(&key(), &how, second));
        let again = world.load(&archives[0]).unwrap();
        assert_eq!((&again.releases, names(&again)), (&kept.releases, names(&kept)));
        let [passed_over, used] = &world.warnings()[..] else { panic!("{:?}", world.warnings()) };
        assert!(passed_over.contains("it is of 2020-01-01 12:00 UTC, and the store has the one of 2020-01-01 13:00 UTC"), "{passed_over}");
        assert_eq!(used, "the metadata of stable (test) is that of the store, which is newer than what its mirrors have now");
        assert_eq!(world.load_offline(&archives[0]).unwrap().releases, kept.releases, "the newer one stays");
        assert_eq!(world.load_with(&archives, LoadOptions { check_age: false, ..ONLINE }).unwrap().packages.len(), 2);
    }
}

#[test]
fn a_kept_release_makes_up_for_what_the_mirror_has_while_it_is_good() {
    // When something was fetched is told by the real clock.
    let today = jiff::Timestamp::now().as_second().cast_unsigned();
    let on_day = |day: u64| LoadOptions { now: today + day * 86_400, ..ONLINE };
    let of = |hour: u64, days: u64| repository().dated(today - 10_800 + hour * 3_600, days).build(&key());
    let server = Server::new(of(1, 2));
    let world = World::new();
    let archives = [archive(&[&server.url()])];
    let kept = world.load_with(&archives, on_day(0)).unwrap().releases;
    // One that has expired, and one that has not.
    for days in [1, 7] {
        server.replace(of(0, days));
        assert_eq!(world.load_with(&archives, on_day(1)).unwrap().releases, kept);
        let (cause, text) = refused(world.load_with(&archives, on_day(3)));
        assert!(matches!(cause, Cause::Release(ref error) if error.hint().unwrap().contains("--allow-expired")), "{text}");
        assert_eq!(text.contains("and the store has the one of"), days == 7, "{text}");
    }
}

#[test]
fn the_next_mirror_helps_where_one_lags_behind() {
    let (old, new) = (Server::new(repository().build(&key())), Server::new(repository().dated(RELEASE_DATE + 3_600, 7).build(&key())));
    let world = World::new();
    world.load(&archive(&[&new.url()])).unwrap();
    assert_eq!(world.load(&archive(&[&old.url(), &new.url()])).unwrap().releases[0].date, RELEASE_DATE + 3_600);
    assert!(world.warnings()[0].contains("the store has the one of 2020-01-01 13:00 UTC"), "{:?}", world.warnings());
}

#[test]
fn offline_takes_the_newer_one_of_two_forms() {
    let how = SignOptions { created: RELEASE_DATE as u32, ..SignOptions::default() };
    let server = Server::new(repository().build(&key()));
    let world = World::new();
    let archive = archive(&[&server.url()]);
    world.load(&archive).unwrap();
    server.replace(repository().with(Deb::new("more", "1")).dated(RELEASE_DATE + 3_600, 7).build_signed(&key(), &how, Signed::Detached));
    let online = world.load(&archive).unwrap();
    assert_eq!(names(&world.load_offline(&archive).unwrap()), names(&online));
}

#[test]
fn a_release_from_the_future_or_of_another_suite_is_refused() {
    let future = repository().set("Date", Some("Sun, 05 Jan 2020 12:00:00 UTC"));
    let (_, text) = refused(load_tree(future.build(&key())));
    assert!(text.contains("it is from the future"), "{text}");
    let other = repository().set("Suite", Some("unstable")).set("Codename", Some("sid"));
    let (_, text) = refused(load_tree(other.build(&key())));
    assert!(text.contains("it is the Release of sid or unstable, not of stable"), "{text}");
}

#[test]
fn what_the_suite_does_not_offer_is_said() {
    let (_, text) = refused(load_tree(repository().set("Components", Some("contrib")).build(&key())));
    assert!(text.contains("there is no component main, only contrib"), "{text}");
    let (_, text) = refused(load_tree(repository().set("Architectures", Some("arm64")).build(&key())));
    assert!(text.contains("there is nothing for the architecture amd64, only for arm64"), "{text}");
}

#[test]
fn a_key_that_had_expired_is_refused() {
    let key = TestKey::with(KeyOptions { expires_after: Some(3600), ..KeyOptions::default() });
    let server = Server::new(repository().build(&key));
    let archive = ArchiveConfig { trust: Trust::Keys(Keyring::parse("old.gpg", &key.public()).unwrap()), ..archive(&[&server.url()]) };
    let (_, text) = refused(World::new().load(&archive));
    assert!(text.contains("its key expired on 2020-01-01"), "{text}");
}

#[test]
fn a_weak_digest_is_refused() {
    let key = TestKey::with(KeyOptions { kind: pgp::composed::KeyType::Rsa(2048), ..KeyOptions::default() });
    let how = SignOptions { digest: HashAlgorithm::Sha1, created: RELEASE_DATE as u32, ..SignOptions::default() };
    let server = Server::new(repository().build_signed(&key, &how, Signed::Inline));
    let archive = ArchiveConfig { trust: Trust::Keys(Keyring::parse("rsa.gpg", &key.public()).unwrap()), ..archive(&[&server.url()]) };
    let (_, text) = refused(World::new().load(&archive));
    assert!(text.contains("it rests on SHA1, which is too weak"), "{text}");
}

#[test]
fn detached_signatures_are_accepted_and_missing_ones_refused() {
    let how = SignOptions { created: RELEASE_DATE as u32, ..SignOptions::default() };
    let server = Server::new(repository().build_signed(&key(), &how, Signed::Detached));
    let world = World::new();
    let archive = archive(&[&server.url()]);
    assert_eq!(world.load(&archive).unwrap().packages.len(), 2);
    assert_eq!(world.load_offline(&archive).unwrap().packages.len(), 2);

    let (cause, text) = refused(load_tree(repository().build_signed(&key(), &how, Signed::Not)));
    assert!(matches!(cause, Cause::Signature(_)));
    assert!(text.contains("dists/stable/Release") && text.contains("there is no signature"), "{text}");

    let mut tree = repository().build_signed(&key(), &how, Signed::Detached);
    tree.get_mut("dists/stable/Release").unwrap().push(b'\n');
    let (_, text) = refused(load_tree(tree));
    assert!(text.contains("the text does not match the signature"), "{text}");

    // Text without a frame, where the framed one should be.
    let mut tree = repository().build_signed(&key(), &how, Signed::Not);
    let text = tree.remove("dists/stable/Release").unwrap();
    tree.insert(INRELEASE.to_owned(), text);
    let (_, text) = refused(load_tree(tree));
    assert!(text.contains("there is no signature"), "{text}");
}

#[test]
fn without_a_proof_the_release_is_believed_and_all_else_is_proven_by_it() {
    let unverified = |mirrors: &[&str]| ArchiveConfig { trust: Trust::Unverified, ..archive(mirrors) };
    let how = SignOptions { created: RELEASE_DATE as u32, ..SignOptions::default() };
    for (signer, signed) in [(key(), Signed::Not), (TestKey::new(2), Signed::Inline), (TestKey::new(2), Signed::Detached)] {
        let server = Server::new(repository().build_signed(&signer, &how, signed));
        let world = World::new();
        let online = world.load(&unverified(&[&server.url()])).unwrap();
        let offline = world.load_offline(&unverified(&[])).unwrap();
        assert_eq!((names(&online).len(), names(&online), online.releases), (2, names(&offline), offline.releases), "{signed:?}");
        // What was kept without a proof is none.
        assert!(world.load_offline(&archive(&[])).is_err() && world.load(&archive(&[&server.url()])).is_err(), "{signed:?}");
    }
    let mut bare = repository().build_signed(&key(), &how, Signed::Not);
    let release = bare.remove("dists/stable/Release").unwrap();
    bare.insert(INRELEASE.to_owned(), release);
    let server = Server::new(bare);
    assert_eq!(names(&World::new().load(&unverified(&[&server.url()])).unwrap()).len(), 2, "an InRelease without a frame");

    let mut tree = repository().build_signed(&key(), &how, Signed::Not);
    tree.iter_mut().filter(|(path, _)| path.contains("Packages") || path.contains("by-hash")).for_each(|(_, bytes)| bytes[20] ^= 1);
    let server = Server::new(tree);
    let (cause, text) = refused(World::new().load(&unverified(&[&server.url()])));
    assert!(matches!(cause, Cause::Digest { .. }), "{text}");
    let server = Server::new(repository().set("Date", Some("Wed, 01 Jan 2031 12:00:00 UTC")).build_signed(&key(), &how, Signed::Not));
    let (cause, text) = refused(World::new().load(&unverified(&[&server.url()])));
    assert!(matches!(cause, Cause::Release(_)), "{text}");
}

#[test]
fn packages_with_paths_out_of_the_archive_are_left_out() {
    let more = format!(
        "Package: evil\nVersion: 1\nArchitecture: amd64\nFilename: pool/../../../etc/passwd\nSize: 1\nSHA256: {}\n\n",
        image_composer::digest::Sha256::of(b"x")
    );
    let server = Server::new(Repository { more_packages: more, ..repository() }.build(&key()));
    let world = World::new();
    assert_eq!(names(&world.load(&archive(&[&server.url()])).unwrap()), ["hello=1.0:amd64 (test)", "docs=1.0:all (test)"]);
    assert_eq!(world.warnings(), ["evil of test is left out: the file name “pool/../../../etc/passwd” leads out of the archive"]);
}

/// The Release lists a small index, and what comes is far larger once decompressed.
#[test]
fn a_decompression_bomb_is_refused() {
    for compression in [Compression::Xz, Compression::Zstd, Compression::Gzip] {
        let repository = Repository { compressions: vec![compression], ..repository() };
        let mut tree = repository.build(&key());
        let bomb = compression.compress(&vec![b'\n'; 64 << 20]);
        let name = format!("main/binary-amd64/Packages{}", compression.suffix());
        let digest = image_composer::digest::Sha256::of(&bomb);
        // The signer himself vouches for the bomb: only its decompressed length gives it away.
        let release = String::from_utf8(tree[INRELEASE].clone()).unwrap();
        let text: String = release.lines().skip(3).take_while(|line| !line.starts_with("-----BEGIN")).fold(String::new(), |text, line| {
            let line = if line.ends_with(&name) { format!(" {digest} {} {name}", bomb.len()) } else { line.to_owned() };
            text + &line + "\n"
        });
        let how = SignOptions { created: RELEASE_DATE as u32, ..SignOptions::default() };
        tree.insert(INRELEASE.to_owned(), key().sign_cleartext(&text, &how).into_bytes());
        tree.insert(format!("dists/stable/{name}"), bomb);
        let (cause, text) = refused(load_tree(tree));
        assert!(matches!(cause, Cause::TooLong { limit } if limit < 1000), "{compression:?}: {text}");
    }
}

#[test]
fn a_truncated_index_is_refused() {
    let tree = repository().build(&key());
    let server = Server::new(tree.clone());
    for path in tree.keys().filter(|path| path.contains("binary-amd64")) {
        server.fail(path, Fault::Truncate(40));
    }
    let (cause, _) = refused(World::new().load(&archive(&[&server.url()])));
    assert!(matches!(cause, Cause::Digest { found_len: 40, .. }), "{cause:?}");
}

/// A mirror that changes, or one of whose machines is behind: what vouches for the index is asked for again, too.
#[test]
fn an_index_of_another_state_is_asked_for_again() {
    let tree = repository().build(&key());
    let indexes: Vec<&String> = tree.keys().filter(|path| path.contains("binary-amd64")).collect();
    let options = ClientOptions { retries: 4, retry_delay: Duration::from_millis(1), ..ClientOptions::default() };
    let patient = || World { client: Client::new(&options).unwrap(), ..World::new() };
    let asked = |server: &Server| server.asked().iter().filter(|asked| asked.path == INRELEASE).count();
    for fault in [Fault::Status(404), Fault::Truncate(40)] {
        let server = Server::new(tree.clone());
        for path in &indexes {
            server.fail_times(path, fault, 1);
        }
        let world = patient();
        assert_eq!(world.load(&archive(&[&server.url()])).unwrap().packages.len(), 2);
        assert_eq!((asked(&server), world.warnings()), (2, vec![]), "{fault:?}");

        // Not for ever.
        for path in &indexes {
            server.fail(path, fault);
        }
        server.forget();
        patient().load(&archive(&[&server.url()])).unwrap_err();
        assert_eq!(asked(&server), 3, "{fault:?}");
    }
    // What is not there at all is no matter of states.
    let server = Server::new(Tree::new());
    patient().load(&archive(&[&server.url()])).unwrap_err();
    assert_eq!(asked(&server), 1);
}

#[test]
fn an_index_that_is_no_index_is_refused_with_its_line() {
    let broken = Repository { more_packages: "Package: x\nnonsense\n".to_owned(), ..repository() };
    let (_, text) = refused(load_tree(broken.build(&key())));
    assert!(text.contains("it is no index of packages: line ") && text.contains("this is no field"), "{text}");
}

#[test]
fn offline_takes_everything_from_the_store() {
    let server = Server::new(repository().build(&key()));
    let world = World::new();
    let archive = archive(&[&server.url()]);
    let online = world.load(&archive).unwrap();
    server.forget();
    let offline = world.load_offline(&archive).unwrap();
    assert_eq!(names(&offline), names(&online));
    assert_eq!(offline.releases, online.releases);
    assert!(offline.packages[0].archive.mirrors.is_empty());
    assert!(server.asked().is_empty());
}

/// What was current when it was fetched stays good for offline builds: that is what a store is seeded for.
#[test]
fn offline_judges_valid_until_by_the_time_of_fetching() {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let server = Server::new(repository().dated(clock, 7).build(&key()));
    let world = World::new();
    let archives = [archive(&[&server.url()])];
    world.load_with(&archives, LoadOptions { now: clock, ..ONLINE }).unwrap();
    let later = LoadOptions { now: clock + 30 * 86_400, ..ONLINE };
    assert!(world.load_with(&archives, LoadOptions { offline: true, ..later }).is_ok());
    let (cause, _) = refused(world.load_with(&archives, later));
    assert!(matches!(cause, Cause::Release(_)));
}

#[test]
fn offline_lists_everything_that_is_missing() {
    let world = World::new();
    let suite = |name: &str| SuiteConfig { name: name.to_owned(), components: vec!["main".to_owned()] };
    let archives = [archive(&[]), ArchiveConfig { id: "other".to_owned(), suites: vec![suite("one"), suite("two")], ..archive(&[]) }];
    let error = world.load_with(&archives, LoadOptions { offline: true, ..ONLINE }).unwrap_err();
    assert!(error.is_not_available() && error.hint().unwrap().contains("without --offline"));
    let repo::Error::Offline(missing) = error else { panic!("{error:?}") };
    let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["dists/one/InRelease (other)", "dists/two/InRelease (other)", "dists/stable/InRelease (test)"]);
}

#[test]
fn offline_checks_the_store_against_todays_keyring() {
    let server = Server::new(repository().build(&key()));
    let world = World::new();
    world.load(&archive(&[&server.url()])).unwrap();
    let distrusted = ArchiveConfig { trust: Trust::Keys(Keyring::parse("other.gpg", &TestKey::new(2).public()).unwrap()), ..archive(&[]) };
    let (cause, _) = refused(world.load_offline(&distrusted));
    assert!(matches!(cause, Cause::Signature(_)));
}

#[test]
fn nothing_that_failed_is_kept() {
    let mut tree = repository().build(&key());
    tree.retain(|path, _| !path.contains("binary-amd64"));
    let server = Server::new(tree);
    let world = World::new();
    let archive = archive(&[&server.url()]);
    world.load(&archive).unwrap_err();
    assert!(matches!(world.load_offline(&archive), Err(repo::Error::Offline(_))));
    server.replace(repository().build(&key()));
    assert!(world.load(&archive).is_ok(), "the next load goes on from there");
    assert!(world.load_offline(&archive).is_ok());
}

#[test]
fn unchanged_files_are_not_sent_again() {
    let server = Server::new(repository().build(&key()));
    let world = World::new();
    let archive = archive(&[&server.url()]);
    let first = world.load(&archive).unwrap();
    server.forget();
    let second = world.load(&archive).unwrap();
    assert_eq!(names(&second), names(&first));
    let asked: Vec<_> = server.asked().into_iter().map(|asked| (asked.path, asked.status)).collect();
    assert_eq!(asked, [(INRELEASE.to_owned(), 304)]);

    // A new Release with another index: both are sent, and the old ones are replaced.
    server.replace(repository().with(Deb::new("more", "2")).build(&key()));
    assert_eq!(world.load(&archive).unwrap().packages.len(), 3);
    assert_eq!(server.given(INRELEASE), 1);
    assert_eq!(world.load_offline(&archive).unwrap().packages.len(), 3);

    // A new Release with the same index: only the Release is sent.
    server.replace(repository().with(Deb::new("more", "2")).set("Label", Some("New")).build(&key()));
    server.forget();
    assert_eq!(world.load(&archive).unwrap().packages.len(), 3);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn indexes_are_asked_for_by_hash_and_else_by_name() {
    let server = Server::new(repository().build(&key()));
    let by_hash = |server: &Server| server.asked().iter().map(|asked| asked.path.contains("/by-hash/SHA256/")).collect::<Vec<_>>();
    World::new().load(&archive(&[&server.url()])).unwrap();
    assert_eq!(by_hash(&server), [false, true]);

    server.replace(Repository { by_hash: false, ..repository() }.build(&key()));
    server.forget();
    World::new().load(&archive(&[&server.url()])).unwrap();
    assert_eq!(by_hash(&server), [false, true, false]);
    assert_eq!(server.given(&format!("{PACKAGES}.xz")), 1);

    server.replace(repository().set("Acquire-By-Hash", None).build(&key()));
    server.forget();
    World::new().load(&archive(&[&server.url()])).unwrap();
    assert_eq!(by_hash(&server), [false, false]);
}

#[test]
fn another_compression_helps_where_one_is_missing() {
    let mut tree = Repository { compressions: vec![Compression::Zstd, Compression::Gzip], by_hash: false, ..repository() }.build(&key());
    tree.remove(&format!("{PACKAGES}.zst")).unwrap();
    let server = Server::new(tree);
    assert_eq!(World::new().load(&archive(&[&server.url()])).unwrap().packages.len(), 2);
}

#[test]
fn packages_for_all_architectures_may_have_an_index_of_their_own() {
    let repository = repository().set("No-Support-for-Architecture-all", None);
    let universe = load_tree(repository.build(&key())).unwrap();
    assert_eq!(names(&universe), ["hello=1.0:amd64 (test)", "docs=1.0:all (test)"]);
}

#[test]
fn the_next_mirror_helps_where_one_fails() {
    let good = Server::new(repository().build(&key()));
    let mut tampered = repository().build(&key());
    tampered.get_mut(INRELEASE).unwrap()[60] ^= 1;
    let tampered = Server::new(tampered);
    let empty = Server::new(Tree::new());
    let world = World::new();
    let universe = world.load(&archive(&[&empty.url(), &tampered.url(), &good.url()])).unwrap();
    assert_eq!(universe.packages.len(), 2);
    let warnings = world.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains(&empty.url()) && warnings[1].contains(&tampered.url()), "{warnings:?}");

    // If all fail, what someone changed weighs more than what is not there.
    let error = World::new().load(&archive(&[&empty.url(), &tampered.url()])).unwrap_err();
    assert!(error.is_integrity() && !error.is_not_available());
    let error = World::new().load(&archive(&[&empty.url()])).unwrap_err();
    assert!(error.is_not_available() && !error.is_integrity());
}

#[test]
fn a_suite_that_does_not_answer_ends_the_load() {
    let server = Server::new(repository().build(&key()));
    server.fail(INRELEASE, Fault::Status(500));
    let error = World::new().load(&archive(&[&server.url()])).unwrap_err();
    assert!(!error.is_integrity() && !error.is_not_available());
    let (_, text) = refused(Err(error));
    assert!(text.contains("the metadata of stable (test) cannot be used") && text.contains("500"), "{text}");

    let gone = { Server::new(Tree::new()).url() };
    let error = World::new().load(&archive(&[&gone])).unwrap_err();
    assert!(error.hint().unwrap().contains("mirror"), "{error:?}");
    let error = World::new().load(&archive(&[])).unwrap_err();
    assert!(matches!(error, repo::Error::NoMirror { .. }) && error.hint().unwrap().contains("--mirror"));
}

#[test]
fn the_same_package_of_two_suites_is_there_once() {
    let hello = || Deb::new("hello", "1.0");
    let mut tree = Repository::new("stable").with(hello()).build(&key());
    tree.extend(Repository::new("updates").with(hello()).with(Deb::new("hello", "1.1")).build(&key()));
    let server = Server::new(tree);
    let mut both = archive(&[&server.url()]);
    both.suites.push(SuiteConfig { name: "updates".to_owned(), components: vec!["main".to_owned()] });
    let world = World::new();
    let universe = world.load(&both).unwrap();
    assert_eq!(names(&universe), ["hello=1.0:amd64 (test)", "hello=1.1:amd64 (test)"]);
    assert_eq!(universe.releases.iter().map(|release| release.suite.as_str()).collect::<Vec<_>>(), ["stable", "updates"]);
    assert!(world.warnings().is_empty());
}

#[test]
fn names_that_lead_out_of_the_archive_are_refused() {
    for name in ["../../etc", "a//b", "", "/abs", "a b", "main?x", "a/../b"] {
        let suites = vec![SuiteConfig { name: name.to_owned(), components: vec!["main".to_owned()] }];
        let result = World::new().load(&ArchiveConfig { suites, ..archive(&["http://127.0.0.1:9"]) });
        assert!(matches!(result, Err(repo::Error::Name { .. })), "{name}: {result:?}");
    }
}

#[test]
fn a_request_to_stop_ends_the_load() {
    let server = Server::new(repository().build(&key()));
    let (world, cancel) = (World::new(), Cancel::default());
    cancel.cancel();
    let result = repo::load(&[archive(&[&server.url()])], "amd64", &world.client, None, &ONLINE, &world.warnings, &cancel);
    assert!(result.unwrap_err().is_cancelled());
    assert!(server.asked().is_empty());
}

#[test]
fn nothing_is_kept_without_a_cache() {
    let server = Server::new(repository().build(&key()));
    let world = World::new();
    let archives = [archive(&[&server.url()])];
    for _ in 0..2 {
        repo::load(&archives, "amd64", &world.client, None, &ONLINE, &world.warnings, &Cancel::default()).unwrap();
    }
    assert_eq!(server.given(INRELEASE), 2);
    assert!(matches!(world.load_offline(&archives[0]), Err(repo::Error::Offline(_))));
}

/// The list that is made of an index is used in its place: a list with another content shows that, and when it is not.
#[test]
fn an_index_is_read_once() {
    let tree = repository().build(&key());
    let in_release = String::from_utf8(tree[INRELEASE].clone()).unwrap();
    let server = Server::new(tree);
    let (archive, world) = (archive(&[&server.url()]), World::new());
    let loaded = world.load(&archive).unwrap();
    let cache = MetadataCache::new(&world.store);
    let list = format!("{PACKAGES} for amd64");
    let kept = || cache.lookup("test", &list).unwrap().map(|entry| (entry.made_from.unwrap(), cache.read(&entry).unwrap())).unwrap();
    let (made_from, good) = kept();
    let of_another = MadeFrom { sha256: Sha256::of(b"another index"), ..made_from };
    assert!(in_release.lines().any(|line| line.contains(&made_from.sha256.to_string()) && line.ends_with("main/binary-amd64/Packages.xz")));
    // Offline nobody has an address.
    let offline = |world: &World| world.load_offline(&archive).unwrap().packages;
    let bare = Arc::new(Archive { id: "test".to_owned(), mirrors: Vec::new(), pin: 500 });
    let loaded: Vec<PackageRecord> = loaded.packages.into_iter().map(|package| PackageRecord { archive: Arc::clone(&bare), ..package }).collect();
    assert_eq!(offline(&world), loaded);
    server.forget();
    assert_eq!(names(&world.load(&archive).unwrap()), ["hello=1.0:amd64 (test)", "docs=1.0:all (test)"]);
    assert_eq!(server.asked().len(), 1, "whether the InRelease is the current one");
    let only = ArchiveConfig { allow: vec!["doc*".to_owned()], ..archive.clone() };
    assert_eq!(names(&world.load_offline(&only).unwrap()), ["docs=1.0:all (test)"]);

    // Of another index.
    let other = World::new();
    let server = Server::new(Repository::new("stable").with(Deb::new("other", "2")).build(&key()));
    other.load(&ArchiveConfig { mirrors: vec![server.url()], ..archive.clone() }).unwrap();
    let others = MetadataCache::new(&other.store);
    let others = others.read(&others.lookup("test", &list).unwrap().unwrap()).unwrap();
    let put = |bytes: &[u8], made_from: Option<MadeFrom>| {
        cache.insert("test", &list, bytes, &made_from.map(MetadataAttributes::of_made).unwrap_or_default()).unwrap();
    };
    put(&others, Some(made_from));
    assert_eq!(names(&world.load_offline(&archive).unwrap()), ["other=2:amd64 (test)"]);
    for (bytes, from) in [
        (&others[..], None),
        (&others, Some(of_another)),
        (&others, Some(MadeFrom { blob: Digest::of(b"another file"), ..made_from })),
        (b"no list", Some(made_from)),
        (&good[..good.len() - 1], Some(made_from)),
        (&[&good[..7], &[0xff], &good[8..]].concat(), Some(made_from)),
    ] {
        put(bytes, from);
        assert_eq!(offline(&world), loaded);
        assert_eq!(kept(), (made_from, good.clone()), "it is made again");
    }

    // What it was made of must be there, too: it is what another store can be given.
    let lost = World::new();
    let cache = MetadataCache::new(&lost.store);
    cache.insert("test", &list, &good, &MetadataAttributes::of_made(made_from)).unwrap();
    let inrelease = MetadataCache::new(&world.store);
    let inrelease = inrelease.read(&inrelease.lookup("test", INRELEASE).unwrap().unwrap()).unwrap();
    cache.insert("test", INRELEASE, &inrelease, &MetadataAttributes::default()).unwrap();
    let missing = || lost.load_offline(&archive).unwrap_err();
    assert!(matches!(missing(), repo::Error::Offline(missing) if missing[0].path == PACKAGES));
    cache.insert("test", PACKAGES, b"of another day", &MetadataAttributes::default()).unwrap();
    assert!(matches!(missing(), repo::Error::Offline(missing) if missing[0].path == PACKAGES));

    // Older programs have kept it decompressed, or under the name of what came.
    let text = Repository { compressions: vec![Compression::None], ..repository() }.build(&key())[PACKAGES].clone();
    cache.insert("test", PACKAGES, &text, &MetadataAttributes::default()).unwrap();
    assert_eq!(lost.load_offline(&archive).unwrap().packages, loaded);
    assert_eq!(cache.lookup("test", &format!("{PACKAGES} for amd64")).unwrap().unwrap().made_from.unwrap().sha256, Sha256::of(&text));
}

#[test]
fn an_index_of_several_architectures_has_a_list_for_each() {
    let server = Server::new(flat("", &[Deb::new("top", "1.0"), Deb::new("foreign", "1.0").arch("arm64"), Deb::new("any", "1.0").arch("all")]));
    let (world, archive) = (World::new(), [flat_archive(&server.url(), &["./"])]);
    let cache = MetadataCache::new(&world.store);
    for offline in [false, true] {
        let options = LoadOptions { offline, ..ONLINE };
        for (arch, expected) in [("amd64", "top=1.0:amd64 (test)"), ("arm64", "foreign=1.0:arm64 (test)")] {
            let universe = repo::load(&archive, arch, &world.client, Some(&cache), &options, &world.warnings, &Cancel::default()).unwrap();
            assert_eq!(names(&universe), [expected, "any=1.0:all (test)"], "{arch}, offline: {offline}");
            assert!(cache.lookup("test", &format!("Packages for {arch}")).unwrap().is_some_and(|entry| entry.made_from.is_some()));
        }
    }
}

#[test]
fn what_is_left_out_is_told_each_time() {
    let unproven = "\nPackage: old\nVersion: 1\nArchitecture: amd64\nFilename: old.deb\nSize: 1\nMD5sum: 0\n".to_owned();
    let server = Server::new(Repository { more_packages: unproven, ..repository() }.build(&key()));
    let (archive, world) = (archive(&[&server.url()]), World::new());
    for times in 1..=2 {
        assert_eq!(world.load(&archive).unwrap().packages.len(), 2);
        assert_eq!(world.warnings(), vec!["1 packages of test carry no SHA-256 digest and are left out (old is the first)"; times]);
    }
}
