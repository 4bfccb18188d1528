//! What a process is using, written down under its lease: a collection leaves it alone as long as the lease is alive.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use super::Store;
use super::error::{Object, Result};
use super::index::{ReadTxn, WriteTxn};
use super::lease;
use crate::format::row::HoldRow;

impl Store {
    /// Keeps objects from being collected until [`Store::flush`], or until this store is closed, however that happens. One transaction, so give it all that is needed at
    /// once. Where this process may not write, it holds nothing: what another user collects meanwhile is found missing.
    ///
    /// # Errors
    /// An index that cannot be written.
    pub fn hold(&self, objects: &[Object]) -> Result<()> {
        if !self.is_writable() {
            return Ok(());
        }
        let txn = self.write()?;
        self.hold_in(&txn, objects)?;
        txn.commit()
    }

    /// [`Store::hold`] as a part of a transaction.
    pub(crate) fn hold_in(&self, txn: &WriteTxn<'_>, objects: &[Object]) -> Result<()> {
        let (lease, mut holds) = (self.lease()?, txn.table::<HoldRow>()?);
        for object in objects {
            holds.put(&[lease.id().as_bytes(), &object.key()].concat(), &HoldRow)?;
        }
        Ok(())
    }

    /// Lets go of everything that this store holds.
    pub(crate) fn let_go(&self, txn: &WriteTxn<'_>) -> Result<()> {
        let (lease, mut holds) = (self.lease()?, txn.table::<HoldRow>()?);
        for (key, _) in holds.all()? {
            if key.starts_with(lease.id().as_bytes()) {
                holds.remove(&key)?;
            }
        }
        Ok(())
    }

    /// Everything that a live lease uses now.
    pub(crate) fn held_now(&self, txn: &ReadTxn<'_>) -> Result<HashSet<Object>> {
        let mut held = HashSet::new();
        let mut leases = HashMap::new();
        txn.scan::<HoldRow>(&[], |key, _| {
            if let Some((id, object)) = key.split_at_checked(lease::ID_LEN)
                && *leases.entry(id.to_owned()).or_insert_with(|| lease::is_alive(&self.layout, &String::from_utf8_lossy(id)))
            {
                held.extend(Object::from_key(object));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(held)
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
