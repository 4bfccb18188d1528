//! Loading RPM repositories: which lists are believed, and from whom.

use std::time::Duration;

use image_composer::cache::MetadataCache;
use image_composer::digest::Sha256;
use image_composer::distro::Packaging;
use image_composer::fetch::{Client, ClientOptions};
use image_composer::progress::{Cancel, Event, Progress};
use image_composer::repo::{self, ArchiveConfig, Cause, Keyring, LoadOptions, MirrorList, MirrorListKind, SuiteConfig, Trust, Universe};
use image_composer::store::Store;

use crate::support::keys::{SignOptions, TestKey};
use crate::support::repository::NOW;
use crate::support::server::{Fault, Server};
use crate::support::{Compression, Tree, write_tree};

const REPOMD: &str = "repodata/repomd.xml";
const SIGNATURE: &str = "repodata/repomd.xml.asc";

struct Silent;

impl Progress for Silent {
    fn report(&self, _: Event<'_>) {}
}

/// A repository of one package, signed by `key` if there is one.
fn repository(key: Option<&TestKey>) -> Tree {
    repository_of(5, key)
}

/// The same, made `time` seconds after the epoch.
fn repository_of(time: u64, key: Option<&TestKey>) -> Tree {
    let package = format!(
        "<package type=\"rpm\"><name>hello</name><arch>x86_64</arch><version epoch=\"0\" ver=\"1\" rel=\"1\"/><checksum type=\"sha256\">{}</checksum>\
         <size package=\"10\" installed=\"20\"/><location href=\"hello.rpm\"/><format/></package>",
        Sha256::of(b"hello")
    );
    let primary = Compression::Gzip.compress(format!("<metadata>{package}</metadata>").as_bytes());
    let repomd = format!(
        "<repomd><data type=\"primary\"><checksum type=\"sha256\">{}</checksum><location href=\"repodata/primary.xml.gz\"/>\
         <timestamp>{time}</timestamp><size>{}</size></data></repomd>",
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
        list: None,
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
    let metadata = MetadataCache::new(&store);
    let list = metadata.lookup(&archive.id, "repodata/primary.xml.gz for x86_64").unwrap().expect("the list of the packages is kept");
    let primary = metadata.lookup(&archive.id, "repodata/primary.xml.gz").unwrap().unwrap();
    assert_eq!(list.made_from.unwrap().blob, primary.digest);

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
fn the_kept_list_is_used_where_the_mirror_has_an_older_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let key = TestKey::new(1);
    let server = Server::new(repository_of(6, Some(&key)));
    let archive = archive(&server.url(), Trust::Keys(keyring()));
    let kept = load(&store, &archive, false).unwrap();
    server.replace(repository_of(5, Some(&key)));
    let again = load(&store, &archive, false).unwrap();
    assert_eq!((again.releases, again.packages), (kept.releases, kept.packages));
    // What only an older list's key has signed is nobody's.
    let stranger = ArchiveConfig { trust: Trust::Keys(Keyring::parse("test.gpg", &TestKey::new(2).public()).unwrap()), ..archive };
    assert!(matches!(cause(load(&store, &stranger, false)), Cause::Signature(_)));
}

#[test]
fn a_list_of_another_state_is_asked_for_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let tree = repository(None);
    let list = tree.keys().find(|path| path.contains("primary")).unwrap().clone();
    let server = Server::new(tree);
    server.fail_times(&list, Fault::Status(404), 1);
    let client = Client::new(&ClientOptions { retry_delay: Duration::from_millis(1), ..ClientOptions::default() }).unwrap();
    let options = LoadOptions { offline: false, now: NOW, check_age: true };
    let archives = [archive(&server.url(), Trust::Unverified)];
    let universe = repo::load(&archives, "x86_64", &client, Some(&MetadataCache::new(&store)), &options, &Silent, &Cancel::default()).unwrap();
    assert!(!universe.packages.is_empty());
    assert_eq!(server.asked().iter().filter(|asked| asked.path == REPOMD).count(), 2);
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

fn metalink(repomd: &[&[u8]], mirrors: &[String]) -> String {
    let hashes = repomd.iter().map(|bytes| format!("<verification><hash type=\"sha256\">{}</hash></verification>", Sha256::of(bytes)));
    let urls = mirrors.iter().map(|url| format!("<url protocol=\"http\">{url}/{REPOMD}</url>"));
    let [hashes, urls] = [hashes.collect::<Vec<_>>().concat(), urls.collect::<Vec<_>>().concat()];
    format!("<metalink version=\"3.0\"><files><file name=\"repomd.xml\">{hashes}<resources>{urls}</resources></file></files></metalink>")
}

#[test]
fn a_metalink_proves_what_its_mirrors_have() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let mut old = repository(None);
    old.insert(REPOMD.to_owned(), [&old[REPOMD], &b"\n"[..]].concat());
    let (good, stale) = (Server::new(repository(None)), Server::new(old.clone()));
    let path = directory.path().join("metalink");
    let list = MirrorList { url: format!("file://{}", path.display()), kind: MirrorListKind::Metalink };
    let trust = Trust::Packages(keyring());
    let asked = ArchiveConfig { mirrors: Vec::new(), list: Some(list.clone()), ..archive("", trust.clone()) };

    // Neither signature nor https: the metalink, which proves itself here, says what is right; a mirror that is behind is passed over.
    std::fs::write(&path, metalink(&[&repository(None)[REPOMD]], &[stale.url(), good.url()])).unwrap();
    let universe = load(&store, &asked, false).unwrap();
    assert_eq!(universe.packages[0].archive.mirrors, [stale.url(), good.url()]);
    assert_eq!(load(&store, &asked, true).unwrap().packages.len(), 1);
    std::fs::write(&path, metalink(&[&repository(None)[REPOMD], &old[REPOMD]], &[stale.url()])).unwrap();
    assert_eq!(load(&store, &asked, false).unwrap().packages.len(), 1, "an older one that the metalink knows");
    std::fs::write(&path, metalink(&[b"other"], &[good.url()])).unwrap();
    let unknown = load(&store, &asked, false).unwrap_err();
    assert!(unknown.is_integrity(), "{unknown}");
    assert!(matches!(cause(Err(unknown)), Cause::Unknown));

    // From an address that does not prove itself the metalink proves nothing.
    let text = metalink(&[&repository(None)[REPOMD]], &[good.url()]);
    let server = Server::new(Tree::from([("list".to_owned(), text.into_bytes())]));
    let far = MirrorList { url: format!("{}/list", server.url()), ..list.clone() };
    assert!(matches!(cause(load(&store, &ArchiveConfig { list: Some(far.clone()), ..asked.clone() }, false)), Cause::Unproven));

    // A plain list proves nothing, wherever it comes from.
    std::fs::write(&path, format!("# mirrors\n{}\n", good.url())).unwrap();
    let plain = MirrorList { kind: MirrorListKind::Mirrorlist, ..list };
    assert!(matches!(cause(load(&store, &ArchiveConfig { list: Some(plain.clone()), ..asked.clone() }, false)), Cause::Unproven));
    good.replace(repository(Some(&TestKey::new(1))));
    assert_eq!(load(&store, &ArchiveConfig { list: Some(plain), ..asked.clone() }, false).unwrap().packages.len(), 1);
    let error = load(&store, &asked, false).unwrap_err();
    assert!(error.hint().unwrap().contains("different formats"), "{error}");
    assert!(matches!(cause(Err(error)), Cause::Mirrors(_)));
}

#[test]
fn files_that_the_list_of_packages_does_not_name_are_looked_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let mut tree = repository(None);
    let files = format!(
        "<filelists><package pkgid=\"{}\" name=\"hello\" arch=\"x86_64\"><file>/usr/share/hello</file></package></filelists>",
        Sha256::of(b"hello")
    );
    let files = Compression::Zstd.compress(files.as_bytes());
    let data = format!(
        "<data type=\"filelists\"><checksum type=\"sha256\">{}</checksum><location href=\"repodata/all.xml.zst\"/></data></repomd>",
        Sha256::of(&files)
    );
    let repomd = String::from_utf8(tree[REPOMD].clone()).unwrap().replace("</repomd>", &data);
    tree.insert(REPOMD.to_owned(), repomd.into_bytes());
    tree.insert("repodata/all.xml.zst".to_owned(), b"another".to_vec());
    let server = Server::new(tree.clone());
    let archive = archive(&server.url(), Trust::Unverified);
    let client = Client::new(&ClientOptions { retries: 0, ..ClientOptions::default() }).unwrap();
    let metadata = MetadataCache::new(&store);
    let look_up = |universe: &mut Universe, offline| {
        let options = LoadOptions { offline, now: NOW, check_age: true };
        let wanted = ["/usr/share/hello", "/usr/share/none"].map(str::to_owned).into();
        universe.look_up(&wanted, &client, Some(&metadata), &options, &Silent, &Cancel::default())
    };

    let mut universe = load(&store, &archive, false).unwrap();
    assert!(!server.asked().iter().any(|asked| asked.path.contains("all.xml")), "nobody needs it");
    assert!(matches!(look_up(&mut universe, false), Err(repo::Error::Suite { cause, .. }) if matches!(cause.cause, Cause::Digest { .. })));
    let mut offline = load(&store, &archive, true).unwrap();
    let missing = look_up(&mut offline, true).unwrap_err();
    assert!(missing.to_string().contains("repodata/filelists.xml.zst (test)"), "{missing}");

    tree.insert("repodata/all.xml.zst".to_owned(), files);
    server.replace(tree);
    look_up(&mut universe, false).unwrap();
    look_up(&mut offline, true).unwrap();
    for universe in [universe, offline] {
        let provides: Vec<&str> = universe.packages[0].provides.iter().map(|provide| provide.name.as_str()).collect();
        assert_eq!(provides, ["/usr/share/hello"]);
    }
}
