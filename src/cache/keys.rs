//! The keys of the caches. A key is the digest of everything that can change what is filed under it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, ParseDigestError};

/// The hash of a whole spec: the key of the image cache, and what `cache info` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpecHash(Digest);

impl SpecHash {
    /// The hash of a spec's canonical CBOR (`format::cbor`).
    pub fn of_canonical(bytes: &[u8]) -> Self {
        Self(Digest::derive("image-composer 2026-11 spec hash", bytes))
    }

    /// The digest as such.
    pub fn digest(&self) -> &Digest {
        &self.0
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

/// The key of the root cache: everything that makes an installed tree what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootKey(Digest);

impl RootKey {
    /// The key of these inputs in canonical CBOR.
    pub fn of_canonical(bytes: &[u8]) -> Self {
        Self(Digest::derive("image-composer 2026-11 root key", bytes))
    }

    /// The digest as such.
    pub fn digest(&self) -> &Digest {
        &self.0
    }
}

impl From<Digest> for SpecHash {
    /// Reads a key back from where it was stored.
    fn from(digest: Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SpecHash {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
