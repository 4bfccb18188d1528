//! Loading RPM repositories: which lists are believed, and from whom.

use image_composer::cache::MetadataCache;
use image_composer::digest::Sha256;
use image_composer::distro::Packaging;
use image_composer::fetch::{Client, ClientOptions};
use image_composer::progress::{Cancel, Event, Progress};
use image_composer::repo::{self, ArchiveConfig, Cause, Keyring, LoadOptions, SuiteConfig, Trust, Universe};
use image_composer::store::Store;

use crate::support::keys::{SignOptions, TestKey};
use crate::support::repository::NOW;
use crate::support::server::Server;
use crate::support::{Compression, Tree, write_tree};

const REPOMD: &str = "repodata/repomd.xml";
const SIGNATURE: &str = "repodata/repomd.xml.asc";

struct Silent;

impl Progress for Silent {
    fn report(&self, _: Event<'_>) {}
}

/// A repository of one package, signed by `key` if there is one.
fn repository(key: Option<&TestKey>) -> Tree {
    let package = format!(
        "<package type=\"rpm\"><name>hello</name><arch>x86_64</arch><version epoch=\"0\" ver=\"1\" rel=\"1\"/><checksum type=\"sha256\">{}</checksum>\
         <size package=\"10\" installed=\"20\"/><location href=\"hello.rpm\"/><format/></package>",
        Sha256::of(b"hello")
    );
    let primary = Compression::Gzip.compress(format!("<metadata>{package}</metadata>").as_bytes());
    let repomd = format!(
        "<repomd><data type=\"primary\"><checksum type=\"sha256\">{}</checksum><location href=\"repodata/primary.xml.gz\"/>\
         <timestamp>5</timestamp><size>{}</size></data></repomd>",
        Sha256::of(&primary),
        primary.len()
    );
    let mut tree = Tree::from([("repodata/primary.xml.gz".to_owned(), primary)]);
    if let Some(key) = key {
        tree.insert(SIGNATURE.to_owned(), key.sign_detached(repomd.as_bytes(), &SignOptions::default()).into_bytes());
    }
    tree.insert(REPOMD.to_owned(), repomd.into_bytes());
    tree
}

fn archive(mirror: &str, trust: Trust) -> ArchiveConfig {
    ArchiveConfig {
        id: "test".to_owned(),
        packaging: Packaging::Rpm,
        mirrors: vec![mirror.to_owned()],
        suites: vec![SuiteConfig { name: "./".to_owned(), components: Vec::new() }],
        allow: Vec::new(),
        exclude: Vec::new(),
        trust,
        pin: 500,
    }
}

fn keyring() -> Keyring {
    Keyring::parse("test.gpg", &TestKey::new(1).public()).unwrap()
}

fn load(store: &Store, archive: &ArchiveConfig, offline: bool) -> Result<Universe, repo::Error> {
    let client = Client::new(&ClientOptions { retries: 0, ..ClientOptions::default() }).unwrap();
    let options = LoadOptions { offline, now: NOW, check_age: true };
    repo::load(std::slice::from_ref(archive), "x86_64", &client, Some(&MetadataCache::new(store)), &options, &Silent, &Cancel::default())
}

fn cause(result: Result<Universe, repo::Error>) -> Cause {
    match result {
        Err(repo::Error::Suite { cause, .. }) => cause.cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unsigned_list_is_believed_from_an_address_that_proves_itself_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let files = directory.path().join("repository");
    write_tree(&repository(None), &files);
    let local = format!("file://{}", files.display());
    let server = Server::new(repository(None));

    assert!(matches!(cause(load(&store, &archive(&local, Trust::Keys(keyring())), false)), Cause::Signature(_)));
    assert!(matches!(cause(load(&store, &archive(&server.url(), Trust::Packages(keyring())), false)), Cause::Unproven));
    let local = archive(&local, Trust::Packages(keyring()));
    for offline in [false, true] {
        let universe = load(&store, &local, offline).unwrap();
        assert_eq!(universe.packages[0].coordinates.to_string(), "hello=1-1:x86_64 (test)");
    }
}

#[test]
fn what_has_not_changed_does_not_come_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let key = TestKey::new(1);
    let server = Server::new(repository(Some(&key)));
    let archive = archive(&server.url(), Trust::Keys(keyring()));
    let asked = |from: usize| server.asked()[from..].iter().map(|asked| (asked.path.clone(), asked.status)).collect::<Vec<_>>();

    let first = load(&store, &archive, false).unwrap();
    let count = server.asked().len();
    let again = load(&store, &archive, false).unwrap();
    assert_eq!(asked(count), [(REPOMD.to_owned(), 304), (SIGNATURE.to_owned(), 304)]);
    assert_eq!((again.packages, &again.releases), (first.packages, &first.releases));

    // A signature alone is checked against the text that was kept.
    let mut other = repository(Some(&key));
    other.insert(SIGNATURE.to_owned(), key.sign_detached(b"other", &SignOptions::default()).into_bytes());
    server.replace(other);
    assert!(matches!(cause(load(&store, &archive, false)), Cause::Signature(_)));
}

#[test]
fn the_next_mirror_is_asked_where_one_has_something_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let key = TestKey::new(1);
    let (good, mut bad) = (repository(Some(&key)), repository(Some(&key)));
    bad.insert("repodata/primary.xml.gz".to_owned(), b"something else".to_vec());
    let (bad, good) = (Server::new(bad), Server::new(good));
    let first = archive(&bad.url(), Trust::Keys(keyring()));
    let cause = cause(load(&store, &first, false));
    assert!(matches!(cause, Cause::TooLong { .. } | Cause::Digest { .. }), "{cause}");
    let both = ArchiveConfig { mirrors: vec![bad.url(), good.url()], ..first };
    assert_eq!(load(&store, &both, false).unwrap().packages.len(), 1);
}

#[test]
fn a_repository_with_modules_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let mut tree = repository(None);
    let text = String::from_utf8(tree[REPOMD].clone()).unwrap();
    tree.insert(REPOMD.to_owned(), text.replace("</repomd>", "<data type=\"modules\"><location href=\"m.gz\"/></data></repomd>").into_bytes());
    let server = Server::new(tree);
    let error = load(&store, &archive(&server.url(), Trust::Unverified), false).unwrap_err();
    assert!(!error.is_integrity() && error.hint().unwrap().contains("modules"));
    assert!(matches!(cause(Err(error)), Cause::Modules));
}

#[test]
fn a_signature_that_is_there_must_be_good() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let server = Server::new(repository(Some(&TestKey::new(1))));
    for trust in [Trust::Keys(keyring()), Trust::Packages(keyring())] {
        load(&store, &archive(&server.url(), trust), false).unwrap();
    }
    server.replace(repository(Some(&TestKey::new(2))));
    for trust in [Trust::Keys(keyring()), Trust::Packages(keyring())] {
        assert!(matches!(cause(load(&store, &archive(&server.url(), trust), false)), Cause::Signature(_)));
    }
}
