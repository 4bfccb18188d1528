//! The signatures inside of RPM packages: each must be signed by a key of the repository that it came from.
//!
//! A signature is over the header, which promises the digests of what is in the package; these are compared when it is unpacked (`root`). So the list of a
//! repository decides which packages there are, and never what they are. Packages of repositories that the user lets be unproven are passed over, and so
//! are those of the spec's folders.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;

use rayon::prelude::*;

use super::{Error, Request, archives};
use crate::cache::Coordinates;
use crate::distro::Packaging;
use crate::progress::Cancel;
use crate::repo::signature::{self, SignatureError};
use crate::repo::{Keyring, PackageRecord};
use crate::root::{self, Source};
use crate::store;

/// A package that its signature does not prove.
#[derive(Debug)]
pub struct Unproven {
    /// Which one.
    pub package: Coordinates,
    /// Why not.
    pub cause: Flaw,
}

/// What is wrong with the signature of a package.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// No key of the repository made it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is from a repository that the spec does not have: nobody said whose signature would be good.
    #[error("its repository is none of this spec's")]
    Stranger,
    /// The header that is signed has no digests of what is in the package.
    #[error("its signature says nothing of what is in it")]
    Partial,
    /// It is no package.
    #[error(transparent)]
    Package(#[from] root::Error),
    /// The store does not have it whole.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Its file cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[from] std::io::Error),
}

impl Flaw {
    /// A way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Signature(error) => error.hint(),
            Self::Store(error) => error.hint(),
            // Only a lock can name such a package.
            Self::Stranger => Some("make the lock anew: image-composer lock SPEC --upgrade".to_owned()),
            Self::Partial | Self::Package(_) | Self::Unreadable(_) => None,
        }
    }
}

/// The keys that the packages of each repository are signed with.
pub(super) struct Signatures {
    /// By the identity of the repository; none where the user lets its packages be unproven, and for folders.
    keyrings: HashMap<String, Option<Keyring>>,
    /// Seconds since the epoch.
    now: u64,
}

impl Signatures {
    /// For the repositories of a spec; none for Debian's packages, which their repository alone proves.
    pub(super) fn of(request: &Request) -> Result<Option<Self>, Error> {
        if request.spec.profile.packaging != Packaging::Rpm {
            return Ok(None);
        }
        let keys = archives::configure(request)?.into_iter().map(|archive| (archive.id, archive.trust.keyring().cloned()));
        let folders = request.spec.spec.folders.iter().map(|folder| (folder.id.clone(), None));
        Ok(Some(Self { keyrings: keys.chain(folders).collect(), now: super::now() }))
    }

    /// What of all this an installed tree depends on: of each repository that one of the packages is from, the keys that were believed.
    pub(super) fn believed(&self, records: &[PackageRecord]) -> BTreeMap<String, Vec<String>> {
        let of_record = |record: &PackageRecord| {
            let (id, keyring) = self.keyrings.get_key_value(record.coordinates.repository())?;
            Some((id.clone(), keyring.as_ref()?.fingerprints()))
        };
        records.iter().filter_map(of_record).collect()
    }

    /// Those of the packages that are not proven, by their place.
    pub(super) fn unproven(&self, packages: &[(&PackageRecord, &Source)], cancel: &Cancel) -> Result<Vec<(usize, Unproven)>, Error> {
        let outcomes = packages.par_iter().enumerate().map(|(place, (record, source))| {
            cancel.check()?;
            let flaw = match self.keyrings.get(record.coordinates.repository()) {
                Some(None) => None,
                Some(Some(keyring)) => check(&record.coordinates, source, record.size, keyring, self.now).err(),
                None => Some(Flaw::Stranger),
            };
            Ok(flaw.map(|cause| (place, Unproven { package: record.coordinates.clone(), cause })))
        });
        Ok(outcomes.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
    }
}

fn check(package: &Coordinates, source: &Source, len: u64, keyring: &Keyring, now: u64) -> Result<(), Flaw> {
    let input: Box<dyn Read> = match source {
        Source::Blob { path, digest } | Source::Plain { path, digest } => Box::new(store::open_file(path, digest)?),
        Source::File(path) => Box::new(File::open(path)?),
        // It was looked at when it was installed.
        Source::Installed => return Ok(()),
    };
    let signed = root::Signed::read(&package.to_string(), input, len)?;
    let mut refused = SignatureError::Unsigned;
    for bytes in &signed.signatures {
        match signature::verify_detached(&signed.header, bytes, keyring, now) {
            Ok(_) if signed.covers_payload => return Ok(()),
            Ok(_) => return Err(Flaw::Partial),
            Err(error) => refused = error,
        }
    }
    Err(refused.into())
}

#[cfg(test)]
mod tests {
    use pgp::composed::{ArmorOptions, KeyType};
    use pgp::crypto::hash::HashAlgorithm;
    use pgp::packet::SignatureType;

    use super::*;
    use crate::repo::signature::Reason;
    use crate::repo::signature::tests::keys::{KEY_BIRTH, KeyOptions, SignOptions, TestKey};
    use crate::root::RpmBuilder;

    fn judged(package: &[u8], key: &TestKey) -> Result<(), Flaw> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), package).unwrap();
        let coordinates = Coordinates::new("demo", "1-1", "noarch", "test").unwrap();
        let keyring = Keyring::parse("test", &key.public()).unwrap();
        check(&coordinates, &Source::File(file.path().to_owned()), package.len() as u64, &keyring, u64::from(KEY_BIRTH) + 100_000)
    }

    fn signed(key: &TestKey, change: impl FnOnce(RpmBuilder) -> RpmBuilder) -> RpmBuilder {
        let package = change(RpmBuilder::new("demo", "1", "1").file("/usr/share/demo", b"demo", 0o644));
        let signature = key.sign_detached(&package.header(), &SignOptions::default());
        package.signed(signature)
    }

    #[test]
    fn a_package_is_proven_by_a_key_of_its_repository_alone() {
        let (key, other) = (TestKey::new(1), TestKey::new(2));
        let package = signed(&key, |package| package);
        judged(&package.build(), &key).unwrap();
        assert!(matches!(judged(&package.build(), &other), Err(Flaw::Signature(SignatureError::Refused(_)))));
        let unsigned = RpmBuilder::new("demo", "1", "1").build();
        assert!(matches!(judged(&unsigned, &key), Err(Flaw::Signature(SignatureError::Unsigned))));
    }

    /// As Red Hat and others sign.
    #[test]
    fn a_package_is_proven_by_a_signature_of_version_3() {
        let key = TestKey::with(KeyOptions { kind: KeyType::Rsa(2048), ..KeyOptions::default() });
        let package = RpmBuilder::new("demo", "1", "1").file("/usr/share/demo", b"demo", 0o644);
        let signed = |header: &[u8], digest| {
            let signature = key.sign_version_3(header, SignatureType::Binary, &SignOptions { digest, ..SignOptions::default() });
            package.clone().signed(signature.to_armored_string(ArmorOptions::default()).unwrap()).build()
        };
        judged(&signed(&package.header(), HashAlgorithm::Sha256), &key).unwrap();
        for (refused, reason) in [
            (signed(b"of another package", HashAlgorithm::Sha256), Reason::Mismatch),
            (signed(&package.header(), HashAlgorithm::Sha1), Reason::WeakDigest("SHA1".to_owned())),
        ] {
            let Err(Flaw::Signature(SignatureError::Refused(rejections))) = judged(&refused, &key) else { panic!("not refused") };
            assert_eq!(rejections[0].reason, reason);
        }
    }

    #[test]
    fn a_package_of_a_repository_that_is_not_known_is_refused() {
        let records = crate::repo::rpm::primary::tests::records("demo 1-1");
        let packages = [(&records[0], &Source::Installed)];
        let flaws = |keyrings| Signatures { keyrings, now: 0 }.unproven(&packages, &Cancel::default()).unwrap();
        let found = flaws(HashMap::from([("other".to_owned(), None)]));
        assert!(matches!(found[..], [(0, Unproven { cause: Flaw::Stranger, .. })]), "{found:?}");
        assert!(flaws(HashMap::from([("test".to_owned(), None)])).is_empty());
    }

    #[test]
    fn a_changed_header_is_refused() {
        let key = TestKey::new(1);
        let package = signed(&key, |package| package).build();
        let at = package.windows(4).rposition(|bytes| bytes == b"demo").unwrap();
        let mut changed = package.clone();
        changed[at] = b'D';
        let Err(Flaw::Signature(SignatureError::Refused(rejections))) = judged(&changed, &key) else { panic!("not refused") };
        assert_eq!(rejections[0].reason, Reason::Mismatch);
        judged(&package, &key).unwrap();
    }

    #[test]
    fn a_signature_that_says_nothing_of_the_contents_is_none() {
        let key = TestKey::new(1);
        let weak = signed(&key, |package| package.algorithm(1));
        assert!(matches!(judged(&weak.build(), &key), Err(Flaw::Partial)));
        judged(&signed(&key, |package| package.algorithm(1).promised()).build(), &key).unwrap();
    }
}
