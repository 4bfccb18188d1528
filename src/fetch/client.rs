//! The client: one file at a time, into memory.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use reqwest::redirect::{Action, Attempt, Policy};

use super::credentials::Credentials;
use super::error::{Error, Trouble};
use super::pace::Pace;
use super::retry::Retry;
use super::route::{Proxies, proxies, shown, without_credentials};
use super::tls::Tls;
use super::transfer::{Head, Transfer};
use crate::progress::{Cancel, Cancelled};

/// The most that is reserved for a body before its bytes come.
const RESERVE: u64 = 16 << 20;

/// How to talk to servers.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The proxies; without them `http_proxy`, `https_proxy` and `all_proxy` of the environment hold. Neither are used for loopback addresses and for
    /// what `no_proxy` names.
    pub proxies: Option<Proxies>,
    /// Names and passwords for servers.
    pub credentials: Credentials,
    /// Certificates for `https`.
    pub tls: Tls,
    /// How many transfers run at the same time; at least one.
    pub workers: usize,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for the next byte.
    pub idle_timeout: Duration,
    /// The least that all running transfers together have to bring, in bytes a second. One that brings less than its share over `rate_window` is given up.
    pub least_rate: u64,
    /// Over how long the rate is measured, from the first bytes on. Time in which no server is waited for does not count.
    pub rate_window: Duration,
    /// How many more tries there are for what may pass: broken connections, timeouts, slow transfers, servers in trouble.
    pub retries: u32,
    /// The pause before the first of them; each next one is twice as long, up to 30 s.
    pub retry_delay: Duration,
    /// What servers are told that we are.
    pub user_agent: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            proxies: None,
            credentials: Credentials::default(),
            tls: Tls::default(),
            workers: 8,
            connect_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(30),
            least_rate: 1_000,
            rate_window: Duration::from_secs(60),
            retries: 4,
            retry_delay: Duration::from_millis(500),
            user_agent: concat!("image-composer/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// What a server needs to know to say “not modified”, as it said it itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validators {
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Last-Modified` header.
    pub last_modified: Option<String>,
}

/// What [`Client::get`] brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// The file is still what the validators were given with.
    NotModified,
    /// The file.
    Body {
        /// All of it.
        bytes: Vec<u8>,
        /// What to ask with the next time.
        validators: Validators,
    },
}

/// Reads from `http`, `https` and `file` addresses. Can be shared between threads.
#[derive(Debug)]
pub struct Client {
    options: ClientOptions,
    pace: Pace,
    /// One for each certificate that servers are shown, in their order, and one that shows none.
    http: Vec<OnceLock<Http>>,
}

#[derive(Debug)]
struct Http {
    client: reqwest::blocking::Client,
    /// The host has no root certificates: every `https` connection will fail.
    no_roots: bool,
}

impl Client {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// An unusable proxy address.
    pub fn new(options: &ClientOptions) -> Result<Self, Error> {
        proxies(options.proxies.as_ref(), |name| std::env::var(name).ok())?;
        let options = ClientOptions { workers: options.workers.max(1), ..options.clone() };
        let http = (0..=options.tls.certificates.len()).map(|_| OnceLock::new()).collect();
        let pace = Pace::new(options.least_rate, options.rate_window);
        Ok(Self { options, pace, http })
    }

    /// The file at `url`, unless it is longer than `limit` bytes, or has not changed since `validators`. Files of the host are always read.
    ///
    /// # Errors
    /// What the server or the connection did; see [`Error`].
    pub fn get(&self, url: &str, limit: u64, validators: Option<&Validators>, cancel: &Cancel) -> Result<Response, Error> {
        let url = parse(url)?;
        let mut headers = Vec::new();
        if let Some(validators) = validators {
            headers.extend(validators.etag.clone().map(|etag| (IF_NONE_MATCH, etag)));
            headers.extend(validators.last_modified.clone().map(|date| (IF_MODIFIED_SINCE, date)));
        }
        self.retry().run(url.as_str(), cancel, || self.get_once(&url, limit, &headers, cancel))
    }

    fn get_once(&self, url: &Url, limit: u64, headers: &[(HeaderName, String)], cancel: &Cancel) -> Result<Response, Error> {
        let (head, mut transfer) = self.open(url, headers, cancel)?;
        match head.status {
            200 => {}
            304 if !headers.is_empty() => return Ok(Response::NotModified),
            _ => return Err(head.refused(url)),
        }
        let too_large = || Error::TooLarge { url: shown(url), limit };
        if head.length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(head.length.unwrap_or(0).min(RESERVE) as usize);
        while let Some(piece) = transfer.next(cancel)? {
            if (bytes.len() + piece.len()) as u64 > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Response::Body { bytes, validators: Validators { etag: head.etag, last_modified: head.last_modified } })
    }

    /// Asks for a file, and waits until it begins to come.
    pub(super) fn open(&self, url: &Url, headers: &[(HeaderName, String)], cancel: &Cancel) -> Result<(Head, Transfer), Error> {
        if url.scheme() == "file" {
            return Transfer::file(url, cancel);
        }
        // A header that cannot be sent only makes the request less clever.
        let headers: HeaderMap = headers.iter().filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_str(value).ok()?))).collect();
        // An address that has its own, from the host's sources, keeps them. A redirect to another server takes none along.
        let login = self.options.credentials.of(url).filter(|_| url.username().is_empty());
        let mut answer = self.ask(url, &headers, login, cancel)?;
        for _ in 0..REDIRECTS {
            let Some(url) = &answer.0.moved else { break };
            answer = self.ask(&url.clone(), &headers, None, cancel)?;
        }
        Ok(answer)
    }

    /// Asks for a file, as far as redirects lead to hosts that are shown the same certificate.
    fn ask(&self, url: &Url, headers: &HeaderMap, login: Option<(&str, &str)>, cancel: &Cancel) -> Result<(Head, Transfer), Error> {
        let http = self.http(url)?;
        let mut request = http.client.get(url.clone()).headers(headers.clone());
        if let Some((login, password)) = login {
            request = request.basic_auth(login, Some(password));
        }
        let request = request.build().map_err(|error| Error::Start(Box::new(error.without_url())))?;
        let answer = Transfer::request(&http.client, request, self.patience(), self.options.idle_timeout, &self.pace, cancel);
        answer.map_err(|error| match error {
            Error::Request { url, trouble: Trouble::Tls, source } if http.no_roots => Error::Request { url, trouble: Trouble::NoRoots, source },
            error => error,
        })
    }

    /// Waits until a server whose files do not fit together may have changed, before they are asked for anew: the first time with `retry` 0, then 1, and so on.
    /// Says whether that is worth another try.
    ///
    /// # Errors
    /// The user's wish to stop.
    pub fn may_change(&self, url: &str, retry: u32, cancel: &Cancel) -> Result<bool, Cancelled> {
        self.retry().settle(url, retry, cancel)
    }

    pub(super) fn retry(&self) -> Retry {
        Retry { retries: self.options.retries, first: self.options.retry_delay }
    }

    /// How long nothing may come of a file that is asked for.
    pub(super) fn patience(&self) -> Duration {
        self.options.connect_timeout + self.options.idle_timeout
    }

    /// How many transfers may run at the same time.
    pub(super) fn workers(&self) -> usize {
        self.options.workers
    }

    /// The HTTP client for an address, made at the first use: it reads the host's root certificates and starts a thread, which offline builds do not need.
    fn http(&self, url: &Url) -> Result<&Http, Error> {
        let position = self.options.tls.position(url);
        let cell = &self.http[position.unwrap_or(self.options.tls.certificates.len())];
        if let Some(http) = cell.get() {
            return Ok(http);
        }
        // The first call decides; that there is one already is no failure.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate = position.map(|position| &self.options.tls.certificates[position]);
        let authorities = self.options.tls.authorities()?;
        let builder = || certificate.map_or_else(|| self.builder(), |certificate| certificate.shown_by(self.builder()?));
        let http = if let Ok(client) = builder()?.tls_certs_merge(authorities.clone()).build() {
            Http { client, no_roots: false }
        } else {
            // It refuses to start where it finds no root certificates; without them it still serves plain HTTP, and what is configured.
            let no_roots = authorities.is_empty();
            let client = builder()?.tls_certs_only(authorities).build().map_err(|error| match certificate {
                Some(certificate) => certificate.refused(error),
                None => Error::Start(Box::new(error)),
            })?;
            Http { client, no_roots }
        };
        Ok(cell.get_or_init(|| http))
    }

    fn builder(&self) -> Result<reqwest::blocking::ClientBuilder, Error> {
        let options = &self.options;
        let tls = options.tls.clone();
        let mut builder = reqwest::blocking::Client::builder()
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            // The receiver gives up first, and says why.
            .timeout(options.connect_timeout + options.idle_timeout + Duration::from_secs(1))
            .pool_max_idle_per_host(options.workers)
            .referer(false)
            .redirect(Policy::custom(move |attempt| follow(attempt, &tls)))
            .no_proxy();
        for proxy in proxies(options.proxies.as_ref(), |name| std::env::var(name).ok())? {
            builder = builder.proxy(proxy);
        }
        Ok(builder)
    }
}

/// The longest chain of redirects.
const REDIRECTS: usize = 10;

/// Follows a redirect, but never from a server that has proven itself to one that need not. Stops where another certificate is shown, for that is another
/// client.
fn follow(attempt: Attempt<'_>, tls: &Tls) -> Action {
    let from = attempt.previous().last();
    if attempt.previous().len() > REDIRECTS {
        attempt.error(format!("more than {REDIRECTS} redirects"))
    } else if from.is_some_and(|from| loses_proof(from, attempt.url())) {
        attempt.error("https redirects to http")
    } else if from.is_some_and(|from| tls.position(from) != tls.position(attempt.url())) {
        attempt.stop()
    } else {
        attempt.follow()
    }
}

fn loses_proof(from: &Url, to: &Url) -> bool {
    from.scheme() == "https" && to.scheme() != "https"
}

/// An address that can be read from.
pub(super) fn parse(address: &str) -> Result<Url, Error> {
    let refused = |reason: String| Error::Address { url: without_credentials(address), reason };
    let url = Url::parse(address).map_err(|error| refused(format!("not an address: {error}")))?;
    match url.scheme() {
        "http" | "https" | "file" => Ok(url),
        scheme => Err(refused(format!("“{scheme}” addresses cannot be read"))),
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
