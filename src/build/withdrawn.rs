//! Whether a kept image still rests on keys that are believed.
//!
//! An image keeps which keys signed the lists of packages that it was made from. Who takes a key out of a keyring, or has one there that its owner has revoked,
//! does not want what that key alone vouched for: such an image is not served, and a build asks for lists that other keys have signed. That a key has expired
//! since then is no matter. What an image was made from by a lock file is vouched for by that file, and has no keys.

use super::{Build, Error, archives, refresh};
use crate::cache::{ImageCache, ImageRecord};
use crate::repo::{ReleaseInfo, Trust};
use crate::resolve::Lock;

impl Build<'_> {
    /// Whether none of the keys is believed any more that signed one of the lists which `image` was made from. Keyrings are only read for lists that were signed.
    pub(super) fn is_withdrawn(&self, cache: &ImageCache<'_>, image: &ImageRecord) -> Result<bool, Error> {
        let Some(Lock { releases, .. }) = refresh::kept_lock(cache, image)? else { return Ok(false) };
        if releases.iter().all(|release| release.keys.is_empty()) {
            return Ok(false);
        }
        let trusts = archives::trusts(self.request)?;
        let refused = releases.iter().find(|release| !is_believed(release, &trusts));
        if let Some(ReleaseInfo { archive, suite, keys, .. }) = refused {
            self.journal.note(&format!("{archive} {suite} was signed by {}, which is not believed any more", keys.join(" and ")));
        }
        Ok(refused.is_some())
    }
}

/// A list that nothing had to prove, then or now, needs no key.
fn is_believed(release: &ReleaseInfo, trusts: &[(String, Trust)]) -> bool {
    let trust = trusts.iter().find(|(id, _)| *id == release.archive).map(|(_, trust)| trust);
    release.keys.is_empty() || trust.is_none_or(|trust| trust.keyring().is_none_or(|keyring| keyring.believes(&release.keys)))
}
