//! The names that may go, in the order in which they do.

use std::collections::HashSet;
use std::ops::ControlFlow;

use serde::Deserialize;

use crate::cache::{Coordinates, Result, SpecHash, package, plain};
use crate::digest::Digest;
use crate::format::cbor;
use crate::format::record::{ImageDocument, RECORD_LIMIT};
use crate::format::row::{ImageRow, MetadataRow, PackageRow};
use crate::store::{ReadTxn, Store};

use super::plan::Name;

/// The longest lock that is read, in bytes. One that is longer names nothing.
const LOCK_LIMIT: u64 = 64 << 20;

/// A name that may go.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) key: Vec<u8>,
    pub(super) table: Table,
    pub(super) last_used: u64,
    pub(super) uses: u32,
    pub(super) pinned: bool,
    pub(super) worth: Worth,
    /// The blobs that it refers to. The first stands for it.
    pub(super) blobs: Vec<Digest>,
}

/// What a name is worth: what is worth less goes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// It is damaged, and of no use.
    Nothing,
    /// A plain package: made here of the package itself, to save time.
    Plain,
    /// What no kept image has.
    Spare,
    /// What a kept image's lock names, or an image itself.
    Needed,
}

/// Where the name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Table {
    Packages,
    Metadata,
    Roots,
    Images,
}

impl Candidate {
    pub(super) fn package(key: &[u8], row: &PackageRow) -> Self {
        let blobs = [Some(row.blob), row.alias].into_iter().flatten().collect();
        let (last_used, uses, pinned) = (row.last_used, row.uses, row.pinned);
        Self { key: key.to_owned(), table: Table::Packages, last_used, uses, pinned, worth: Worth::Spare, blobs }
    }

    pub(super) fn metadata(key: &[u8], row: &MetadataRow) -> Self {
        let blobs = [Some(row.blob), row.alias].into_iter().flatten().collect();
        // An offline build can do without a package, but not without its repository's lists: they go with the packages that images need. What was made of
        // them goes with those that no image needs: it can be made again, and is worth nothing without what it was made from.
        let is_needed = row.attributes.made_from().is_none();
        Self {
            key: key.to_owned(),
            table: Table::Metadata,
            last_used: row.last_used,
            uses: if is_needed { u32::MAX } else { 0 },
            pinned: false,
            worth: match () {
                () if is_needed => Worth::Needed,
                () if plain::is_one(key, row) => Worth::Plain,
                () => Worth::Spare,
            },
            blobs,
        }
    }

    pub(super) fn image(key: &[u8], row: &ImageRow) -> Self {
        let blobs = vec![row.manifest, row.record, row.lock, row.annotations];
        let (last_used, uses, pinned) = (row.last_used, row.uses, row.pinned);
        // A root saves time, and nothing that cannot be made again from packages: it goes as they do.
        let table = if row.tree { Table::Roots } else { Table::Images };
        let worth = match table {
            _ if row.damaged => Worth::Nothing,
            Table::Roots => Worth::Spare,
            _ => Worth::Needed,
        };
        Self { key: key.to_owned(), table, last_used, uses, pinned, worth, blobs }
    }

    /// The order in which names go.
    pub(super) fn turn(&self) -> impl Ord + use<'_> {
        (self.worth, self.last_used, self.uses, self.table, &self.key)
    }

    /// What it is called; nothing if nobody could have called it so.
    pub(super) fn name(&self, store: &Store) -> Option<Name> {
        match self.table {
            Table::Packages => package::parse_key(&self.key).map(Name::Package),
            Table::Metadata => {
                let (archive, path) = std::str::from_utf8(&self.key).ok()?.split_once('\0')?;
                match plain::package_of(path).filter(|_| self.worth == Worth::Plain) {
                    Some(package) => Some(Name::Plain { archive: archive.to_owned(), package: package.to_owned() }),
                    None => Some(Name::Metadata { archive: archive.to_owned(), path: path.to_owned() }),
                }
            }
            Table::Images | Table::Roots => {
                let spec_hash = SpecHash::from(Digest::from_bytes(self.key.as_slice().try_into().ok()?));
                // Where the record is damaged it goes all the same.
                let record = store.peek_blob(&self.blobs[1], RECORD_LIMIT as u64).ok().and_then(|bytes| ImageDocument::decode(&bytes).ok());
                let (name, version) = record.map_or_else(Default::default, |record| (record.name, record.version));
                Some(match self.table {
                    Table::Roots => Name::Root { key: *spec_hash.digest(), name: format!("{name} {version}").trim().to_owned() },
                    _ => Name::Image { spec_hash, name, version },
                })
            }
        }
    }
}

/// All packages and metadata, or only those that were last used before `before`.
pub(super) fn packages(txn: &ReadTxn<'_>, before: Option<u64>) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    let in_question = |last_used| before.is_none_or(|before| last_used < before);
    txn.scan::<PackageRow>(&[], |key, row| {
        found.extend(in_question(row.last_used).then(|| Candidate::package(key, &row)));
        Ok(ControlFlow::Continue(()))
    })?;
    txn.scan::<MetadataRow>(&[], |key, row| {
        found.extend(in_question(row.last_used).then(|| Candidate::metadata(key, &row)));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// All images, and all root trees.
pub(super) fn images(txn: &ReadTxn<'_>) -> Result<(Vec<Candidate>, Vec<Candidate>)> {
    let mut found = Vec::new();
    txn.scan::<ImageRow>(&[], |key, row| {
        found.push(Candidate::image(key, &row));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found.into_iter().partition(|candidate| candidate.table == Table::Images))
}

/// What is read of a lock here: which packages it names.
#[derive(Deserialize)]
struct Named {
    packages: Vec<NamedPackage>,
}

#[derive(Deserialize)]
struct NamedPackage {
    coordinates: Coordinates,
}

/// Marks the packages that the locks of these images name.
pub(super) fn mark_named(store: &Store, packages: &mut [Candidate], images: &[Candidate]) {
    let mut keys: HashSet<Vec<u8>> = HashSet::new();
    for image in images {
        // A lock that is damaged names nothing: its image is as good as gone.
        let lock = store.peek_blob(&image.blobs[2], LOCK_LIMIT).ok();
        let named: Option<Named> = lock.and_then(|bytes| cbor::decode(&bytes, LOCK_LIMIT as usize).ok());
        keys.extend(named.into_iter().flat_map(|named| named.packages).map(|package| package::key(&package.coordinates)));
    }
    for package in packages.iter_mut().filter(|package| package.table == Table::Packages) {
        package.worth = if keys.contains(&package.key) { Worth::Needed } else { package.worth };
    }
}
