//! One RPM repository: its `repomd.xml`, proven by the signature beside it, and then its list of packages.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _};
use std::sync::Arc;

use super::decode::Compression;
use super::index::check;
use super::kept::{AsOf, Kept, KeptAs, Listed, Made, Proof};
use super::mirrors::{Current, Tried, join, mirrors};
use super::suite::{RELEASE_LIMIT, SIGNATURE_LIMIT};
use super::{ArchiveConfig, FileList, INDEX_LIMIT, Load, Loaded, SuiteConfig};
use crate::digest::{Digest, Sha256};
use crate::repo::deb::release::IndexFile;
use crate::repo::error::{Cause, Error, Failure, Missing};
use crate::repo::list::{Head, List};
use crate::repo::record::{Archive, PackageRecord, ReleaseInfo};
use crate::repo::rpm::repomd::{self, MetadataFile, Repomd};
use crate::repo::rpm::{XmlError, filelists, primary};
use crate::repo::signature::{self, SignatureError};
use crate::repo::trust::Trust;
use crate::root::Packaging;

const REPOMD: &str = "repodata/repomd.xml";
const SIGNATURE: &str = "repodata/repomd.xml.asc";

/// A `repomd.xml` that is proven.
struct Proven {
    repomd: Repomd,
    digest: Digest,
    /// Which mirror it came from; the first offline.
    mirror: usize,
    /// The fingerprints of the keys that signed it; none where its list needs no signature and has none.
    signers: Vec<String>,
    /// The files, to be kept with the list of packages.
    proofs: Vec<Proof>,
}

impl Load<'_> {
    /// The state of a repository, and its packages.
    pub(super) fn rpm_repository(&self, config: &ArchiveConfig, archive: &Arc<Archive>, suite: &SuiteConfig) -> Result<Loaded, Error> {
        self.cancel.check()?;
        let kept = Kept { cache: self.cache, archive: &config.id };
        let (proven, Listed { records, head, made, proof }) = self.of_one_state(&suite.name, || {
            let old = self.kept_repomd(config, suite, kept, AsOf::Fetched)?;
            let proven = match old {
                Some(old) if self.options.offline => old?,
                None if self.options.offline => return Err(Error::Offline(vec![missing(config, suite.path(REPOMD))])),
                old => self.fetched_repomd(config, suite, kept, old.and_then(Result::ok).map_or(0, |old| old.repomd.date))?,
            };
            let listed = self.primary((config, archive), suite, kept, &proven);
            Ok((proven, listed))
        })?;
        self.warn_of_left_out(&config.id, &head);
        let records = records.into_iter().map(|record| PackageRecord { filename: suite.path(&record.filename), ..record }).collect();
        if !self.options.offline {
            kept.keep(&proven.proofs.into_iter().chain([proof]).collect::<Vec<_>>())?;
        }
        kept.keep_lists(made.as_slice());
        let release = ReleaseInfo {
            archive: config.id.clone(),
            suite: suite.name.clone(),
            date: proven.repomd.date,
            digest: proven.digest,
            keys: proven.signers,
        };
        let Proven { repomd: Repomd { filelists, .. }, mirror, .. } = proven;
        let files = filelists.map(|file| FileList { config: config.clone(), suite: suite.clone(), mirror, file });
        Ok(Loaded { release, packages: records, files })
    }

    /// What the store has kept.
    fn kept_repomd(&self, config: &ArchiveConfig, suite: &SuiteConfig, kept: Kept<'_>, as_of: AsOf) -> Result<Option<Result<Proven, Error>>, Error> {
        let path = suite.path(REPOMD);
        let Some(text) = kept.read(&path)? else { return Ok(None) };
        let signature = kept.read(&suite.path(SIGNATURE))?.map(|file| file.bytes);
        let as_of = as_of.time(text.fetched_at, self.options.now);
        let judged = judged(config, &text.bytes, signature.as_deref(), as_of);
        let refused = |cause| Error::of_suite(&config.id, &suite.name, vec![Failure { url: path.clone(), cause }]);
        let proven = judged.map(|(repomd, signers)| Proven { repomd, digest: Digest::of(&text.bytes), mirror: 0, signers, proofs: Vec::new() });
        Ok(Some(proven.map_err(refused)))
    }

    /// The `repomd.xml` from the first mirror that has one which can be used. `newest` is the time of the one that was seen last: a signature holds for ever,
    /// so without it a mirror could serve yesterday's packages. Where all that could be used are older, it is the store's.
    fn fetched_repomd(&self, config: &ArchiveConfig, suite: &SuiteConfig, kept: Kept<'_>, newest: u64) -> Result<Proven, Error> {
        let fetched = self.first_of(config, &suite.name, mirrors(config, 0), |(number, mirror)| {
            Ok(Proven { mirror: number, ..self.repomd_of(config, suite, kept, mirror, newest)? })
        });
        self.or_kept(fetched, || self.kept_repomd(config, suite, kept, AsOf::Now)?.transpose())
    }

    /// One mirror's `repomd.xml` and the signature beside it. What is still as it was kept does not come again; that they belong together is checked anyway.
    fn repomd_of(&self, config: &ArchiveConfig, suite: &SuiteConfig, kept: Kept<'_>, mirror: &str, newest: u64) -> Result<Proven, Tried> {
        let ask = |path: &str, limit| {
            let path = suite.path(path);
            let (url, old) = (join(mirror, &path), kept.read(&path)?);
            Ok::<_, Tried>((self.current(&url, limit, old), url))
        };
        let (text, url) = ask(REPOMD, RELEASE_LIMIT)?;
        let text = text.map_err(|error| Tried::of(&url, error))?;
        let vouched = self.vouched.get(&config.id);
        if vouched.is_some_and(|vouched| !vouched.repomd.contains(&Sha256::of(&text.bytes))) {
            return Err(Tried::of(&url, Cause::Unknown));
        }
        let signature = match &config.trust {
            Trust::Unverified => None,
            Trust::Keys(_) | Trust::Packages(_) => match ask(SIGNATURE, SIGNATURE_LIMIT)? {
                (Ok(file), _) => Some(file),
                (Err(error), _) if error.is_not_found() => None,
                (Err(error), url) => return Err(Tried::of(&url, error)),
            },
        };
        let is_proven = proves_itself(mirror) || vouched.is_some_and(|vouched| vouched.proves);
        if matches!(config.trust, Trust::Packages(_)) && signature.is_none() && !is_proven {
            return Err(Tried::of(&url, Cause::Unproven));
        }
        let (repomd, signers) =
            judged(config, &text.bytes, signature.as_ref().map(|file| &file.bytes[..]), self.options.now).map_err(|cause| Tried::of(&url, cause))?;
        if self.options.check_age && repomd.date < newest {
            return Err(Tried::of(&url, Cause::Older { found: repomd.date, kept: newest }));
        }
        let digest = Digest::of(&text.bytes);
        let proof = |path: &str, Current { bytes, is_new, validators }| {
            let new = is_new.then_some(bytes);
            Proof { path: suite.path(path), new: new.map(Arc::new), validators, signers: signers.clone() }
        };
        let proofs = std::iter::once(proof(REPOMD, text)).chain(signature.map(|file| proof(SIGNATURE, file))).collect();
        Ok(Proven { repomd, digest, mirror: 0, signers, proofs })
    }

    /// The packages of the repository: from the list that was made of `primary.xml`, or from that. It is kept as it came, for only its digest can be checked,
    /// and under one name, so that the next one takes its place.
    fn primary(
        &self,
        (config, archive): (&ArchiveConfig, &Arc<Archive>),
        suite: &SuiteConfig,
        kept: Kept<'_>,
        proven: &Proven,
    ) -> Result<Listed, Error> {
        let file = &proven.repomd.primary;
        let (_, path) = kept_path(config, suite, file, "primary")?;
        let index = KeptAs { places: vec![path.clone()], digests: vec![file.sha256] };
        let takes = |name: &str| config.takes(name);
        if let Some(listed) = kept.listed(&index, self.arch, |list| list.records(archive, takes))? {
            return Ok(listed);
        }
        let (packages, proof) =
            self.list(config, suite, kept, (file, proven.mirror), "primary", |input| primary::parse(input, archive, self.arch))?;
        let primary::Packages { mut records, unproven, unusable } = packages;
        let head = Head { packaging: Packaging::Rpm, arch: self.arch.to_owned(), unproven, unusable };
        let list = Arc::new(List::of_records(head.clone(), &records));
        records.retain(|record| takes(record.coordinates.name()));
        Ok(Listed { records, head, made: Some(Made { list, index, path, sha256: file.sha256 }), proof })
    }

    /// The packages of a repository that have some of the `wanted` files, each with those; the list is kept.
    pub(super) fn owners(&self, list: &FileList, wanted: &BTreeSet<String>) -> Result<BTreeMap<Sha256, Vec<String>>, Error> {
        let FileList { config, suite, mirror, file } = list;
        let kept = Kept { cache: self.cache, archive: &config.id };
        let (owners, proof) = self.list(config, suite, kept, (file, *mirror), "filelists", |input| filelists::owners(input, wanted))?;
        if !self.options.offline {
            kept.keep(&[proof])?;
        }
        Ok(owners)
    }

    /// A list that a proven `repomd.xml` names, with the mirror that this came from. It is read as it is decompressed: of a list of 200 MB only what is made
    /// of it is ever in memory.
    fn list<T>(
        &self,
        config: &ArchiveConfig,
        suite: &SuiteConfig,
        kept: Kept<'_>,
        (file, mirror): (&MetadataFile, usize),
        name: &str,
        parse: impl Fn(&mut dyn BufRead) -> Result<T, XmlError>,
    ) -> Result<(T, Proof), Error> {
        let refused = |url: String, cause| Error::of_suite(&config.id, &suite.name, vec![Failure { url, cause }]);
        let (compression, path) = kept_path(config, suite, file, name)?;
        let proof = |new| Proof { new, ..Proof::again(path.clone()) };
        let read = |bytes: &[u8]| {
            let mut input = BufReader::with_capacity(1 << 18, compression.reader(bytes)?.take(INDEX_LIMIT));
            let read = parse(&mut input);
            if input.get_ref().limit() == 0 { Err(Cause::TooLong { limit: INDEX_LIMIT }) } else { Ok(read?) }
        };
        if let Some(old) = kept.read(&path)?.filter(|old| Sha256::of(&old.bytes) == file.sha256) {
            return Ok((read(&old.bytes).map_err(|cause| refused(path.clone(), cause))?, proof(None)));
        }
        if self.options.offline {
            return Err(Error::Offline(vec![missing(config, path)]));
        }
        let limit = file.size.unwrap_or(INDEX_LIMIT).min(INDEX_LIMIT);
        self.first_of(config, &suite.name, mirrors(config, mirror), |(_, mirror)| {
            let url = join(mirror, &suite.path(&file.path));
            let bytes = self.whole(&url, limit).map_err(|error| Tried::of(&url, error))?;
            let expected = IndexFile { size: file.size.unwrap_or(bytes.len() as u64), sha256: file.sha256 };
            check(&bytes, expected).map_err(|cause| Tried::of(&url, cause))?;
            let read = read(&bytes).map_err(|cause| Tried::of(&url, cause))?;
            Ok((read, proof(Some(Arc::new(bytes)))))
        })
    }
}

/// What a `repomd.xml` says, and who signed it.
fn judged(config: &ArchiveConfig, text: &[u8], signature: Option<&[u8]>, as_of: u64) -> Result<(Repomd, Vec<String>), Cause> {
    let signers = match &config.trust {
        Trust::Unverified => Vec::new(),
        Trust::Packages(_) if signature.is_none() => Vec::new(),
        Trust::Keys(keyring) | Trust::Packages(keyring) => {
            signature::verify_detached(text, signature.ok_or(SignatureError::Unsigned)?, keyring, as_of)?.signers
        }
    };
    let repomd = repomd::parse(text)?;
    // Which packages may be chosen would depend on which streams of modules are enabled.
    if repomd.has_modules { Err(Cause::Modules) } else { Ok((repomd, signers)) }
}

/// Whether nobody on the way can change what comes from an address.
pub(super) fn proves_itself(mirror: &str) -> bool {
    ["https://", "file://"].iter().any(|scheme| mirror.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))
}

/// How a list that `repomd.xml` names is compressed, and the path under which it is kept.
fn kept_path(config: &ArchiveConfig, suite: &SuiteConfig, file: &MetadataFile, name: &str) -> Result<(Compression, String), Error> {
    let unknown = || {
        let failure = Failure { url: suite.path(&file.path), cause: Cause::Compression };
        Error::of_suite(&config.id, &suite.name, vec![failure])
    };
    let compression = Compression::of(&file.path).ok_or_else(unknown)?;
    Ok((compression, suite.path(&format!("repodata/{name}.xml{}", compression.suffix()))))
}

fn missing(config: &ArchiveConfig, path: String) -> Missing {
    Missing { archive: config.id.clone(), path }
}
