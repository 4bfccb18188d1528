//! For `benches/`: as many rows as years bring, which could not be made there one by one in reasonable time. No part of the program.

use super::package::key;
use super::{Coordinates, Result};
use crate::digest::Sha256;
use crate::format::blob::{BlobKind, Header};
use crate::format::row::PackageRow;
use crate::store::{self, Store};

/// Files one blob under this many names of packages, last used one second after the other.
///
/// # Errors
/// A store that cannot be written.
pub fn fill(store: &Store, count: u32) -> Result<Vec<(Coordinates, Sha256)>> {
    let bytes = b"a package";
    let staged = store.stage_bytes(Header::unnamed(BlobKind::Document), bytes)?;
    let (sha256, now) = (Sha256::of(bytes), store::now());
    let name = |number: u32| {
        let coordinates = Coordinates::new(&format!("package{number}"), "1:2.36-9+deb12u14", "amd64", "debian/bookworm");
        (coordinates.expect("coordinates as a repository has them"), sha256)
    };
    let names: Vec<(Coordinates, Sha256)> = (0..count).map(name).collect();
    let txn = store.write()?;
    txn.publish(store, &staged, count)?;
    for (number, (coordinates, _)) in (0..).zip(&names) {
        let used = now.saturating_sub(number);
        let row = PackageRow { blob: staged.digest, sha256, alias: None, pinned: false, added_at: used, last_used: used, uses: 0 };
        txn.put(&key(coordinates), &row)?;
    }
    txn.commit()?;
    Ok(names)
}
