//! What goes into a bundle.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::ControlFlow;

use super::suites;
use crate::cache::{Coordinates, Error, Result, SpecHash, package};
use crate::digest::Digest;
use crate::format::blob::MetadataName;
use crate::format::bundle::{Contents, ImageItem, MetadataItem, PackageItem, SpecKey};
use crate::format::row::{BlobRow, ImageRow, MetadataRow, PackageRow};
use crate::progress::{Cancel, Progress};
use crate::store::{self, BundlePlan, ReadTxn, Store};

/// What a bundle shall have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Everything, whatever else is named.
    pub all: bool,
    /// Images.
    pub images: BTreeSet<SpecHash>,
    /// Packages.
    pub packages: BTreeSet<Coordinates>,
    /// All metadata of these suites: archive and suite.
    pub suites: BTreeSet<(String, String)>,
}

/// Plans a bundle, and keeps all of it from being collected until the store is closed.
///
/// # Errors
/// [`Error::NoImage`] for an image that is not there, or known to be damaged; [`store::Error::Damaged`] for other things that are.
pub fn plan(store: &Store, selection: &Selection, cancel: &Cancel) -> Result<BundlePlan> {
    let contents = {
        let txn = store.read()?;
        let images = images(&txn, selection)?;
        let disk = if let [image] = images.as_slice() { Some(image.spec_hash) } else { None };
        Contents { created_at: store::now(), disk, images, packages: packages(&txn, selection)?, metadata: metadata(&txn, selection)? }
    };
    let plan = store.plan_bundle(contents, cancel)?;
    store.hold(&plan.objects())?;
    Ok(plan)
}

/// Writes a planned bundle. Reports its bytes as [`crate::progress::Phase::Bundle`].
///
/// # Errors
/// [`store::Error::Damaged`] for what is found damaged on the way: what was written is of no use then.
pub fn write(store: &Store, plan: &BundlePlan, out: &mut dyn Write, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
    Ok(store.write_bundle(plan, out, progress, cancel)?)
}

fn images(txn: &ReadTxn<'_>, selection: &Selection) -> Result<Vec<ImageItem>> {
    let mut found = Vec::new();
    txn.scan::<ImageRow>(&[], |key, row| {
        let hash = key.try_into().ok().map(Digest::from_bytes);
        let wanted = |hash: &Digest| selection.all || selection.images.contains(&SpecHash::from(*hash));
        if let Some(hash) = hash.filter(|hash| !row.damaged && !row.tree && wanted(hash)) {
            let ImageRow { record, manifest, lock, annotations, .. } = row;
            found.push(ImageItem { spec_hash: SpecKey(hash), record, manifest, lock, annotations });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    found.sort_by_key(|image| image.spec_hash);
    let there = |hash: &SpecHash| found.binary_search_by_key(&SpecKey(*hash.digest()), |image| image.spec_hash).is_ok();
    match selection.images.iter().find(|hash| !there(hash)) {
        Some(hash) => Err(Error::NoImage(*hash)),
        None => Ok(found),
    }
}

fn packages(txn: &ReadTxn<'_>, selection: &Selection) -> Result<Vec<PackageItem>> {
    let mut found: Vec<(Coordinates, PackageRow)> = Vec::new();
    txn.scan::<PackageRow>(&[], |key, row| {
        found.extend(package::parse_key(key).filter(|name| selection.all || selection.packages.contains(name)).map(|name| (name, row)));
        Ok(ControlFlow::Continue(()))
    })?;
    // In the order of a bundle: part by part.
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let item = |(name, row): &(Coordinates, PackageRow)| PackageItem { blob: row.blob, name: package::name(name, &row.sha256) };
    found
        .iter()
        .map(|found| Ok((found, is_there(txn, &found.1.blob)?)))
        .filter_map(|found| found.map(|(found, there)| there.then(|| item(found))).transpose())
        .collect()
}

fn metadata(txn: &ReadTxn<'_>, selection: &Selection) -> Result<Vec<MetadataItem>> {
    let mut found = Vec::new();
    txn.scan::<MetadataRow>(&[], |key, row| {
        let Some((archive, path)) = std::str::from_utf8(key).ok().and_then(|key| key.split_once('\0')) else { return Ok(ControlFlow::Continue(())) };
        if row.attributes.made_from().is_some() {
            // Whoever gets the file that it was made from makes it himself.
            return Ok(ControlFlow::Continue(()));
        }
        let of_suite = |(of, suite): &(String, String)| of == archive && suites::has(suite, path);
        if selection.all || selection.suites.iter().any(of_suite) {
            let (archive, path) = (archive.to_owned(), path.to_owned());
            let name = MetadataName { archive, path, fetched_at: row.fetched_at, attributes: row.attributes };
            found.push(MetadataItem { blob: row.blob, name });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    found.sort_by(|a, b| (&a.name.archive, &a.name.path).cmp(&(&b.name.archive, &b.name.path)));
    found
        .into_iter()
        .map(|item| Ok((is_there(txn, &item.blob)?, item)))
        .filter_map(|found| found.map(|(there, item)| there.then_some(item)).transpose())
        .collect()
}

/// Whether a blob is not known to be lost: one that is counts as missing, and is left out.
fn is_there(txn: &ReadTxn<'_>, digest: &Digest) -> Result<bool> {
    Ok(txn.get::<BlobRow>(digest.as_bytes())?.is_some_and(|row| !row.lost))
}
