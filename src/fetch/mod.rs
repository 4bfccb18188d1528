//! Bytes from repositories: over HTTP, HTTPS, or from a directory of the host.
//!
//! [`Client`] gets one file at a time into memory (metadata); [`packages`] brings many large files in parallel, each resumed, checked while it
//! streams and published as it arrives. Nothing here trusts a server: lengths are bounded, and what a package is was promised by a signed index.

mod client;
mod credentials;
mod download_error;
mod error;
mod hosts;
mod pace;
mod packages;
mod partial;
mod retry;
mod route;
mod tls;
mod transfer;

#[cfg(test)]
mod server;

pub use client::{Client, ClientOptions, Response, Validators};
pub use credentials::Credentials;
pub use download_error::{DownloadError, Failure, FailureReason};
pub use error::{Error, Trouble};
pub use packages::{BoxedError, PackageRequest, Shelf, packages};
pub use route::Proxies;
pub(crate) use route::without_credentials;
pub use tls::{CertificateFlaw, ClientCertificate, Tls};
