//! Names over the store: which blob is which package, which manifest is which image, and the policy of keeping them.
//!
//! A cache answers with a miss whenever it cannot prove a hit: another promised digest, a file that is gone, bytes that are not what they were. What is
//! found damaged on the way is in [`crate::store::Store::take_damage`], for the command's report.

#[doc(hidden)]
pub mod benching;
pub mod bundle;
pub mod collect;
mod coordinates;
mod du;
mod error;
mod image;
mod keys;
mod metadata;
mod named;
mod order;
mod package;
mod pin;
mod plain;
mod root;
mod sharing;
pub mod verify;

pub use coordinates::{Coordinates, CoordinatesError};
pub use du::{ClassUse, DiskUse, disk_use, package_bytes};
pub use error::{Error, Result};
pub use image::{Found, ImageCache, ImageKey, ImageRecord, NewImage};
pub use keys::{RootKey, SpecHash};
pub use metadata::{MetadataCache, MetadataEntry, NewMetadata};
pub use named::{ImageName, damaged_images, images_named};
pub use order::{Sort, SortError, SortKey};
pub use package::{CachedPackage, PackageCache, PackageEntry};
pub use pin::{Pinnable, packages_called, set_pinned};
pub use plain::PlainPackages;
pub use root::{NewRoot, RootCache};
pub use sharing::{SharedWith, Sharing, sharing};

pub use crate::format::blob::{MadeFrom, MetadataAttributes};
pub use crate::format::record::{Import, ReleaseDate};

use crate::digest::Digest;
use crate::format::blob::{Alias, BlobKind, Header};
use crate::store::{self, Published, StagedBlob, Store, WriteTxn, open_file};

/// Publishes a blob under a name that is to be found again from the files alone. Returns the blob that holds the name, where it is not the head of the
/// published blob itself. References are the caller's.
fn publish_named(txn: &WriteTxn<'_>, store: &Store, staged: &StagedBlob) -> Result<Option<Digest>> {
    if txn.publish(store, staged, 0)? != Published::Known {
        return Ok(None);
    }
    let path = store.blob_path(&staged.digest);
    if open_file(&path, &staged.digest)?.header() == &staged.header {
        claim_again(&path)?;
        return Ok(None);
    }
    let alias = Alias { digest: staged.digest, header: staged.header.clone() }.encode().map_err(crate::store::Error::from)?;
    let alias = store.stage_bytes(Header::unnamed(BlobKind::Alias), &alias)?;
    if txn.publish(store, &alias, 0)? == Published::Known {
        claim_again(&store.blob_path(&alias.digest))?;
    }
    Ok(Some(alias.digest))
}

/// Makes a file the newest that claims its name: of two, the newest is believed when an index is made again from the files.
fn claim_again(path: &std::path::Path) -> Result<()> {
    let touched = std::fs::File::options().write(true).open(path).and_then(|file| file.set_modified(std::time::SystemTime::now()));
    Ok(touched.map_err(store::Error::io("touch", path))?)
}

/// Moves the references of a name from what it pointed to before to what it points to now.
fn move_references(txn: &WriteTxn<'_>, before: &[Option<Digest>], after: &[Option<Digest>]) -> Result<()> {
    for digest in after.iter().flatten() {
        txn.retain(digest)?;
    }
    for digest in before.iter().flatten() {
        txn.release(digest)?;
    }
    Ok(())
}

#[cfg(test)]
mod rebuild_tests;
#[cfg(test)]
mod tests;
