//! What a process is using, written down under its lease: a collection leaves it alone as long as the lease is alive.

use std::collections::HashSet;

use super::Store;
use super::error::{Object, Result};
use super::index::WriteTxn;
use super::lease;
use crate::format::row::HoldRow;

impl Store {
    /// Keeps objects from being collected until this store is closed, however that happens. One transaction, so give it all that is needed at once.
    ///
    /// # Errors
    /// An index that cannot be written.
    pub fn hold(&self, objects: &[Object]) -> Result<()> {
        let txn = self.write()?;
        {
            let mut holds = txn.table::<HoldRow>()?;
            for object in objects {
                holds.put(&[self.lease.id().as_bytes(), &object.key()].concat(), &HoldRow)?;
            }
        }
        txn.commit()
    }

    /// Everything that a live lease uses. What dead ones left in the table is removed.
    pub(crate) fn held(&self, txn: &WriteTxn<'_>) -> Result<HashSet<Object>> {
        let mut holds = txn.table::<HoldRow>()?;
        let mut held = HashSet::new();
        let mut alive: Option<(Vec<u8>, bool)> = None;
        for (key, _) in holds.all()? {
            let Some((id, object)) = key.split_at_checked(lease::ID_LEN) else { continue };
            // The rows of a lease stand together.
            if alive.as_ref().is_none_or(|(known, _)| known != id) {
                alive = Some((id.to_owned(), lease::is_alive(&self.layout, &String::from_utf8_lossy(id))));
            }
            match (&alive, Object::from_key(object)) {
                (Some((_, true)), Some(object)) => {
                    held.insert(object);
                }
                _ => holds.remove(&key)?,
            }
        }
        Ok(held)
    }
}
