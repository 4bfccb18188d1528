use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::super::server::{Server, fixture};
use super::super::{Client, ClientOptions, Response, Trouble};
use super::*;
use crate::progress::Cancel;

/// The fixtures, with keys that only their owner may read.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["ca.pem", "client.pem", "client.key", "other.key"] {
        copy(&fs::read(fixture(name)).unwrap(), &dir.path().join(name));
    }
    dir
}

fn copy(bytes: &[u8], path: &Path) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What shows a certificate to `localhost`.
fn tls(dir: &Path, cert: &str, key: &str) -> Tls {
    let certificate = ClientCertificate { host: "localhost".to_owned(), cert: dir.join(cert), key: dir.join(key) };
    Tls { ca_file: Some(dir.join("ca.pem")), certificates: vec![certificate] }
}

fn get(url: &str, tls: Tls) -> Result<Vec<u8>, Error> {
    let client = Client::new(&ClientOptions { tls, retries: 0, ..ClientOptions::default() }).unwrap();
    client.get(url, 99, None, &Cancel::default()).map(|response| match response {
        Response::Body { bytes, .. } => bytes,
        Response::NotModified => panic!("not modified"),
    })
}

/// A server that says whether it was shown a certificate.
fn server() -> Server {
    Server::tls(|asked, answer| answer.send("200 OK", &[], if asked.certified { b"known" } else { b"unknown" }))
}

#[test]
fn a_certificate_goes_to_its_host_alone() {
    let (dir, server) = (files(), server());
    for (cert, key) in [("client.pem", "client.key"), ("both.pem", "both.pem")] {
        let both = [fs::read(fixture("client.key")).unwrap(), fs::read(fixture("client.pem")).unwrap()].concat();
        copy(&both, &dir.path().join("both.pem"));
        assert_eq!(get(&server.url_by_name("/"), tls(dir.path(), cert, key)).unwrap(), b"known");
        assert_eq!(get(&server.url("/"), tls(dir.path(), cert, key)).unwrap(), b"unknown");
    }
}

#[test]
fn a_redirect_takes_no_certificate_to_another_host_and_finds_that_of_its_own() {
    let (dir, known) = (files(), server());
    let (by_address, by_name) = (known.url("/"), known.url_by_name("/"));
    let first = Server::tls(move |asked, answer| {
        let target = if asked.path == "/to-address" { &by_address } else { &by_name };
        answer.send("302 Found", &[("Location", target)], b"");
    });
    let tls = || tls(dir.path(), "client.pem", "client.key");
    assert_eq!(get(&first.url_by_name("/to-address"), tls()).unwrap(), b"unknown");
    assert_eq!(get(&first.url("/to-name"), tls()).unwrap(), b"known");
    assert_eq!(get(&first.url_by_name("/to-name"), tls()).unwrap(), b"known");
}

#[test]
fn redirects_between_certificates_end_too() {
    let dir = files();
    let server = Server::tls(|asked, answer| {
        let host = asked.headers["host"].replace("localhost", "127.0.0.2").replace("127.0.0.1", "localhost").replace("127.0.0.2", "127.0.0.1");
        answer.send("302 Found", &[("Location", &format!("https://{host}/"))], b"");
    });
    assert_eq!(get(&server.url("/"), tls(dir.path(), "client.pem", "client.key")).unwrap_err().status(), Some(302));
}

#[test]
fn a_server_of_an_unknown_authority_is_not_believed() {
    let server = server();
    let error = get(&server.url("/"), Tls::default()).unwrap_err();
    assert!(matches!(error, Error::Request { trouble: Trouble::Tls | Trouble::NoRoots, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("tls.ca_file"), "{:?}", error.hint());
    assert_eq!(server.asked(), 0);
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_way_out() {
    let (dir, server) = (files(), server());
    let path = |name: &str| dir.path().join(name);
    fs::copy(fixture("client.key"), path("open.key")).unwrap();
    fs::set_permissions(path("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
    copy(b"\x30\x82\x01", &path("binary.der"));
    copy(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", &path("encrypted.key"));
    copy(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &path("hollow.pem"));
    copy(b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n", &path("broken.pem"));
    copy(&vec![b'-'; FILE_LIMIT as usize + 1], &path("endless.pem"));
    let mut told = Vec::new();
    let mut tell = |tls: Tls| {
        let error = get(&server.url_by_name("/"), tls).unwrap_err();
        assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
        let first = std::error::Error::source(&error).and_then(std::error::Error::source);
        let causes = std::iter::successors(first, |cause| cause.source()).map(|cause| format!(": {cause}"));
        let text = error.to_string() + &causes.collect::<String>();
        told.push(format!("{text}\n  {}", error.hint().unwrap()).replace(&format!("{}/", dir.path().display()), ""));
        assert!(!format!("{error:?}").contains("MIGHAgEA"), "a key is shown");
    };
    for (cert, key) in [
        ("absent.pem", "client.key"),
        ("client.pem", "absent.key"),
        (".", "client.key"),
        ("endless.pem", "client.key"),
        ("binary.der", "client.key"),
        ("client.pem", "binary.der"),
        ("client.pem", "client.pem"),
        ("client.pem", "encrypted.key"),
        ("client.pem", "open.key"),
        ("client.pem", "other.key"),
        ("broken.pem", "client.key"),
        ("hollow.pem", "client.key"),
    ] {
        tell(tls(dir.path(), cert, key));
    }
    for ca in ["absent.pem", "client.key", "broken.pem", "hollow.pem"] {
        tell(Tls { ca_file: Some(path(ca)), certificates: Vec::new() });
    }
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(server.asked(), 0);
}
