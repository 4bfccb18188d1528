//! Packages from their mirrors: in parallel, resumed, checked while they come, published one by one.
//!
//! What another process brings to the same place at the moment is left for later: most of it is there by then.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::RANGE;

use super::client::{Client, parse};
use super::download_error::{DownloadError, Failure, FailureReason};
use super::hosts::Hosts;
use super::partial::{Partial, length_of};
use super::route::shown;
use super::{Error, transfer::Transfer};
use crate::cache::Coordinates;
use crate::digest::Sha256;
use crate::progress::{Cancel, Event, Phase, Progress};

/// A package to bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRequest {
    /// What it is called.
    pub coordinates: Coordinates,
    /// Where it can be had (`http`, `https`, `file`), tried in this order.
    pub urls: Vec<String>,
    /// What a signed index says that it is.
    pub sha256: Sha256,
    /// Its length in bytes, as the same index says.
    pub size: u64,
    /// When it is wanted: what has a lower number is fetched first.
    pub turn: usize,
}

/// How often it is looked whether another process has brought what it was at.
const PAUSE: Duration = Duration::from_millis(50);

type Outcome<T> = Result<T, Vec<FailureReason>>;

/// Where packages go, and where those are that others have brought; each is named by its place among the requests.
pub trait Shelf<T>: Sync {
    /// A package that another process has brought by now.
    ///
    /// # Errors
    /// What cannot be looked for.
    fn find(&self, at: usize) -> Result<Option<T>, BoxedError>;

    /// Stores a package that arrived whole: the file is at its start. What is returned is handed on.
    ///
    /// # Errors
    /// What cannot be stored.
    fn store(&self, at: usize, file: &mut File) -> Result<T, BoxedError>;
}

/// An error of a [`Shelf`].
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Brings `requests`, and puts each on the `shelf` as soon as it is there and right. Returns what this returned, in the order of the requests.
///
/// A package that is on its way lies in `partials` as `<sha256>.partial`. It stays there when its transfer breaks off, and the next call goes on from
/// it; it is removed when the package is published, and when it turns out to be something else. One that another process is at is waited for, as long as it
/// grows.
///
/// # Errors
/// All packages that did not arrive, each with the reasons; the others have been published.
pub fn packages<T: Send>(
    client: &Client,
    requests: &[PackageRequest],
    partials: &Path,
    shelf: &dyn Shelf<T>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<T>, DownloadError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    std::fs::create_dir_all(partials).map_err(|source| DownloadError::Partials { path: partials.to_owned(), source })?;
    let total = requests.iter().fold(0u64, |sum, request| sum.saturating_add(request.size));
    progress.report(Event::Start { phase: Phase::Download, total: Some(total) });
    let download = Download { client, partials, shelf, progress, cancel, hosts: Hosts::default() };
    let outcomes = download.all(requests);
    progress.report(Event::Finish { phase: Phase::Download });

    let mut published = Vec::with_capacity(requests.len());
    let mut failures = Vec::new();
    for (request, outcome) in requests.iter().zip(outcomes) {
        match outcome {
            Ok(value) => published.push(value),
            Err(reasons) => failures.push(Failure { coordinates: request.coordinates.clone(), reasons }),
        }
    }
    if failures.is_empty() {
        return Ok(published);
    }
    let failed = DownloadError::Failed { failures, total: requests.len() };
    // Who stops the download may do so for want of the same room.
    if !failed.is_full() {
        cancel.check()?;
    }
    Err(failed)
}

struct Download<'a, T> {
    client: &'a Client,
    partials: &'a Path,
    shelf: &'a dyn Shelf<T>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    hosts: Hosts,
}

impl<T: Send> Download<'_, T> {
    /// The outcome of each request, in their order.
    fn all(&self, requests: &[PackageRequest]) -> Vec<Outcome<T>> {
        // The longest of each turn first: then no worker is left alone with one at the end.
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|&at| (requests[at].turn, std::cmp::Reverse(requests[at].size)));
        let queue = Queue::new(&order);
        let work = || {
            let mut done = Vec::new();
            while let Some(mut turn) = queue.next(self.cancel) {
                let request = &requests[turn.at];
                match self.one(&mut turn, request) {
                    Some(outcome) => done.push((turn.at, outcome)),
                    None => queue.put_back(turn),
                }
            }
            done
        };
        let mut outcomes = std::thread::scope(|scope| {
            let workers: Vec<_> = (1..self.client.workers().min(requests.len())).map(|_| scope.spawn(work)).collect();
            let mut outcomes = work();
            for worker in workers {
                match worker.join() {
                    Ok(done) => outcomes.extend(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            outcomes
        });
        outcomes.sort_by_key(|(at, _)| *at);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// None while another process is at it.
    fn one(&self, turn: &mut Turn, request: &PackageRequest) -> Option<Outcome<T>> {
        let partial = match Partial::open(self.partials, &request.sha256, request.size, self.cancel) {
            Ok(Some(partial)) => Ok(partial),
            Ok(None) if self.waits(turn, request) => return None,
            Ok(None) => Partial::beside(self.partials, &request.sha256),
            Err(error) => Err(error),
        };
        Some(partial.map_err(|error| vec![error.into()]).and_then(|partial| self.bring(turn.at, request, partial)))
    }

    /// Whether to wait for another process that is at it.
    fn waits(&self, turn: &mut Turn, request: &PackageRequest) -> bool {
        let is_near = request.urls.first().is_some_and(|url| url.starts_with("file:"));
        !is_near && self.cancel.check().is_ok() && turn.grows(length_of(self.partials, &request.sha256), self.client.patience())
    }

    fn bring(&self, at: usize, request: &PackageRequest, mut partial: Partial) -> Outcome<T> {
        let begun = Instant::now();
        let mut counted = Counted { progress: self.progress, bytes: 0 };
        // Who was at it before has brought it, or has given up.
        if let Some(value) = self.shelf.find(at).map_err(|error| vec![FailureReason::Publish(error)])? {
            counted.reached(request.size);
            // Of no use any more, and in nobody's way.
            let _ = partial.remove();
            return Ok(value);
        }
        counted.reached(partial.length());

        let mut reasons = Vec::new();
        // A package that could not be stored the last time is whole already.
        let mut arrived = partial.length() == request.size && partial.digest() == request.sha256;
        for url in &request.urls {
            if arrived {
                break;
            }
            match self.from(url, request, &mut partial, &mut counted) {
                Ok(()) => arrived = true,
                Err(error) => {
                    let cancelled = error.is_cancelled();
                    reasons.push(error.into());
                    if cancelled {
                        break;
                    }
                }
            }
        }
        if !arrived {
            if reasons.is_empty() {
                reasons.push(FailureReason::NoAddress);
            }
            return Err(reasons);
        }
        let file = partial.whole().map_err(|error| vec![error.into()])?;
        let value = self.shelf.store(at, file).map_err(|error| vec![FailureReason::Publish(error)])?;
        if let Err(error) = partial.remove() {
            // The package is where it should be; only room is lost.
            self.progress.report(Event::Warning(&format!("{error}: a finished download could not be removed")));
        }
        let name = request.coordinates.name();
        self.progress.report(Event::Item { phase: Phase::Download, name, bytes: request.size, took: begun.elapsed() });
        Ok(value)
    }

    /// Fills `partial` from one address.
    fn from(&self, url: &str, request: &PackageRequest, partial: &mut Partial, counted: &mut Counted) -> Result<(), Error> {
        let url = parse(url)?;
        let result = self.client.retry().run(url.as_str(), self.cancel, || {
            if self.hosts.is_gone(&url) {
                return Err(Error::Gone { url: shown(&url) });
            }
            self.attempt(&url, request, partial, counted)
        });
        match &result {
            Err(Error::Cancelled(_) | Error::Gone { .. } | Error::File { .. }) => {}
            Err(error) => self.hosts.count(&url, !error.is_transient()),
            Ok(()) => self.hosts.count(&url, true),
        }
        result
    }

    /// One try over one connection; a second one if what was there before does not fit to what came.
    fn attempt(&self, url: &Url, request: &PackageRequest, partial: &mut Partial, counted: &mut Counted) -> Result<(), Error> {
        loop {
            let mut continued = partial.length() > 0;
            if partial.length() < request.size || !continued {
                let mut transfer = self.begin(url, request, partial)?;
                continued = partial.length() > 0;
                while let Some(piece) = transfer.next(self.cancel)? {
                    let length = partial.length() + piece.len() as u64;
                    if length > request.size {
                        partial.clear()?;
                        return Err(Error::WrongSize { url: shown(url), expected: request.size, size: None });
                    }
                    partial.append(&piece)?;
                    counted.reached(length);
                }
                if partial.length() < request.size {
                    return Err(Error::CutOff { url: shown(url), received: partial.length(), source: None });
                }
            }
            let digest = partial.digest();
            if digest == request.sha256 {
                return Ok(());
            }
            partial.clear()?;
            if !continued {
                return Err(Error::WrongDigest { url: shown(url), expected: request.sha256, digest });
            }
            // The first part may have come from elsewhere, or was damaged on the disk: this address has not been shown to be wrong.
        }
    }

    /// Asks for what `partial` lacks, or for everything where the server cannot continue.
    fn begin(&self, url: &Url, request: &PackageRequest, partial: &mut Partial) -> Result<Transfer, Error> {
        loop {
            let from = partial.length();
            let headers = if from > 0 { vec![(RANGE, format!("bytes={from}-"))] } else { Vec::new() };
            let (head, transfer) = self.client.open(url, &headers, self.cancel)?;
            let kept = match head.status {
                200 => 0,
                206 if from > 0 && head.range == Some((from, request.size)) => from,
                // Another range, or of another file; or none (416).
                206 | 416 if from > 0 => {
                    partial.clear()?;
                    continue;
                }
                _ => return Err(head.refused(url)),
            };
            if let Some(length) = head.length
                && length != request.size - kept
            {
                return Err(Error::WrongSize { url: shown(url), expected: request.size, size: Some(kept.saturating_add(length)) });
            }
            if kept == 0 {
                partial.clear()?;
            }
            return Ok(transfer);
        }
    }
}

/// Requests that nobody is at, in the order in which they are wanted.
struct Queue(Mutex<Vec<Turn>>);

/// A request, and what is known of another process that is at it.
struct Turn {
    at: usize,
    /// Its place in the order.
    place: usize,
    not_before: Instant,
    /// How long the other's file was when it last grew, in bytes, and when that was.
    seen: Option<(u64, Instant)>,
}

impl Turn {
    /// Whether the other's file, which is `length` bytes long now, has grown within `patience`.
    fn grows(&mut self, length: u64, patience: Duration) -> bool {
        let now = Instant::now();
        self.not_before = now + PAUSE;
        match self.seen {
            Some((before, since)) if before == length => now - since < patience,
            _ => {
                self.seen = Some((length, now));
                true
            }
        }
    }
}

impl Queue {
    fn new(order: &[usize]) -> Self {
        let now = Instant::now();
        Self(Mutex::new(order.iter().enumerate().map(|(place, &at)| Turn { at, place, not_before: now, seen: None }).collect()))
    }

    /// The first that can be begun now; none where nothing is left.
    fn next(&self, cancel: &Cancel) -> Option<Turn> {
        loop {
            let mut left = self.lock();
            if left.is_empty() {
                return None;
            }
            let (now, stops) = (Instant::now(), cancel.check().is_err());
            if let Some(number) = left.iter().position(|turn| stops || turn.not_before <= now) {
                return Some(left.remove(number));
            }
            drop(left);
            std::thread::sleep(PAUSE / 2);
        }
    }

    fn put_back(&self, turn: Turn) {
        let mut left = self.lock();
        let number = left.partition_point(|other| other.place < turn.place);
        left.insert(number, turn);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Turn>> {
        // It is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of one package has been reported: a package that begins anew is not counted twice.
struct Counted<'a> {
    progress: &'a dyn Progress,
    bytes: u64,
}

impl Counted<'_> {
    fn reached(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.progress.report(Event::Advance { phase: Phase::Download, by: bytes - self.bytes });
            self.bytes = bytes;
        }
    }
}

#[cfg(test)]
#[path = "packages_tests.rs"]
mod tests;
