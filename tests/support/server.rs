//! A small HTTP server on loopback: ranges, validators, and faults as told. One request a connection.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use image_composer::digest::Digest;

use super::Tree;

/// What the server does wrong at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Promises the whole file, sends so many bytes of it, and closes the connection.
    CutOff(usize),
    /// Promises the whole file, sends so many bytes of it, and then nothing until the client goes away.
    Stall(usize),
    /// Gives so many bytes as if they were the whole file.
    Truncate(usize),
    /// Answers without ranges and validators, as the simplest servers do.
    Plain,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Without the slash at its beginning.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// What it was answered with.
    pub(crate) status: u16,
}

/// A running server; it stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    tree: Mutex<Tree>,
    faults: Mutex<BTreeMap<String, (Fault, usize)>>,
    asked: Mutex<Vec<Asked>>,
    stopped: AtomicBool,
}

impl Server {
    /// Serves a tree.
    pub(crate) fn new(tree: Tree) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { tree: Mutex::new(tree), ..State::default() });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), state) = (stream, Arc::clone(&shared)) else { continue };
                // A client that goes away in the middle is the client's affair.
                std::thread::spawn(move || state.serve(stream));
            }
        });
        Self { address, state }
    }

    /// The base address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves another tree from now on.
    pub(crate) fn replace(&self, tree: Tree) {
        *self.state.tree.lock().unwrap() = tree;
    }

    /// Does wrong at a path, always.
    pub(crate) fn fail(&self, path: &str, fault: Fault) {
        self.fail_times(path, fault, usize::MAX);
    }

    /// Does wrong at a path, the next so many times.
    pub(crate) fn fail_times(&self, path: &str, fault: Fault, times: usize) {
        self.state.faults.lock().unwrap().insert(path.to_owned(), (fault, times));
    }

    /// Every request that came, in their order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Forgets the requests that came.
    pub(crate) fn forget(&self) {
        self.state.asked.lock().unwrap().clear();
    }

    /// How often a file was given, whole or in part.
    pub(crate) fn given(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path == path && matches!(asked.status, 200 | 206)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let (path, headers) = read(&stream)?;
        let fault = self.fault(&path);
        let file = self.tree.lock().unwrap().get(&path).cloned();
        let answer = answer(file, &headers, fault);
        self.asked.lock().unwrap().push(Asked { path, headers, status: answer.status });
        answer.send(stream).ok()
    }

    fn fault(&self, path: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let (fault, times) = faults.get_mut(path)?;
        *times = times.checked_sub(1)?;
        Some(*fault)
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// How many bytes of the body are really sent.
    sent: usize,
    stalls: bool,
}

fn answer(file: Option<Vec<u8>>, headers: &BTreeMap<String, String>, fault: Option<Fault>) -> Answer {
    let of = |status, headers, body: Vec<u8>| Answer { status, headers, sent: body.len(), body, stalls: false };
    if let Some(Fault::Status(status)) = fault {
        return of(status, Vec::new(), Vec::new());
    }
    let Some(mut file) = file else { return of(404, Vec::new(), b"there is no such file".to_vec()) };
    let etag = format!("\"{}\"", Digest::of(&file).short());
    if let Some(Fault::Truncate(length)) = fault {
        file.truncate(length);
    }
    if fault == Some(Fault::Plain) {
        return of(200, Vec::new(), file);
    }
    let validators = || vec![("ETag", etag.clone()), ("Last-Modified", "Wed, 01 Jan 2020 12:00:00 GMT".to_owned())];
    if headers.get("if-none-match") == Some(&etag) {
        return of(304, validators(), Vec::new());
    }
    // A range holds only for the file that the client began with (RFC 9110 §13.1.5).
    let range = headers.get("range").filter(|_| headers.get("if-range").is_none_or(|wanted| *wanted == etag));
    let start = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let mut answer = match start {
        Some(start) if start >= file.len() => {
            return of(416, vec![("Content-Range", format!("bytes */{}", file.len()))], Vec::new());
        }
        Some(start) => {
            let mut headers = validators();
            headers.push(("Content-Range", format!("bytes {start}-{}/{}", file.len() - 1, file.len())));
            of(206, headers, file[start..].to_vec())
        }
        None => of(200, validators(), file),
    };
    if let Some(Fault::CutOff(length) | Fault::Stall(length)) = fault {
        answer.sent = length.min(answer.body.len());
        answer.stalls = matches!(fault, Some(Fault::Stall(_)));
    }
    answer
}

impl Answer {
    fn send(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufWriter::new(stream);
        let length = if self.status == 304 { None } else { Some(("Content-Length", self.body.len().to_string())) };
        write!(stream, "HTTP/1.1 {} Answer\r\nConnection: close\r\n", self.status)?;
        for (name, value) in self.headers.iter().chain(&length) {
            write!(stream, "{name}: {value}\r\n")?;
        }
        write!(stream, "\r\n")?;
        stream.write_all(&self.body[..self.sent])?;
        stream.flush()?;
        if self.stalls {
            // Returns when the client closes the connection.
            let _ = stream.get_mut().read(&mut [0])?;
        }
        Ok(())
    }
}

/// Path and headers of a request.
fn read(stream: &TcpStream) -> Option<(String, BTreeMap<String, String>)> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Some((path, headers.collect()))
}
