//! Images by how their ids begin, the damaged ones too: those that a command shall let go of, and that nothing is read from.

use std::ops::ControlFlow;

use super::{Result, SpecHash};
use crate::digest::Digest;
use crate::format::record::{ImageDocument, RECORD_LIMIT};
use crate::format::row::ImageRow;
use crate::store::Store;

/// What an image is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// Its key.
    pub spec_hash: SpecHash,
    /// The name that its spec gives it; empty where that cannot be read any more.
    pub name: String,
    /// See `name`.
    pub version: String,
}

/// The images whose ids begin with these hexadecimal digits, sorted; other texts, and none, find nothing.
///
/// # Errors
/// An index that cannot be read.
pub fn images_named(store: &Store, prefix: &str) -> Result<Vec<ImageName>> {
    let prefix = prefix.to_ascii_lowercase();
    let from = format!("{prefix:0<64}").parse::<Digest>();
    let (Ok(from), false) = (from, prefix.is_empty()) else { return Ok(Vec::new()) };
    let mut rows: Vec<(SpecHash, ImageRow)> = Vec::new();
    store.read()?.scan::<ImageRow>(from.as_bytes(), |key, row| {
        let Some(hash) = key.try_into().ok().map(|key| SpecHash::from(Digest::from_bytes(key))) else { return Ok(ControlFlow::Break(())) };
        if !hash.to_string().starts_with(&prefix) {
            return Ok(ControlFlow::Break(()));
        }
        rows.extend((!row.tree).then_some((hash, row)));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(rows.into_iter().map(|(hash, row)| name(store, hash, &row)).collect())
}

/// The images that are known to be damaged, sorted: they are kept, and never served.
///
/// # Errors
/// An index that cannot be read.
pub fn damaged_images(store: &Store) -> Result<Vec<ImageName>> {
    let mut found = Vec::new();
    store.read()?.scan::<ImageRow>(&[], |key, row| {
        let hash = key.try_into().ok().map(|key| SpecHash::from(Digest::from_bytes(key)));
        found.extend(hash.filter(|_| row.damaged && !row.tree).map(|hash| (hash, row)));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found.into_iter().map(|(hash, row)| name(store, hash, &row)).collect())
}

fn name(store: &Store, spec_hash: SpecHash, row: &ImageRow) -> ImageName {
    let record = store.peek_blob(&row.record, RECORD_LIMIT as u64).ok().and_then(|bytes| ImageDocument::decode(&bytes).ok());
    let (name, version) = record.map_or_else(Default::default, |record| (record.name, record.version));
    ImageName { spec_hash, name, version }
}
