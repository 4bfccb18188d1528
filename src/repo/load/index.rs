//! One index: chosen from the Release, taken from the store or a mirror, checked and read.

use std::sync::Arc;

use super::decode::Compression;
use super::kept::{Kept, KeptAs, Listed, Made, Proof};
use super::mirrors::{Tried, join, mirrors};
use super::suite::Proven;
use super::{ArchiveConfig, INDEX_LIMIT, Load, SuiteConfig};
use crate::digest::Sha256;
use crate::repo::deb::packages;
use crate::repo::deb::release::{IndexFile, Release, ReleaseError};
use crate::repo::error::{Cause, Error, Failure, Missing};
use crate::repo::list::List;
use crate::repo::record::Archive;

/// An index that a suite has.
pub(super) struct Index {
    /// The path of the decompressed file beneath the archive's base address.
    pub(super) path: String,
    /// The decompressed file, where the Release lists it.
    plain: Option<IndexFile>,
    /// What can be had, best first; never empty.
    offered: Vec<(Compression, IndexFile)>,
}

/// An index as it was found.
struct Found {
    /// As it came.
    bytes: Vec<u8>,
    /// Decompressed, where it was not.
    decoded: Option<Vec<u8>>,
    /// Where it is kept, or will be.
    path: String,
    /// What the Release says of it.
    sha256: Sha256,
    /// Whether it came from a mirror.
    is_new: bool,
}

impl Load<'_> {
    /// The indexes of the components that are asked for: of the architecture, and of `all` where that is an index of its own.
    pub(super) fn wanted(&self, config: &ArchiveConfig, suite: &SuiteConfig, proven: &Proven) -> Result<Vec<Index>, Error> {
        let release = &proven.release;
        let refused = |cause: Cause| {
            let url = suite.path("InRelease");
            Error::of_suite(&config.id, &suite.name, vec![Failure { url, cause }])
        };
        if suite.flat().is_some() {
            // One index for all architectures; what is of others is left out when it is read.
            let index = find(release, suite, "Packages");
            return index
                .map(|index| vec![index])
                .ok_or_else(|| refused(Cause::NotListed { component: "./".to_owned(), arch: self.arch.to_owned() }));
        }
        let mut wanted = Vec::new();
        for component in &suite.components {
            release.check_offer(component, self.arch).map_err(|error: ReleaseError| refused(error.into()))?;
            let own = find_of(release, suite, component, self.arch);
            // As apt reads it: `all` is an index of its own if the Release names it as an architecture and does not say that it is included.
            let of_all = (release.architectures.iter().any(|arch| arch == "all") && !release.all_is_included)
                .then(|| find_of(release, suite, component, "all"))
                .flatten();
            if own.is_none() && of_all.is_none() {
                return Err(refused(Cause::NotListed { component: component.clone(), arch: self.arch.to_owned() }));
            }
            wanted.extend(own.into_iter().chain(of_all));
        }
        Ok(wanted)
    }

    /// The packages of an index: from the list that was made of it, or from its text.
    pub(super) fn listed(
        &self,
        (config, archive): (&ArchiveConfig, &Arc<Archive>),
        suite: &SuiteConfig,
        proven: &Proven,
        kept: Kept<'_>,
        index: &Index,
    ) -> Result<Listed, Error> {
        let records = |list: &Arc<List>| list.records(archive, |name| config.takes(name));
        let kept_as = index.kept_as();
        if let Some(listed) = kept.listed(&kept_as, self.arch, records)? {
            return Ok(listed);
        }
        let found = self.index(config, &suite.name, proven, kept, index)?;
        let refused = |cause: Cause| Error::of_suite(&config.id, &suite.name, vec![Failure { url: index.path.clone(), cause }]);
        let list = Arc::new(packages::parse(found.text(), &config.id, self.arch).map_err(|error| refused(error.into()))?);
        let records = records(&list).map_err(|error| refused(error.into()))?;
        let head = list.head().clone();
        let made = Made { list, index: kept_as, path: found.path.clone(), sha256: found.sha256 };
        Ok(Listed { records, head, made: Some(made), proof: found.into_proof() })
    }

    /// The text of an index, as the Release vouches for it, and what of it is to be kept.
    fn index(&self, config: &ArchiveConfig, suite: &str, proven: &Proven, kept: Kept<'_>, index: &Index) -> Result<Found, Error> {
        if let Some(found) = kept_index(kept, index)? {
            return Ok(found);
        }
        if self.options.offline {
            return Err(Error::Offline(vec![Missing { archive: config.id.clone(), path: index.path.clone() }]));
        }
        let places = mirrors(config, proven.mirror).flat_map(|(_, mirror)| index.offered.iter().map(move |offered| (mirror, *offered)));
        self.first_of(config, suite, places, |(mirror, (compression, file))| self.fetched_text(mirror, &proven.release, index, compression, file))
    }

    /// The index from one mirror in one compression.
    fn fetched_text(&self, mirror: &str, release: &Release, index: &Index, compression: Compression, file: IndexFile) -> Result<Found, Tried> {
        let limit = file.size.min(INDEX_LIMIT);
        let path = format!("{}{}", index.path, compression.suffix());
        let directory = index.path.rsplit_once('/').map_or(String::new(), |(directory, _)| format!("{directory}/"));
        // By its digest the file is there before and after the mirror's update, while its name may stand for another one already.
        let by_hash = release.by_hash.then(|| join(mirror, &format!("{directory}by-hash/SHA256/{}", file.sha256)));
        let by_name = join(mirror, &path);
        let (mut url, mut answer) = (by_name.clone(), None);
        if let Some(by_hash) = by_hash {
            match self.whole(&by_hash, limit) {
                Err(error) if error.is_not_found() => {}
                other => (url, answer) = (by_hash, Some(other)),
            }
        }
        let bytes = answer.unwrap_or_else(|| self.whole(&by_name, limit)).map_err(|error| Tried::of(&url, error))?;
        check(&bytes, file).map_err(|cause| Tried::of(&url, cause))?;
        let decoded = index.decoded(compression, &bytes).map_err(|cause| Tried::of(&url, cause))?;
        Ok(Found { bytes, decoded, path: index.path.clone(), sha256: file.sha256, is_new: true })
    }
}

impl Index {
    /// All of its files that the Release lists, best first.
    fn files(&self) -> impl Iterator<Item = (Compression, IndexFile)> {
        let plain = self.plain.map(|plain| (Compression::None, plain));
        self.offered.iter().copied().chain(plain)
    }

    /// It is kept under one name, whatever its compression, so that the next one takes its place.
    fn kept_as(&self) -> KeptAs {
        let older = self.offered.iter().map(|(compression, _)| format!("{}{}", self.path, compression.suffix()));
        let mut places = vec![self.path.clone()];
        places.extend(older.filter(|place| *place != self.path));
        KeptAs { places, digests: self.files().map(|(_, file)| file.sha256).collect() }
    }

    /// The text of a proven file, where that is not the text itself: no longer than it may be, and what the Release says of it, if it does.
    fn decoded(&self, compression: Compression, bytes: &[u8]) -> Result<Option<Vec<u8>>, Cause> {
        if compression == Compression::None {
            return Ok(None);
        }
        let text = compression.decode(bytes, self.plain.map(|plain| plain.size))?;
        if let Some(plain) = self.plain {
            check(&text, plain)?;
        }
        Ok(Some(text))
    }
}

impl Found {
    fn text(&self) -> &[u8] {
        self.decoded.as_deref().unwrap_or(&self.bytes)
    }

    /// What to keep of it: the file as it came. It is read again only where the list that was made of it is not there, and to compress it in another way took a
    /// sixth of the time of a first load.
    fn into_proof(self) -> Proof {
        Proof { new: self.is_new.then(|| Arc::new(self.bytes)), ..Proof::again(self.path) }
    }
}

/// The index of a component and architecture in a Release, if it is there.
fn find_of(release: &Release, suite: &SuiteConfig, component: &str, arch: &str) -> Option<Index> {
    find(release, suite, &format!("{component}/binary-{arch}/Packages"))
}

/// The index at this path of a Release, if it is there.
fn find(release: &Release, suite: &SuiteConfig, path: &str) -> Option<Index> {
    let mut offered: Vec<(Compression, IndexFile)> = Compression::ALL
        .into_iter()
        .filter_map(|compression| release.files.get(&format!("{path}{}", compression.suffix())).map(|file| (compression, *file)))
        .collect();
    // Archives list the decompressed file, which most of them do not have.
    if offered.len() > 1 {
        offered.retain(|(compression, _)| *compression != Compression::None);
    }
    let plain = release.files.get(path).copied();
    (!offered.is_empty()).then(|| Index { path: suite.path(path), plain, offered })
}

/// The kept file of an index, if it is one that the Release vouches for.
fn kept_index(kept: Kept<'_>, index: &Index) -> Result<Option<Found>, Error> {
    for path in index.kept_as().places {
        let Some(file) = kept.read(&path)? else { continue };
        let (length, sha256) = (file.bytes.len() as u64, Sha256::of(&file.bytes));
        let known = index.files().find(|(_, expected)| (expected.size, expected.sha256) == (length, sha256));
        if let Some((compression, _)) = known
            && let Ok(decoded) = index.decoded(compression, &file.bytes)
        {
            return Ok(Some(Found { bytes: file.bytes, decoded, path, sha256, is_new: false }));
        }
    }
    Ok(None)
}

pub(super) fn check(bytes: &[u8], expected: IndexFile) -> Result<(), Cause> {
    let found_len = bytes.len() as u64;
    let found = Sha256::of(bytes);
    if found_len == expected.size && found == expected.sha256 {
        return Ok(());
    }
    Err(Cause::Digest { expected: expected.sha256, expected_len: expected.size, found, found_len })
}
