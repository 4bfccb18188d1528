//! One suite: its Release file, proven, and then its indexes.

use std::sync::Arc;

use super::kept::{AsOf, Kept, Listed, Proof};
use super::mirrors::{Current, Tried, join, mirrors};
use super::{ArchiveConfig, DEFAULT_PIN, Load, SuiteConfig, append, in_parallel};
use crate::digest::Digest;
use crate::fetch::{self, Validators};
use crate::progress::Event;
use crate::repo::deb::release::Release;
use crate::repo::error::{Cause, Error, Failure, Missing};
use crate::repo::list::Head;
use crate::repo::record::{Archive, PackageRecord, ReleaseInfo};
use crate::repo::signature::{self, SignatureError, Verified};
use crate::repo::trust::Trust;

/// The longest Release file in bytes. Debian's longest are below 1 MB.
pub(crate) const RELEASE_LIMIT: u64 = 32 << 20;

/// The longest detached signature in bytes.
pub(super) const SIGNATURE_LIMIT: u64 = 1 << 20;

/// A Release file that is proven.
pub(super) struct Proven {
    pub(super) release: Release,
    /// Of `InRelease`, or of `Release` where the archive has none.
    digest: Digest,
    /// Which mirror it came from; the first offline.
    pub(super) mirror: usize,
    /// The fingerprints of the keys that signed it.
    signers: Vec<String>,
    /// The file, or the pair of files, to be kept with the indexes.
    proofs: Vec<Proof>,
}

impl Load<'_> {
    /// The state of a suite, and its packages.
    pub(super) fn suite(
        &self,
        config: &ArchiveConfig,
        archive: &Arc<Archive>,
        suite: &SuiteConfig,
    ) -> Result<(ReleaseInfo, Vec<PackageRecord>), Error> {
        self.cancel.check()?;
        let kept = Kept { cache: self.cache, archive: &config.id };
        let (proven, listed) = self.of_one_state(&suite.name, || {
            let proven = if self.options.offline {
                self.kept_release(config, suite, kept, AsOf::Fetched)?
            } else {
                self.fetched_release(config, suite, kept)?
            };
            let wanted = self.wanted(config, suite, &proven)?;
            let archive = match proven.release.automatic.pin().filter(|_| config.pin == DEFAULT_PIN) {
                Some(pin) => &Arc::new(Archive { pin, ..Archive::clone(archive) }),
                None => archive,
            };
            let listed = all_listed(in_parallel(&wanted, |index| self.listed((config, archive), suite, &proven, kept, index)));
            Ok((proven, listed))
        })?;
        let (mut all, mut proofs, mut lists) = (Vec::new(), proven.proofs, Vec::new());
        for Listed { records, head, made, proof } in listed {
            self.warn_of_left_out(&config.id, &head);
            append(&mut all, records);
            proofs.push(proof);
            lists.extend(made);
        }
        if !self.options.offline {
            kept.keep(&proofs)?;
        }
        kept.keep_lists(&lists);
        let release = ReleaseInfo {
            archive: config.id.clone(),
            suite: suite.name.clone(),
            date: proven.release.date,
            digest: proven.digest,
            keys: proven.signers,
        };
        Ok((release, all))
    }

    /// Warns of the packages of an index that cannot be used.
    pub(super) fn warn_of_left_out(&self, archive: &str, Head { unproven, unusable, .. }: &Head) {
        if let Some(first) = unproven.first() {
            let warning = format!("{} packages of {archive} carry no SHA-256 digest and are left out ({first} is the first)", unproven.len());
            self.progress.report(Event::Warning(&warning));
        }
        if let Some((name, problem)) = unusable.first() {
            let others = unusable.len() - 1;
            let others = if others == 0 { String::new() } else { format!(" (and {others} others, each for a reason of its own)") };
            self.progress.report(Event::Warning(&format!("{name} of {archive} is left out: {problem}{others}")));
        }
    }

    /// The Release file from the first mirror that has one which can be used. Where the mirrors have only older ones than the store, the store's: one address
    /// is often served by several machines, of which some are behind.
    fn fetched_release(&self, config: &ArchiveConfig, suite: &SuiteConfig, kept: Kept<'_>) -> Result<Proven, Error> {
        let newest =
            self.kept_releases(config, suite, kept, AsOf::Fetched)?.into_iter().flatten().map(|proven| proven.release.date).max().unwrap_or(0);
        let fetched = self.first_of(config, &suite.name, mirrors(config, 0), |(number, mirror)| {
            let proven = self.release_of(config, suite, kept, mirror).and_then(|proven| self.not_older(proven, newest, mirror))?;
            Ok(Proven { mirror: number, ..proven })
        });
        self.or_kept(fetched, || Ok(Some(self.kept_release(config, suite, kept, AsOf::Now)?)))
    }

    fn release_of(&self, config: &ArchiveConfig, suite: &SuiteConfig, kept: Kept<'_>, mirror: &str) -> Result<Proven, Tried> {
        let path = suite.path("InRelease");
        let url = join(mirror, &path);
        let now = self.options.now;
        let Current { bytes, is_new, validators } = match self.current(&url, RELEASE_LIMIT, kept.read(&path)?) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return self.detached_release_of(config, suite, mirror, error),
            Err(error) => return Err(Tried::of(&url, error)),
        };
        let verified = config.trust.check_cleartext(&bytes, now).map_err(|error| Tried::of(&url, error))?;
        let digest = Digest::of(&bytes);
        let proof = Proof { path, new: is_new.then(|| Arc::new(bytes)), validators, signers: verified.signers.clone() };
        self.judged(suite, &verified, digest, now, vec![proof]).map_err(|cause| Tried::of(&url, cause))
    }

    /// The pair of files that archives without `InRelease` have; where nothing needs to prove it, `Release` alone. It is small enough to be asked for as a
    /// whole each time.
    fn detached_release_of(&self, config: &ArchiveConfig, suite: &SuiteConfig, mirror: &str, no_inrelease: fetch::Error) -> Result<Proven, Tried> {
        let ask = |name: &str, limit| {
            let path = suite.path(name);
            let url = join(mirror, &path);
            let answer = self.whole(&url, limit);
            (path, url, answer)
        };
        let (text_path, url, text) = ask("Release", RELEASE_LIMIT);
        let text = text.map_err(|error| {
            // Where there is no Release either, the user should hear of the file that ought to be there.
            let error = if error.is_not_found() { no_inrelease } else { error };
            Tried::of(&url, error)
        })?;
        let (now, digest) = (self.options.now, Digest::of(&text));
        let proof = |path, bytes, signers| Proof { path, new: Some(Arc::new(bytes)), validators: Validators::default(), signers };
        let Some(keyring) = config.trust.keyring() else {
            let proofs = vec![proof(text_path, text.clone(), Vec::new())];
            let unproven = Verified { text, signers: Vec::new() };
            return self.judged(suite, &unproven, digest, now, proofs).map_err(|cause| Tried::of(&url, cause));
        };
        let (signature_path, signature_url, signature) = ask("Release.gpg", SIGNATURE_LIMIT);
        let signature = signature
            .map_err(|error| if error.is_not_found() { Tried::of(&url, SignatureError::Unsigned) } else { Tried::of(&signature_url, error) })?;
        let verified = signature::verify_detached(&text, &signature, keyring, now).map_err(|error| Tried::of(&url, error))?;
        let signers = &verified.signers;
        let proofs = vec![proof(text_path, text, signers.clone()), proof(signature_path, signature, signers.clone())];
        self.judged(suite, &verified, digest, now, proofs).map_err(|cause| Tried::of(&url, cause))
    }

    /// Refuses what was made before the newest Release that this store has seen: a signature holds for ever, so without this a mirror could serve
    /// yesterday's packages, with their holes, until `Valid-Until`, which not every archive has.
    fn not_older(&self, proven: Proven, newest: u64, mirror: &str) -> Result<Proven, Tried> {
        if !self.options.check_age {
            return Ok(proven);
        }
        let path = proven.proofs.first().map_or("", |proof| &proof.path);
        proven.release.check_not_older(newest).map_err(|error| Tried::of(&join(mirror, path), error))?;
        Ok(proven)
    }

    /// The newest Release file that the store has kept.
    fn kept_release(&self, config: &ArchiveConfig, suite: &SuiteConfig, kept: Kept<'_>, as_of: AsOf) -> Result<Proven, Error> {
        let releases = self.kept_releases(config, suite, kept, as_of)?;
        let newest = releases.into_iter().max_by_key(|release| release.as_ref().map_or(0, |proven| proven.release.date));
        let missing = || Missing { archive: config.id.clone(), path: suite.path("InRelease") };
        newest.unwrap_or_else(|| Err(Error::Offline(vec![missing()])))
    }

    /// What the store has kept: an archive may have changed from `InRelease` to the pair of files, or back, so it may be both.
    fn kept_releases(&self, config: &ArchiveConfig, suite: &SuiteConfig, kept: Kept<'_>, as_of: AsOf) -> Result<Vec<Result<Proven, Error>>, Error> {
        let path = |name: &str| suite.path(name);
        let judged = |name: &str, bytes: &[u8], fetched_at: u64, verify: &dyn Fn(u64) -> Result<Verified, SignatureError>| {
            let as_of = as_of.time(fetched_at, self.options.now);
            let proven = verify(as_of).map_err(Cause::from).and_then(|text| self.judged(suite, &text, Digest::of(bytes), as_of, Vec::new()));
            proven.map_err(|cause| Error::of_suite(&config.id, &suite.name, vec![Failure { url: path(name), cause }]))
        };
        let mut releases = Vec::new();
        if let Some(text) = kept.read(&path("Release"))? {
            let mut judge = |verify: &dyn Fn(u64) -> Result<Verified, SignatureError>| {
                releases.push(judged("Release", &text.bytes, text.fetched_at, verify));
            };
            match &config.trust {
                Trust::Unverified => judge(&|_| signature::unframed(&text.bytes)),
                Trust::Keys(keyring) | Trust::Packages(keyring) => {
                    if let Some(signature) = kept.read(&path("Release.gpg"))? {
                        judge(&|as_of| signature::verify_detached(&text.bytes, &signature.bytes, keyring, as_of));
                    }
                }
            }
        }
        if let Some(file) = kept.read(&path("InRelease"))? {
            let verify = |as_of| config.trust.check_cleartext(&file.bytes, as_of);
            releases.push(judged("InRelease", &file.bytes, file.fetched_at, &verify));
        }
        Ok(releases)
    }

    /// What a signed text says, if it may be used at the time `as_of`.
    fn judged(
        &self,
        suite: &SuiteConfig,
        Verified { text, signers }: &Verified,
        digest: Digest,
        as_of: u64,
        proofs: Vec<Proof>,
    ) -> Result<Proven, Cause> {
        let release = Release::parse(text)?;
        // A flat repository is known by its place: what its Release calls itself is nobody's name for it.
        release.check(suite.flat().is_none().then_some(suite.name.as_str()), as_of)?;
        if self.options.check_age {
            release.check_valid_until(as_of)?;
        }
        Ok(Proven { release, digest, mirror: 0, signers: signers.clone(), proofs })
    }
}

/// All indexes, or what is wrong with the first; offline all that is missing.
fn all_listed(results: Vec<Result<Listed, Error>>) -> Result<Vec<Listed>, Error> {
    let (mut listed, mut missing) = (Vec::with_capacity(results.len()), Vec::new());
    for result in results {
        match result {
            Err(Error::Offline(more)) => missing.extend(more),
            other => listed.push(other?),
        }
    }
    if missing.is_empty() { Ok(listed) } else { Err(Error::Offline(missing)) }
}
