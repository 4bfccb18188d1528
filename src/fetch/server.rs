//! A tiny HTTP or HTTPS server on loopback for this room's tests: one request a connection, answered by a closure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// What was asked for.
pub(super) struct Asked {
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    /// How many requests came before this one.
    pub(super) number: usize,
    /// Whether the client has shown a certificate; the server of [`Server::tls`] asks for it.
    pub(super) certified: bool,
}

impl Asked {
    /// Where a `Range: bytes=N-` header wants to begin.
    pub(super) fn from(&self) -> Option<usize> {
        self.headers.get("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// The connection to answer on.
pub(super) struct Answer(Box<dyn Connection>);

trait Connection: Read + Write {}

impl<T: Read + Write> Connection for T {}

impl Answer {
    /// Sends a whole answer with its length.
    pub(super) fn send(&mut self, status: &str, headers: &[(&str, &str)], body: &[u8]) {
        self.head(status, headers, body.len());
        self.write(body);
    }

    /// Sends a head that promises `length` bytes.
    pub(super) fn head(&mut self, status: &str, headers: &[(&str, &str)], length: usize) {
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n");
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        self.write(format!("{head}\r\n").as_bytes());
    }

    /// Sends bytes; that the client went away is its own affair.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).and_then(|()| self.0.flush());
    }

    /// Says nothing more until the client goes away.
    pub(super) fn stall(&mut self) {
        let _ = self.0.read(&mut [0]);
    }
}

/// A running server; it stops taking connections when it is dropped.
pub(super) struct Server {
    scheme: &'static str,
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub(super) fn new(handle: impl Fn(&Asked, &mut Answer) + Send + Sync + 'static) -> Self {
        Self::run("http", |stream| Some((Box::new(stream), false)), handle)
    }

    /// A server that proves itself with the certificate in `fixtures/tls`, and asks for the client's.
    pub(super) fn tls(handle: impl Fn(&Asked, &mut Answer) + Send + Sync + 'static) -> Self {
        let config = Arc::new(tls());
        let accept = move |mut stream| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            // A client that does not believe the server goes away.
            connection.complete_io(&mut stream).ok()?;
            let certified = connection.peer_certificates().is_some();
            Some((Box::new(StreamOwned::new(connection, stream)) as Box<dyn Connection>, certified))
        };
        Self::run("https", accept, handle)
    }

    fn run(
        scheme: &'static str,
        accept: impl Fn(TcpStream) -> Option<(Box<dyn Connection>, bool)> + Send + Sync + 'static,
        handle: impl Fn(&Asked, &mut Answer) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { scheme, address: listener.local_addr().unwrap(), asked: Arc::default(), stopped: Arc::default() };
        let (asked, stopped, talk) = (Arc::clone(&server.asked), Arc::clone(&server.stopped), Arc::new((accept, handle)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (stream, asked, talk) = (stream.unwrap(), Arc::clone(&asked), Arc::clone(&talk));
                std::thread::spawn(move || {
                    let Some((mut connection, certified)) = (talk.0)(stream) else { return };
                    if let Some(request) = read(&mut connection, certified, &asked) {
                        (talk.1)(&request, &mut Answer(connection));
                    }
                });
            }
        });
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The same, by the name of the host.
    pub(super) fn url_by_name(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// How many requests came.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// A file of `fixtures/tls`.
pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)
}

fn tls() -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).allow_unauthenticated().build().unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_file(fixture("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    config.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap()
}

fn read(connection: &mut impl Read, certified: bool, asked: &AtomicUsize) -> Option<Asked> {
    let mut lines = BufReader::new(connection).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.ok()?;
        match line.split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    Some(Asked { path, headers, number: asked.fetch_add(1, Ordering::SeqCst), certified })
}
