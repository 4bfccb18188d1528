use std::io::Write as _;
use std::time::Instant;

use super::super::server::Server;
use super::*;

fn options() -> ClientOptions {
    ClientOptions { idle_timeout: Duration::from_millis(200), retries: 2, retry_delay: Duration::from_millis(1), ..ClientOptions::default() }
}

fn get(url: &str, limit: u64) -> Result<Response, Error> {
    Client::new(&options()).unwrap().get(url, limit, None, &Cancel::default())
}

fn bytes(response: Response) -> Vec<u8> {
    match response {
        Response::Body { bytes, .. } => bytes,
        Response::NotModified => panic!("not modified"),
    }
}

#[test]
fn reads_a_file_and_asks_whether_it_changed() {
    let server = Server::new(|asked, answer| {
        if asked.headers.get("if-none-match").map(String::as_str) == Some("\"v1\"") {
            assert_eq!(asked.headers["if-modified-since"], "Sat, 01 Nov 2025 00:00:00 GMT");
            answer.head("304 Not Modified", &[], 0);
        } else {
            answer.send("200 OK", &[("ETag", "\"v1\""), ("Last-Modified", "Sat, 01 Nov 2025 00:00:00 GMT")], b"text");
        }
    });
    let client = Client::new(&options()).unwrap();
    let Response::Body { bytes, validators } = client.get(&server.url("/f"), 4, None, &Cancel::default()).unwrap() else { panic!() };
    assert_eq!(bytes, b"text");
    assert_eq!(client.get(&server.url("/f"), 4, Some(&validators), &Cancel::default()).unwrap(), Response::NotModified);
}

#[test]
fn an_unasked_not_modified_is_an_error() {
    let server = Server::new(|_, answer| answer.head("304 Not Modified", &[], 0));
    assert_eq!(get(&server.url("/"), 1).unwrap_err().status(), Some(304));
}

#[test]
fn refuses_a_body_over_the_limit_whether_it_is_announced_or_not() {
    let announced = Server::new(|_, answer| answer.head("200 OK", &[], 1 << 40));
    assert!(matches!(get(&announced.url("/"), 9), Err(Error::TooLarge { limit: 9, .. })));
    let endless = Server::new(|_, answer| {
        answer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789");
        answer.stall();
    });
    assert!(matches!(get(&endless.url("/"), 9), Err(Error::TooLarge { limit: 9, .. })));
}

#[test]
fn tries_again_what_may_pass() {
    let server = Server::new(|asked, answer| match asked.number {
        0 => answer.send("503 Service Unavailable", &[("Retry-After", "0")], b""),
        1 => {
            answer.head("200 OK", &[], 4);
            answer.write(b"te");
        }
        _ => answer.send("200 OK", &[], b"text"),
    });
    assert_eq!(bytes(get(&server.url("/"), 4).unwrap()), b"text");
    assert_eq!(server.asked(), 3);
}

#[test]
fn says_what_the_server_refuses_at_once() {
    let server = Server::new(|asked, answer| {
        answer.send(if asked.path == "/absent" { "404 Not Found" } else { "403 Forbidden" }, &[], b"");
    });
    let error = get(&server.url("/absent"), 1).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(error.to_string(), format!("{}: the server answered 404 (Not Found)", server.url("/absent")));
    assert_eq!(get(&server.url("/closed"), 1).unwrap_err().status(), Some(403));
    assert_eq!(server.asked(), 2);
}

#[test]
fn does_not_wait_for_a_silent_server_for_ever() {
    let silent = Server::new(|_, answer| answer.stall());
    let halted = Server::new(|_, answer| {
        answer.head("200 OK", &[], 4);
        answer.write(b"te");
        answer.stall();
    });
    for server in [silent, halted] {
        let client = Client::new(&ClientOptions { retries: 0, connect_timeout: Duration::from_millis(200), ..options() }).unwrap();
        let error = client.get(&server.url("/"), 4, None, &Cancel::default()).unwrap_err();
        assert!(matches!(error, Error::Idle { .. }), "{error:?}");
    }
}

#[test]
fn a_file_that_comes_too_slowly_is_given_up_and_asked_for_again() {
    let server = Server::new(|_, answer| answer.send("200 OK", &[], &vec![7; 1 << 20]));
    // More than any server brings.
    let client = Client::new(&ClientOptions { least_rate: u64::MAX, rate_window: Duration::ZERO, ..options() }).unwrap();
    let error = client.get(&server.url("/"), 1 << 20, None, &Cancel::default()).unwrap_err();
    assert!(matches!(error, Error::Slow { .. }) && error.is_transient(), "{error:?}");
    assert!(error.to_string().ends_with(" bytes a second came for 0 s, so it was left for another try or the next mirror"), "{error}");
    assert_eq!((error.url(), server.asked()), (Some(server.url("/").as_str()), 3));
}

#[test]
fn stops_within_a_second_of_being_asked() {
    let cancel = Cancel::default();
    let stop = cancel.clone();
    let server = Server::new(move |_, answer| {
        stop.cancel();
        answer.stall();
    });
    let started = Instant::now();
    let error = Client::new(&ClientOptions::default()).unwrap().get(&server.url("/"), 4, None, &cancel).unwrap_err();
    assert!(error.is_cancelled());
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn a_refused_connection_says_where_and_what_to_do() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = get(&format!("http://user:secret@{address}/f"), 1).unwrap_err();
    assert_eq!(error.to_string(), format!("http://{address}/f: cannot connect"));
    assert!(error.hint().unwrap().contains("--offline"));
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[test]
fn reads_files_of_the_host() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a file"), "text").unwrap();
    let url = |name: &str| Url::from_file_path(dir.path().join(name)).unwrap().to_string();
    assert_eq!(bytes(get(&url("a file"), 4).unwrap()), b"text");
    assert!(matches!(get(&url("a file"), 3), Err(Error::TooLarge { .. })));
    assert!(get(&url("absent"), 3).unwrap_err().is_not_found());
    let error = get(&format!("file://{}", dir.path().display()), 3).unwrap_err();
    assert!(matches!(error, Error::File { .. }) && !error.is_not_found(), "{error:?}");
}

#[test]
fn refuses_addresses_that_it_cannot_read() {
    for url in ["ftp://host/f", "data:,x", "f", "", "http://", "file://host/f"] {
        assert!(matches!(get(url, 1), Err(Error::Address { .. })), "{url}");
    }
}

#[test]
fn a_server_that_speaks_no_tls_is_asked_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // Until the client has had enough.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        drop(listener);
    });
    let error = get(&url, 4).unwrap_err();
    server.join().unwrap();
    assert!(matches!(error, Error::Request { trouble: Trouble::Tls | Trouble::NoRoots, .. }), "{error:?}");
    assert!(!error.is_transient());
}

#[test]
fn an_answer_that_is_none_is_asked_for_again() {
    let server =
        Server::new(|asked, answer| if asked.number == 0 { answer.write(b"SSH-2.0-x\r\n\r\n") } else { answer.send("200 OK", &[], b"text") });
    assert_eq!(bytes(get(&server.url("/"), 4).unwrap()), b"text");
}

#[test]
fn a_host_may_have_a_proxy_of_its_own() {
    let (general, own) =
        (Server::new(|_, answer| answer.send("200 OK", &[], b"general")), Server::new(|_, answer| answer.send("200 OK", &[], b"own")));
    let proxies = Proxies { hosts: [("special.test".to_owned(), Some(own.url("")))].into(), ..Proxies::all(&general.url("")) };
    let client = Client::new(&ClientOptions { proxies: Some(proxies), ..options() }).unwrap();
    let get = |url| bytes(client.get(url, 9, None, &Cancel::default()).unwrap());
    assert_eq!(get("http://any.test/x"), b"general");
    assert_eq!(get("http://special.test/x"), b"own");
}

#[test]
fn credentials_go_to_their_server_and_not_beyond_a_redirect() {
    let other = Server::new(|asked, answer| {
        assert!(!asked.headers.contains_key("authorization"), "sent to another server");
        answer.send("200 OK", &[], b"other");
    });
    let beyond = other.url("/f");
    let server = Server::new(move |asked, answer| match asked.headers.get("authorization").map(String::as_str) {
        // “name:secret” in base64.
        Some("Basic bmFtZTpzZWNyZXQ=") if asked.path == "/away" => answer.send("302 Found", &[("Location", &beyond)], b""),
        Some("Basic bmFtZTpzZWNyZXQ=") => answer.send("200 OK", &[], b"text"),
        _ => answer.send("401 Unauthorized", &[], b""),
    });
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join(".netrc"), format!("machine {} login name password secret\n", server.url(""))).unwrap();
    let credentials = Credentials::of_host(root.path(), Some(root.path())).unwrap();
    let client = Client::new(&ClientOptions { credentials, ..options() }).unwrap();
    let get = |path: &str| bytes(client.get(&server.url(path), 9, None, &Cancel::default()).unwrap());
    assert_eq!((get("/f"), get("/away")), (b"text".to_vec(), b"other".to_vec()));
    let error = Client::new(&options()).unwrap().get(&server.url("/f"), 9, None, &Cancel::default()).unwrap_err();
    assert_eq!(error.status(), Some(401));
}

#[test]
fn no_redirect_leads_away_from_a_server_that_has_proven_itself() {
    let url = |text: &str| Url::parse(text).unwrap();
    assert!(loses_proof(&url("https://a.test/"), &url("http://a.test/")));
    for (from, to) in [("https://a.test/", "https://b.test/"), ("http://a.test/", "https://a.test/"), ("http://a.test/", "http://b.test/")] {
        assert!(!loses_proof(&url(from), &url(to)));
    }
}

#[test]
fn a_circle_of_redirects_ends() {
    let server = Server::new(|_, answer| answer.send("302 Found", &[("Location", "/f")], b""));
    let error = Client::new(&options()).unwrap().get(&server.url("/f"), 9, None, &Cancel::default()).unwrap_err();
    let Error::Request { source, .. } = error else { panic!("{error}") };
    assert!(source.is_redirect(), "{source}");
}
