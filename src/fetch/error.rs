//! Why a transfer failed, and whether another try may help.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::tls::CertificateFlaw;
use crate::digest::Sha256;
use crate::progress::Cancelled;

/// Why bytes did not come. Addresses are shown without user names and passwords.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address that this program can read from.
    #[error("{url}: {reason}")]
    Address {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What is named as a proxy is none that this program can use.
    #[error("“{proxy}” is not the address of a proxy")]
    Proxy {
        /// As it was given, without user name and password.
        proxy: String,
        /// What is wrong with it; none where it is spoken to in another way than `http` or `https`.
        source: Option<reqwest::Error>,
    },
    /// The HTTP client itself cannot start (no threads, no descriptors, no TLS).
    #[error("the HTTP client cannot start")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file of certificates or keys cannot be used.
    #[error("{} {flaw}", .path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        flaw: CertificateFlaw,
    },
    /// The server could not be reached, or the connection broke before it answered.
    #[error("{url}: {trouble}")]
    Request {
        /// What was asked for.
        url: String,
        /// What went wrong.
        trouble: Trouble,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// The server answered with something else than the file.
    #[error("{url}: the server answered {status}{}", reason_phrase(*.status))]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long the server asks to wait before another try.
        retry_after: Option<Duration>,
    },
    /// No byte came for too long.
    #[error("{url}: no byte came for {} s", .idle.as_secs_f64())]
    Idle {
        /// What was asked for.
        url: String,
        /// For how long.
        idle: Duration,
    },
    /// The body came too slowly to go on with this connection.
    #[error("{url}: only {rate} bytes a second came for {} s, so it was left for another try or the next mirror", .window.as_secs_f64())]
    Slow {
        /// What was asked for.
        url: String,
        /// Bytes a second.
        rate: u64,
        /// For how long.
        window: Duration,
    },
    /// The connection broke while the body came.
    #[error("{url}: the connection broke after {received} bytes")]
    CutOff {
        /// What was asked for.
        url: String,
        /// How much had come over this connection.
        received: u64,
        /// What the HTTP client says.
        source: Option<io::Error>,
    },
    /// The body is longer than it may be; it was not read to its end.
    #[error("{url}: longer than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// How long it may be.
        limit: u64,
    },
    /// A package has another length than the signed index says.
    #[error("{url}: {} bytes instead of {expected}", .size.map_or_else(|| "more".to_owned(), |size| size.to_string()))]
    WrongSize {
        /// Who served it.
        url: String,
        /// The length that the index states.
        expected: u64,
        /// The length that the server states; none if it sent more than expected without saying so.
        size: Option<u64>,
    },
    /// A package is not what the signed index says.
    #[error("{url}: its sha256 is {digest}, the repository's index says {expected}")]
    WrongDigest {
        /// Who served it.
        url: String,
        /// The digest that the index states.
        expected: Sha256,
        /// The digest of what came.
        digest: Sha256,
    },
    /// Not tried, because its server has failed too often in a row.
    #[error("{url}: not tried, its server has failed too often")]
    Gone {
        /// What would have been asked for.
        url: String,
    },
    /// A file of the host could not be read or written.
    #[error("{}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What can go wrong before a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There never was a connection.
    Connect,
    /// The server speaks no TLS, or its certificate is not one to trust.
    Tls,
    /// This host has no root certificates: it can trust no server.
    NoRoots,
    /// The connection broke, or what came was no answer.
    Broken,
}

impl Trouble {
    /// What an error of the HTTP client means.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        // The TLS library hands its refusals on as I/O errors of this kind, inside of other I/O errors.
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = next {
            let io = error.downcast_ref::<io::Error>();
            if io.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) {
                return Self::Tls;
            }
            next = match io.and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        if error.is_connect() { Self::Connect } else { Self::Broken }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "cannot connect",
            Self::Tls | Self::NoRoots => "cannot connect securely",
            Self::Broken => "the request failed",
        })
    }
}

impl Error {
    /// The address that was asked for, without user name and password.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Address { url, .. }
            | Self::Request { url, .. }
            | Self::Status { url, .. }
            | Self::Idle { url, .. }
            | Self::Slow { url, .. }
            | Self::CutOff { url, .. }
            | Self::TooLarge { url, .. }
            | Self::WrongSize { url, .. }
            | Self::WrongDigest { url, .. }
            | Self::Gone { url } => Some(url),
            Self::File { path, .. } | Self::Certificate { path, .. } => path.to_str(),
            Self::Proxy { .. } | Self::Start(_) | Self::Cancelled(_) => None,
        }
    }

    /// The HTTP status, where a server answered.
    pub fn status(&self) -> Option<u16> {
        if let Self::Status { status, .. } = self { Some(*status) } else { None }
    }

    /// Whether the server (or the host's file system) is there and says that the file is not.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 404 | 410),
            Self::File { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether something came that is not the file which was asked for.
    pub(super) fn is_other_than_promised(&self) -> bool {
        matches!(self, Self::WrongDigest { .. } | Self::WrongSize { .. })
    }

    /// Whether the user asked to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Address { .. } => Some("addresses begin with http://, https:// or file:///".to_owned()),
            Self::Proxy { .. } => {
                Some("it looks like http://host:3128 (apt's Acquire::http::Proxy, http_proxy, https_proxy and all_proxy are read)".to_owned())
            }
            Self::Certificate { path, flaw } => Some(flaw.hint(path)),
            Self::Request { trouble: Trouble::Tls, .. } => Some(
                "if its certificate is refused: check the clock and ca-certificates, or name a file of further authorities as tls.ca_file in the \
                 configuration; if it wants to see yours: tls.certificates"
                    .to_owned(),
            ),
            Self::Request { trouble: Trouble::NoRoots, .. } => Some(
                "this host has no root certificates: install ca-certificates, or name a file of them as tls.ca_file in the configuration".to_owned(),
            ),
            Self::Request { trouble: Trouble::Connect, .. } => {
                Some("check the network and the proxy, name another mirror, or use --offline if the store has been seeded".to_owned())
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("the disk is full: make room, or put the store elsewhere with IMAGE_COMPOSER_STORE".to_owned())
            }
            Self::Status { status: 401 | 403, .. } => Some(
                "the server wants credentials, or does not serve this address to you; give them in /etc/apt/auth.conf.d or ~/.netrc: machine HOST login \
                 NAME password PASSWORD (without encryption: machine http://HOST); certificates are tls.certificates in the configuration"
                    .to_owned(),
            ),
            // What nginx says to those that show none.
            Self::Status { status: 400, url, .. } if url.starts_with("https:") => {
                Some("if the server wants to see a certificate: tls.certificates in the configuration".to_owned())
            }
            Self::Status { status: 407, .. } => Some("the proxy wants credentials: http://user:password@host:port".to_owned()),
            _ => None,
        }
    }

    /// Whether another try may succeed: a connection that failed or broke, a server in trouble. What a healthy server refuses stays refused.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Request { trouble, source, .. } => {
                matches!(trouble, Trouble::Connect | Trouble::Broken) && !source.is_redirect() && !source.is_builder()
            }
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502..=504),
            Self::Idle { .. } | Self::Slow { .. } | Self::CutOff { .. } => true,
            Self::Address { .. }
            | Self::Proxy { .. }
            | Self::Start(_)
            | Self::Certificate { .. }
            | Self::TooLarge { .. }
            | Self::WrongSize { .. }
            | Self::WrongDigest { .. }
            | Self::Gone { .. }
            | Self::File { .. }
            | Self::Cancelled(_) => false,
        }
    }

    /// How long the server asks to wait before another try.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }
}

fn reason_phrase(status: u16) -> String {
    reqwest::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).map_or_else(String::new, |reason| format!(" ({reason})"))
}
