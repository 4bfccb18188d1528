//! A tiny HTTP server on loopback for this room's tests: one request a connection, answered by a closure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What was asked for.
pub(super) struct Asked {
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    /// How many requests came before this one.
    pub(super) number: usize,
}

impl Asked {
    /// Where a `Range: bytes=N-` header wants to begin.
    pub(super) fn from(&self) -> Option<usize> {
        self.headers.get("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// The connection to answer on.
pub(super) struct Answer(TcpStream);

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
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub(super) fn new(handle: impl Fn(&Asked, &mut Answer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), asked: Arc::default(), stopped: Arc::default() };
        let (asked, stopped, handle) = (Arc::clone(&server.asked), Arc::clone(&server.stopped), Arc::new(handle));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (stream, asked, handle) = (stream.unwrap(), Arc::clone(&asked), Arc::clone(&handle));
                std::thread::spawn(move || {
                    if let Some(request) = read(&stream, &asked) {
                        handle(&request, &mut Answer(stream));
                    }
                });
            }
        });
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
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

fn read(stream: &TcpStream, asked: &AtomicUsize) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.ok()?;
        match line.split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    Some(Asked { path, headers, number: asked.fetch_add(1, Ordering::SeqCst) })
}
