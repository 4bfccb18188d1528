//! What makes the Release files of an archive believable.

use super::keyring::Keyring;
use super::signature::{self, SignatureError, Verified};

/// What must prove the Release files of an archive. Indexes and packages are always proven by the Release.
#[derive(Debug, Clone)]
pub enum Trust {
    /// A good signature by one of these keys.
    Keys(Keyring),
    /// The same where there is one. Where there is none, only the packages are signed by these keys, and their list is believed as it comes from an address
    /// that proves itself: `https`, or a file. A mirror can then withhold updates, and cannot forge packages.
    Packages(Keyring),
    /// Nothing: whoever answers at the address is believed, because the user wants it.
    Unverified,
}

impl Trust {
    /// The keys that packages of RPM repositories must be signed with; none where nothing has to be proven.
    pub fn keyring(&self) -> Option<&Keyring> {
        match self {
            Self::Keys(keyring) | Self::Packages(keyring) => Some(keyring),
            Self::Unverified => None,
        }
    }

    /// The text of an `InRelease`, as of `now` (seconds since the epoch).
    pub(super) fn check_cleartext(&self, message: &[u8], now: u64) -> Result<Verified, SignatureError> {
        match self {
            Self::Keys(keyring) | Self::Packages(keyring) => signature::verify_cleartext(message, keyring, now),
            Self::Unverified => signature::unframed(message),
        }
    }
}
