//! What a check of the store found, by the names that people know: which package or image damaged bytes belong to, and what brings them back.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Coordinates, Result, SpecHash, package};
use crate::digest::Digest;
use crate::format::row::{ChunkRow, ImageRow, MetadataRow, PackageRow};
use crate::progress::{Cancel, Progress};
use crate::store::{Damage, Findings, Name, Object, Repaired, Store};

/// The outcome of a check.
#[derive(Debug)]
pub struct Verification {
    /// What was found, by what the store calls it.
    pub findings: Findings,
    /// To what each of [`Findings::damaged`] belongs, in the same order; sorted, and empty for what nothing needs.
    pub owners: Vec<Vec<Owner>>,
    /// What was mended, if that was asked for.
    pub repaired: Option<Repaired>,
}

/// What stored bytes belong to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// An image.
    Image(OwningImage),
    /// A package.
    Package(Coordinates),
    /// A file of a repository.
    Metadata {
        /// The identity of the archive.
        archive: String,
        /// The path within the archive.
        path: String,
    },
}

/// An image that has damaged parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwningImage {
    /// Its key.
    pub spec_hash: SpecHash,
    /// Its name and version, where its record can be read.
    pub name: Option<(String, String)>,
    /// Whether the disk itself is whole: only what is known beside it is damaged.
    pub disk_is_whole: bool,
}

impl Owner {
    /// What brings the bytes back.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Package(_) => "the next build fetches it again",
            Self::Metadata { .. } => "the next build fetches or makes it again",
            Self::Image(image) if image.disk_is_whole => "“build --rebuild” makes it again; its disk is whole",
            Self::Image(_) => "the next build of its spec builds it again",
        }
    }
}

/// Reads and checks everything in the store; with `repair`, mends what can be mended, and what cannot be counts as missing from then on. Reports the bytes of
/// files as [`crate::progress::Phase::Inspect`].
///
/// # Errors
/// An index that cannot be read; with `repair`, a store that cannot be written to; the user's wish to stop.
pub fn verify(store: &Store, repair: bool, progress: &dyn Progress, cancel: &Cancel) -> Result<Verification> {
    if repair {
        store.check_writable()?;
    }
    let findings = store.check(progress, cancel)?;
    let owners = Owners::of(store, &findings)?;
    let owners = findings.damaged.iter().map(|damage| owners.find(damage)).collect();
    let repaired = if repair { Some(store.repair(&findings, cancel)?) } else { None };
    Ok(Verification { findings, owners, repaired })
}

/// What a name is called.
pub fn owner_of(name: &Name, findings: &Findings) -> Option<Owner> {
    match name {
        Name::Package(key) => package::parse_key(key).map(Owner::Package),
        Name::Metadata(key) => metadata(key),
        Name::Image(key) => Some(image(key, false, findings)),
    }
}

fn metadata(key: &[u8]) -> Option<Owner> {
    let (archive, path) = std::str::from_utf8(key).ok()?.split_once('\0')?;
    Some(Owner::Metadata { archive: archive.to_owned(), path: path.to_owned() })
}

fn image(key: &Digest, disk_is_whole: bool, findings: &Findings) -> Owner {
    Owner::Image(OwningImage { spec_hash: SpecHash::from(*key), name: findings.image_names.get(key).cloned(), disk_is_whole })
}

/// What everything belongs to.
struct Owners {
    by_object: HashMap<Object, BTreeSet<Owner>>,
}

impl Owners {
    fn of(store: &Store, findings: &Findings) -> Result<Self> {
        let wanted: HashSet<Object> = findings.damaged.iter().map(|damage| damage.object).collect();
        let mut owners = Self { by_object: HashMap::new() };
        let mut add = |object: Object, owner: Option<Owner>| {
            if wanted.contains(&object) {
                owners.by_object.entry(object).or_default().extend(owner);
            }
        };
        let txn = store.read()?;
        for (key, row) in txn.all::<PackageRow>()? {
            for digest in std::iter::once(row.blob).chain(row.alias) {
                add(Object::Blob(digest), package::parse_key(&key).map(Owner::Package));
            }
        }
        for (key, row) in txn.all::<MetadataRow>()? {
            for digest in std::iter::once(row.blob).chain(row.alias) {
                add(Object::Blob(digest), metadata(&key));
            }
        }
        let mut by_manifest: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for (key, row) in txn.all::<ImageRow>()? {
            let Ok(key) = key.as_slice().try_into().map(Digest::from_bytes) else { continue };
            by_manifest.entry(row.manifest).or_default().push(key);
            for (digest, disk_is_whole) in [(row.record, false), (row.manifest, false), (row.lock, true), (row.annotations, true)] {
                add(Object::Blob(digest), Some(image(&key, disk_is_whole, findings)));
            }
        }
        for (chunk, manifests) in &findings.users {
            let pack = txn.get::<ChunkRow>(chunk.as_bytes())?.map(|row| Object::Pack(row.pack));
            for key in manifests.iter().filter_map(|manifest| by_manifest.get(manifest)).flatten() {
                add(Object::Chunk(*chunk), Some(image(key, false, findings)));
                if let Some(pack) = pack {
                    add(pack, Some(image(key, false, findings)));
                }
            }
        }
        Ok(owners)
    }

    fn find(&self, damage: &Damage) -> Vec<Owner> {
        self.by_object.get(&damage.object).into_iter().flatten().cloned().collect()
    }
}
