//! Leaves a store as a read-only medium needs it: nothing in the making, nothing in the trash, a small index that is closed.

use std::fs;
use std::path::Path;

use super::access::Access;
use super::door::Door;
use super::error::{Error, Result};
use super::index::Index;
use super::layout::{Layout, names};
use super::{Options, Store};
use crate::progress::Silent;

/// What sealing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes of files that were in the trash.
    pub trash_bytes: u64,
    /// Interrupted downloads that were removed.
    pub partials: u64,
    /// Their bytes.
    pub partial_bytes: u64,
    /// The length of the index before, in bytes.
    pub index_before: u64,
    /// And after.
    pub index_after: u64,
}

/// Seals a store. Needs it for itself. It can be opened and changed afterwards as before, and sealed again.
///
/// # Errors
/// [`Error::NotAStore`]; [`Error::InUse`] while another process has the store open; [`Error::ReadOnly`]; a file system that fails.
pub fn seal(dir: &Path, options: Options) -> Result<Sealed> {
    let layout = Layout::existing(dir)?;
    if let Access::ReadOnly(reason) = Access::of(&layout)? {
        return Err(Error::ReadOnly { path: layout.root().to_owned(), reason });
    }
    let door = Door::shut(&layout)?;
    let index_path = layout.index();
    let mut sealed = Sealed { index_before: len(&index_path)?, ..Sealed::default() };
    let store = Store::open_inside(layout, Access::ReadWrite, door, options.clone())?;
    sealed.trash_bytes = store.empty_trash(&Silent)?;
    let txn = store.write()?;
    // Nobody else is in here: what others held is over.
    store.held(&txn)?;
    txn.commit()?;
    for name in names(&store.partials_dir())? {
        let path = store.partials_dir().join(name);
        sealed.partial_bytes += len(&path)?;
        sealed.partials += 1;
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    }
    let Store { layout, index, lease, _door: door, .. } = store;
    drop(lease);
    index.close()?;
    Index::compact(&layout)?;
    super::layout::sync_dir(layout.root())?;
    sealed.index_after = len(&index_path)?;
    drop(door);
    // The proof: as on the medium.
    drop(Store::open_with(layout.root(), Options { look_only: true, ..options })?);
    Ok(sealed)
}

fn len(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).map_err(Error::io("inspect", path))?.len())
}
