//! One file on its way, in pieces.
//!
//! A thread of its own talks to the server and hands the pieces over a short queue, so that the receiver can look ten times a second whether the user wants to
//! stop, whatever the server does, and hashes or writes one piece while the next one comes. A receiver that goes away ends the thread at its next piece, or
//! when the server has been silent for the idle timeout. The thread also measures how fast the body comes: it alone knows how long it waited for the server.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, LOCATION, RETRY_AFTER};

use super::error::{Error, Trouble};
use super::pace::{Pace, TooSlow};
use super::route::shown;
use crate::progress::Cancel;

/// The largest piece in bytes.
const PIECE: usize = 128 << 10;
/// How many pieces wait for the receiver.
const QUEUE: usize = 8;
/// How often the receiver looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);

/// What the server said before the body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Bytes of the body, where they are known.
    pub(super) length: Option<u64>,
    /// The first byte of a part, and the length of the whole, where the part reaches to its end.
    pub(super) range: Option<(u64, u64)>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    retry_after: Option<Duration>,
    /// Where the file is instead, if the client did not follow.
    pub(super) moved: Option<Url>,
}

impl Head {
    fn of(response: &reqwest::blocking::Response) -> Self {
        let status = response.status().as_u16();
        let target = response.headers().get(LOCATION).filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308));
        let moved = target.and_then(|target| response.url().join(target.to_str().ok()?).ok());
        Self { moved, ..Self::new(status, response.headers()) }
    }

    fn new(status: u16, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            status,
            length: text(CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()),
            range: text(CONTENT_RANGE).as_deref().and_then(parse_range),
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
            retry_after: text(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs),
            moved: None,
        }
    }

    /// The error that stands for an answer that is not the file.
    pub(super) fn refused(&self, url: &Url) -> Error {
        Error::Status { url: shown(url), status: self.status, retry_after: self.retry_after }
    }
}

/// A body that is coming.
#[derive(Debug)]
pub(super) struct Transfer {
    url: Url,
    source: Source,
    received: u64,
}

#[derive(Debug)]
enum Source {
    Server { messages: Receiver<Message>, idle: Duration },
    File { path: std::path::PathBuf, file: File },
}

#[derive(Debug)]
enum Message {
    Failed(reqwest::Error),
    Head(Head),
    Piece(Vec<u8>),
    Broken(io::Error),
    Slow(TooSlow),
    End,
}

impl Transfer {
    /// Sends a request, and waits for the answer's head: `patience` for the connection and the first byte, `idle` between any two later ones, which
    /// have to keep `pace`.
    pub(super) fn request(
        http: &reqwest::blocking::Client,
        request: reqwest::blocking::Request,
        patience: Duration,
        idle: Duration,
        pace: &Pace,
        cancel: &Cancel,
    ) -> Result<(Head, Self), Error> {
        cancel.check()?;
        let (sender, messages) = sync_channel(QUEUE);
        let url = request.url().clone();
        let (http, pace) = (http.clone(), pace.clone());
        std::thread::Builder::new()
            .name("fetch".to_owned())
            .spawn(move || talk(&http, request, &pace, &sender))
            .map_err(|source| Error::Start(Box::new(source)))?;
        let head = match wait(&messages, &url, patience, cancel)? {
            Some(Message::Head(head)) => head,
            Some(Message::Failed(source)) => {
                return Err(Error::Request { url: shown(&url), trouble: Trouble::of(&source), source });
            }
            _ => return Err(Error::CutOff { url: shown(&url), received: 0, source: None }),
        };
        Ok((head, Self { url, source: Source::Server { messages, idle }, received: 0 }))
    }

    /// Opens a file of the host.
    pub(super) fn file(url: &Url, cancel: &Cancel) -> Result<(Head, Self), Error> {
        cancel.check()?;
        let path = url.to_file_path().map_err(|()| Error::Address { url: shown(url), reason: "a file on another host cannot be read".to_owned() })?;
        let failed = |source| Error::File { path: path.clone(), source };
        // Looked at before it is opened: opening a FIFO would wait for a writer.
        if !std::fs::metadata(&path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("not a regular file")));
        }
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let head = Head { length: Some(length), ..Head::new(200, &HeaderMap::new()) };
        Ok((head, Self { url: url.clone(), source: Source::File { path, file }, received: 0 }))
    }

    /// The next piece; none after the last.
    pub(super) fn next(&mut self, cancel: &Cancel) -> Result<Option<Vec<u8>>, Error> {
        cancel.check()?;
        let piece = match &mut self.source {
            Source::Server { messages, idle } => match wait(messages, &self.url, *idle, cancel)? {
                Some(Message::Piece(piece)) => Some(piece),
                Some(Message::End) => None,
                Some(Message::Slow(TooSlow { rate, window })) => return Err(Error::Slow { url: shown(&self.url), rate, window }),
                Some(Message::Broken(source)) => {
                    return Err(Error::CutOff { url: shown(&self.url), received: self.received, source: Some(source) });
                }
                _ => return Err(Error::CutOff { url: shown(&self.url), received: self.received, source: None }),
            },
            Source::File { path, file } => {
                let mut piece = vec![0; PIECE];
                let length = file.read(&mut piece).map_err(|source| Error::File { path: path.clone(), source })?;
                piece.truncate(length);
                (length > 0).then_some(piece)
            }
        };
        self.received += piece.as_ref().map_or(0, Vec::len) as u64;
        Ok(piece)
    }
}

/// Reads `bytes 10-99/100` as `(10, 100)`, and `bytes 10-99/*` likewise.
fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let end = last.parse::<u64>().ok()?.checked_add(1)?;
    (total == "*" || total.parse() == Ok(end)).then_some((first.parse().ok()?, end))
}

/// The next message, or none when the thread is gone without a word.
fn wait(messages: &Receiver<Message>, url: &Url, patience: Duration, cancel: &Cancel) -> Result<Option<Message>, Error> {
    let end = Instant::now() + patience;
    loop {
        match messages.recv_timeout(TICK.min(patience)) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => cancel.check()?,
        }
        if Instant::now() >= end {
            return Err(Error::Idle { url: shown(url), idle: patience });
        }
    }
}

/// What the thread does. Sending fails only when nobody listens any more: then there is nothing left to do.
fn talk(http: &reqwest::blocking::Client, request: reqwest::blocking::Request, pace: &Pace, sender: &SyncSender<Message>) {
    let mut response = match http.execute(request) {
        Ok(response) => response,
        Err(error) => {
            let _ = sender.send(Message::Failed(error.without_url()));
            return;
        }
    };
    let head = Head::of(&response);
    let mut meter = pace.measure(head.length);
    let (mut message, mut too_slow) = (Message::Head(head), None);
    let mut buffer = vec![0; PIECE];
    loop {
        let last = matches!(message, Message::End | Message::Broken(_));
        if sender.send(message).is_err() || last {
            return;
        }
        // What came last is of use all the same.
        if let Some(too_slow) = too_slow {
            let _ = sender.send(Message::Slow(too_slow));
            return;
        }
        let asked = Instant::now();
        message = match response.read(&mut buffer) {
            Ok(0) => Message::End,
            Ok(length) => {
                too_slow = meter.count(length, asked.elapsed());
                Message::Piece(buffer[..length].to_vec())
            }
            Err(error) => Message::Broken(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges_to_the_end_only() {
        assert_eq!(parse_range("bytes 10-99/100"), Some((10, 100)));
        assert_eq!(parse_range("bytes 10-99/*"), Some((10, 100)));
        for text in ["bytes 10-98/100", "bytes */100", "bytes 1-/2", "10-99/100", "bytes 0-18446744073709551615/*", ""] {
            assert_eq!(parse_range(text), None, "{text}");
        }
    }
}
