//! What makes the Release files of an archive believable.

use super::keyring::Keyring;
use super::signature::{self, SignatureError, Verified};

/// What must prove the Release files of an archive. Indexes and packages are always proven by the Release.
#[derive(Debug, Clone)]
pub enum Trust {
    /// A good signature by one of these keys.
    Keys(Keyring),
    /// Nothing: whoever answers at the address is believed, because the user wants it.
    Unverified,
}

impl Trust {
    /// The text of an `InRelease`, as of `now` (seconds since the epoch).
    pub(super) fn check_cleartext(&self, message: &[u8], now: u64) -> Result<Verified, SignatureError> {
        match self {
            Self::Keys(keyring) => signature::verify_cleartext(message, keyring, now),
            Self::Unverified => signature::unframed(message),
        }
    }
}
