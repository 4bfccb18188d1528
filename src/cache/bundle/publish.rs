//! Gives what came in with a bundle its names, inside the write transaction.

use std::collections::{HashMap, HashSet};

use super::arriving::{Image, coordinates, metadata_key};
use super::{Counts, ImportedImage, Outcome, suites};
use crate::cache::{Result, SpecHash, move_references, package};
use crate::digest::Digest;
use crate::format::blob::{Alias, BlobKind, Header, MetadataName};
use crate::format::bundle::{Contents, ImageItem, MetadataItem, PackageItem};
use crate::format::row::{BlobRow, ImageRow, MetadataRow, PackageRow};
use crate::store::{self, Arrived, Store, WriteTxn, failpoint, open_file};

/// What becomes of an image where `before` has its key.
pub(super) fn outcome(before: Option<&ImageRow>, item: &ImageItem, replace: bool) -> Outcome {
    match before {
        None => Outcome::Added,
        Some(row) if row.record == item.record => Outcome::Present,
        // What cannot be served is in nobody's way.
        Some(row) if replace || row.damaged => Outcome::Replaced,
        Some(_) => Outcome::Conflict,
    }
}

/// Gives everything its names.
pub(super) struct Publishing<'a> {
    pub(super) store: &'a Store,
    pub(super) arrived: &'a Arrived,
    pub(super) headers: &'a HashMap<Digest, Header>,
    pub(super) replace: bool,
    pub(super) now: u64,
}

/// Blobs that hold names which are not in the head of the blob that they name, by the key of the name's row.
pub(super) type Aliases = HashMap<Vec<u8>, store::StagedBlob>;

impl Publishing<'_> {
    /// Stages a blob for each new name that the file of its blob, here or in the bundle, does not have.
    pub(super) fn aliases(&self, contents: &Contents) -> Result<Aliases> {
        let txn = self.store.read()?;
        let mut aliases = Aliases::new();
        for item in &contents.packages {
            let key = package::key(&coordinates(&item.name)?);
            let new = txn.get::<PackageRow>(&key)?.is_none_or(|row| row.blob != item.blob);
            if new && self.own_header(&item.blob)?.is_none_or(|own| own.package.as_ref() != Some(&item.name)) {
                aliases.insert(key, self.stage_alias(&item.blob, Header::package(item.name.clone()))?);
            }
        }
        for item in &contents.metadata {
            let key = metadata_key(&item.name)?;
            let new = txn.get::<MetadataRow>(&key)?.is_none_or(|row| row.blob != item.blob);
            let names_it = |own: &MetadataName| (&own.archive, &own.path) == (&item.name.archive, &item.name.path);
            if new && self.own_header(&item.blob)?.is_none_or(|own| !own.metadata.as_ref().is_some_and(names_it)) {
                aliases.insert(key, self.stage_alias(&item.blob, Header::metadata(item.name.clone()))?);
            }
        }
        Ok(aliases)
    }

    /// What the file of a blob says.
    fn own_header(&self, blob: &Digest) -> Result<Option<Header>> {
        if self.arrived.blobs.contains_key(blob) {
            return Ok(self.headers.get(blob).cloned());
        }
        Ok(Some(open_file(&self.store.blob_path(blob), blob)?.header().clone()))
    }

    fn stage_alias(&self, blob: &Digest, header: Header) -> Result<store::StagedBlob> {
        let alias = Alias { digest: *blob, header }.encode().map_err(store::Error::from)?;
        Ok(self.store.stage_bytes(Header::unnamed(BlobKind::Alias), &alias)?)
    }

    /// Publishes the alias of a name, where it has one. References are the caller's.
    fn alias(&self, txn: &WriteTxn<'_>, aliases: &Aliases, key: &[u8]) -> Result<Option<Digest>> {
        let Some(staged) = aliases.get(key) else { return Ok(None) };
        txn.publish(self.store, staged, 0)?;
        Ok(Some(staged.digest))
    }

    pub(super) fn image(&self, txn: &WriteTxn<'_>, image: &Image) -> Result<ImportedImage> {
        let Image { item, record, chunks } = image;
        let key = item.spec_hash.0.as_bytes();
        let before = txn.get::<ImageRow>(key)?;
        let outcome = outcome(before.as_ref(), item, self.replace);
        let named: Vec<Digest> = chunks.iter().map(|(digest, _)| *digest).collect();
        if outcome != Outcome::Conflict {
            let new = u32::from(outcome != Outcome::Present);
            txn.publish_manifest(self.store, self.arrived, &item.manifest, &named, new)?;
            for blob in [item.record, item.lock, item.annotations] {
                txn.publish_arrived(self.store, self.arrived, &blob, new)?;
            }
            if new > 0 {
                for blob in before.iter().flat_map(|row| [row.record, row.manifest, row.lock, row.annotations]) {
                    txn.release(&blob)?;
                }
            }
            let ImageItem { record, manifest, lock, annotations, .. } = *item;
            let kept = before.filter(|_| new == 0);
            let row = ImageRow {
                record,
                manifest,
                lock,
                annotations,
                damaged: false,
                pinned: before.is_some_and(|before| before.pinned),
                tree: false,
                last_used: kept.map_or(self.now, |row| row.last_used),
                uses: kept.map_or(0, |row| row.uses),
            };
            txn.put(key, &row)?;
            failpoint!("cache::bundle::row_written");
        }
        Ok(ImportedImage { spec_hash: SpecHash::from(item.spec_hash.0), name: record.name.clone(), version: record.version.clone(), outcome })
    }

    pub(super) fn packages(&self, txn: &WriteTxn<'_>, items: &[PackageItem], aliases: &Aliases) -> Result<Counts> {
        let mut counts = Counts::default();
        for item in items {
            let key = package::key(&coordinates(&item.name)?);
            let before = txn.get::<PackageRow>(&key)?;
            if before.is_some_and(|row| row.blob == item.blob) {
                txn.publish_arrived(self.store, self.arrived, &item.blob, 0)?;
                counts.present += 1;
                continue;
            }
            let usable = |row: &PackageRow| Ok::<_, store::Error>(txn.get::<BlobRow>(row.blob.as_bytes())?.is_some_and(|blob| !blob.lost));
            if !self.replace && before.as_ref().map_or(Ok(false), usable)? {
                counts.kept += 1;
                continue;
            }
            txn.publish_arrived(self.store, self.arrived, &item.blob, 0)?;
            let alias = self.alias(txn, aliases, &key)?;
            move_references(txn, &[before.map(|row| row.blob), before.and_then(|row| row.alias)], &[Some(item.blob), alias])?;
            let pinned = before.is_some_and(|before| before.pinned);
            let row = PackageRow { blob: item.blob, sha256: item.name.sha256, alias, pinned, added_at: self.now, last_used: self.now, uses: 0 };
            txn.put(&key, &row)?;
            counts.added += 1;
        }
        Ok(counts)
    }

    /// What says the state of a suite and its indexes stay together: of a suite that this store fetched later, nothing that is there is replaced.
    pub(super) fn metadata(&self, txn: &WriteTxn<'_>, items: &[MetadataItem], aliases: &Aliases) -> Result<Counts> {
        let mut counts = Counts::default();
        let newer_here = newer_here(txn, items)?;
        for item in items {
            let key = metadata_key(&item.name)?;
            let before = txn.get::<MetadataRow>(&key)?;
            if let Some(row) = before.as_ref().filter(|row| row.blob == item.blob) {
                txn.publish_arrived(self.store, self.arrived, &item.blob, 0)?;
                if row.fetched_at < item.name.fetched_at {
                    txn.put(&key, &MetadataRow { fetched_at: item.name.fetched_at, ..row.clone() })?;
                }
                counts.present += 1;
                continue;
            }
            let is_of = |(archive, suite): &(String, String)| *archive == item.name.archive && suites::has(suite, &item.name.path);
            if before.is_some() && newer_here.iter().any(is_of) {
                counts.kept += 1;
                continue;
            }
            txn.publish_arrived(self.store, self.arrived, &item.blob, 0)?;
            let alias = self.alias(txn, aliases, &key)?;
            let (blob_before, alias_before) = before.as_ref().map_or((None, None), |row| (Some(row.blob), row.alias));
            move_references(txn, &[blob_before, alias_before], &[Some(item.blob), alias])?;
            let MetadataName { fetched_at, attributes, .. } = item.name.clone();
            txn.put(&key, &MetadataRow { blob: item.blob, alias, fetched_at, last_used: self.now, attributes })?;
            counts.added += 1;
        }
        Ok(counts)
    }
}

/// Archive and name of the suites whose state here is newer than the bundle's.
fn newer_here(txn: &WriteTxn<'_>, items: &[MetadataItem]) -> Result<HashSet<(String, String)>> {
    let mut newer = HashSet::new();
    for item in items {
        let Some(suite) = suites::of_state(&item.name.path) else { continue };
        let before = txn.get::<MetadataRow>(&metadata_key(&item.name)?)?;
        if before.is_some_and(|row| row.fetched_at > item.name.fetched_at) {
            newer.insert((item.name.archive.clone(), suite));
        }
    }
    Ok(newer)
}
