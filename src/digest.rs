//! Digests: the names of bytes.
//!
//! [`Digest`] (BLAKE3) names what the store keeps; [`Sha256`] is what repositories promise about their files. The two are types of their own, so that
//! one is never checked against the other.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a digest of 64 hexadecimal digits")]
pub struct ParseDigestError(String);

/// The value of each hexadecimal digit, and 255 for all that is none. A list of packages has 63,000 digests, and a branch for each digit costs a millisecond
/// for every 2,000 of them.
const HEXADECIMAL: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut digit: u8 = 0;
    while digit < 16 {
        let letter = b"0123456789abcdef"[digit as usize];
        values[letter as usize] = digit;
        values[letter.to_ascii_uppercase() as usize] = digit;
        digit += 1;
    }
    values
};

macro_rules! digest_type {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The digest whose bytes these are.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first 12 hexadecimal digits, for people.
            pub fn short(&self) -> String {
                self.to_string()[..12].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let error = || ParseDigestError(text.chars().take(80).collect());
                let mut bytes = [0; 32];
                if text.len() != 2 * bytes.len() {
                    return Err(error());
                }
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let (high, low) = (HEXADECIMAL[usize::from(pair[0])], HEXADECIMAL[usize::from(pair[1])]);
                    if (high | low) > 0xf {
                        return Err(error());
                    }
                    *byte = high << 4 | low;
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

digest_type!(Digest, "A BLAKE3 digest of raw bytes: the identity of everything in the store.");
digest_type!(Sha256, "A SHA-256 digest, as repositories state them.");

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of `bytes` in a domain of its own: `context` is a constant of this program (BLAKE3's key derivation mode).
    pub fn derive(context: &'static str, bytes: &[u8]) -> Self {
        Self(blake3::derive_key(context, bytes))
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl Sha256 {
    /// The SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

/// Hands bytes through, and knows the digest of those that have passed.
#[derive(Debug)]
pub struct Sha256Reader<R> {
    source: R,
    hasher: sha2::Sha256,
    length: u64,
}

impl<R: Read> Sha256Reader<R> {
    /// Nothing has passed yet.
    pub fn new(source: R) -> Self {
        Self { source, hasher: sha2::Sha256::new(), length: 0 }
    }

    /// Of all that has been read.
    pub fn digest(self) -> Sha256 {
        Sha256(self.hasher.finalize().into())
    }

    /// How many bytes have been read.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl<R: Read> Read for Sha256Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.length += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_through_text() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn refuses_what_is_not_a_digest() {
        for text in ["", "zz", &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert!(text.parse::<Sha256>().is_err(), "{text}");
        }
    }
}
