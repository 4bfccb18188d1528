//! Certificates of the host's own files: authorities to believe beside the system's, and what is shown to servers that want to know who asks.
//!
//! A certificate goes to the host that it is for and to no other, also not after a redirect. (A proxy that is itself spoken to over `https` is on the way
//! to that host, and may ask for it.) Files are read when their host is asked for the first time; no message and no `Debug` form has a key.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use reqwest::blocking::ClientBuilder;
use reqwest::{Certificate, Identity, Url};
use serde::Serialize;

use super::Error;

/// The longest file that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// How `https` servers are believed, and what they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// A PEM file of authorities that are believed beside the system's.
    pub ca_file: Option<PathBuf>,
    /// What is shown to servers; the first for a host counts.
    pub certificates: Vec<ClientCertificate>,
}

/// What one server is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientCertificate {
    /// The host, as addresses have it, in lower case.
    pub host: String,
    /// A PEM file: the certificate, then those that lead to its authority.
    pub cert: PathBuf,
    /// The PEM file of its private key; may be the same.
    pub key: PathBuf,
}

/// What is wrong with a file of certificates or keys.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFlaw {
    /// It cannot be read.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    /// It has no certificate in PEM.
    #[error("has no certificate in PEM")]
    NoCertificate,
    /// It has no private key in PEM.
    #[error("has no private key in PEM")]
    NoKey,
    /// Its private key wants a passphrase.
    #[error("has a private key that is encrypted")]
    EncryptedKey,
    /// Everybody on this machine can read the private key.
    #[error("has a private key, and all users of this machine can read it (mode {0:04o})")]
    Open(u32),
    /// What is between the PEM lines is nothing that the TLS library can use.
    #[error("cannot be used")]
    Malformed(#[source] reqwest::Error),
    /// The TLS library does not take certificate and key together.
    #[error("cannot be used with the private key in {}", key.display())]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// What it says.
        source: reqwest::Error,
    },
}

impl CertificateFlaw {
    /// The way out.
    pub(super) fn hint(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Unreadable(_) => "tls.ca_file and tls.certificates in the configuration name such files: check the path and its rights".to_owned(),
            Self::NoCertificate => {
                "it needs a block -----BEGIN CERTIFICATE-----; openssl x509 -inform DER -in FILE makes one of a binary file".to_owned()
            }
            Self::NoKey => "it needs a block -----BEGIN PRIVATE KEY-----; where it is in a file of its own, name that as key".to_owned(),
            Self::EncryptedKey => format!("nobody is asked for a passphrase here: openssl pkey -in {path} -out FILE writes it without one"),
            Self::Open(_) => format!("take the right from others: chmod o= {path}"),
            Self::Malformed(_) => format!("openssl x509 -in {path} -noout, or openssl pkey -in {path} -check -noout, says more"),
            Self::Mismatch { .. } => "both must be whole, and of one key pair (RSA, ECDSA or Ed25519)".to_owned(),
        }
    }
}

impl Tls {
    /// The place in the list of what is for this address, if anything is.
    pub(super) fn position(&self, url: &Url) -> Option<usize> {
        let host = url.host_str().filter(|_| url.scheme() == "https")?;
        self.certificates.iter().position(|certificate| certificate.host.eq_ignore_ascii_case(host))
    }

    /// The authorities to believe beside the system's.
    pub(super) fn authorities(&self) -> Result<Vec<Certificate>, Error> {
        let Some(path) = &self.ca_file else { return Ok(Vec::new()) };
        let (bytes, _) = read(path)?;
        if !has_block(&bytes, "CERTIFICATE") {
            return Err(flawed(path, CertificateFlaw::NoCertificate));
        }
        let malformed = |error| flawed(path, CertificateFlaw::Malformed(error));
        let authorities = Certificate::from_pem_bundle(&bytes).map_err(malformed)?;
        // What is inside of them is looked at only when a client is made.
        ClientBuilder::new().tls_certs_only(authorities.clone()).build().map_err(malformed)?;
        Ok(authorities)
    }
}

impl ClientCertificate {
    /// A client that shows it.
    pub(super) fn shown_by(&self, builder: ClientBuilder) -> Result<ClientBuilder, Error> {
        Ok(builder.identity(self.identity()?))
    }

    /// Why no client could be made that shows it.
    pub(super) fn refused(&self, source: reqwest::Error) -> Error {
        flawed(&self.cert, CertificateFlaw::Mismatch { key: self.key.clone(), source })
    }

    fn identity(&self) -> Result<Identity, Error> {
        let (mut pem, _) = read(&self.cert)?;
        if !has_block(&pem, "CERTIFICATE") {
            return Err(flawed(&self.cert, CertificateFlaw::NoCertificate));
        }
        let (key, mode) = read(&self.key)?;
        let is_encrypted = has_block(&key, "ENCRYPTED PRIVATE KEY") || has_text(&key, "Proc-Type: 4,ENCRYPTED");
        let flaw = if is_encrypted {
            Some(CertificateFlaw::EncryptedKey)
        } else if !["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"].iter().any(|label| has_block(&key, label)) {
            Some(CertificateFlaw::NoKey)
        } else {
            (mode & 0o006 != 0).then_some(CertificateFlaw::Open(mode & 0o7777))
        };
        if let Some(flaw) = flaw {
            return Err(flawed(&self.key, flaw));
        }
        if self.key != self.cert {
            pem.push(b'\n');
            pem.extend(key);
        }
        Identity::from_pem(&pem).map_err(|error| flawed(&self.cert, CertificateFlaw::Malformed(error)))
    }
}

fn flawed(path: &Path, flaw: CertificateFlaw) -> Error {
    Error::Certificate { path: path.to_owned(), flaw }
}

/// The bytes of a file, and its mode.
fn read(path: &Path) -> Result<(Vec<u8>, u32), Error> {
    let read = || {
        // Looked at before it is opened: opening a pipe would wait for a writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut bytes = Vec::new();
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok((bytes, mode))
    };
    read().map_err(|error| flawed(path, CertificateFlaw::Unreadable(error)))
}

/// Whether a file has a PEM block of this kind (RFC 7468).
fn has_block(bytes: &[u8], label: &str) -> bool {
    has_text(bytes, &format!("-----BEGIN {label}-----"))
}

fn has_text(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
