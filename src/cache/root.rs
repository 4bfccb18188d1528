//! The root cache: installed trees, before the spec's own part, under what made them.
//!
//! A tree is kept like an image, in chunks ([`crate::format::tree`]): what it shares with the images that were made of it is stored once.

use std::path::Path;
use std::time::Duration;

use super::{Error, ImageCache, ImageKey, ImageRecord, NewImage, Result, RootKey};
use crate::format::totals::UsageRow;
use crate::progress::{Cancel, Silent};
use crate::store::{Counted, Parts, Store};

/// Root trees by root key.
#[derive(Debug)]
pub struct RootCache<'a> {
    store: &'a Store,
}

/// What is known of a root before it is kept.
#[derive(Debug, Clone)]
pub struct NewRoot {
    /// The distribution, such as `debian12`.
    pub dist: String,
    /// The architecture, as the spec writes it.
    pub arch: String,
    /// How many packages it has.
    pub packages: usize,
    /// The lock in canonical CBOR.
    pub lock: Vec<u8>,
    /// How long its installation took.
    pub took: Duration,
}

impl<'a> RootCache<'a> {
    /// The roots of this store.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// The root with this key, kept from being collected until [`Store::flush`]. One with a part that is known to be damaged is a miss.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn take(&self, key: &RootKey) -> Result<Option<ImageRecord>> {
        ImageCache::new(self.store).take_tree(key)
    }

    /// Keeps the tree in the file `archive` (`root::save` writes it), in place of one with the same key.
    ///
    /// # Errors
    /// A file or a store that cannot be read or written; the user's wish to stop.
    pub fn insert(&self, key: RootKey, new: &NewRoot, archive: &Path, cancel: &Cancel) -> Result<ImageRecord> {
        let image = NewImage {
            name: format!("root of {} {}", new.dist, new.arch),
            version: format!("{} packages", new.packages),
            dist: new.dist.clone(),
            arch: new.arch.clone(),
            annotations: Vec::new(),
            lock: new.lock.clone(),
            build_time: new.took,
            source_date: 0,
            releases: Vec::new(),
            imported: None,
        };
        // What the user waits for is shown elsewhere: this goes on beside it.
        Ok(ImageCache::new(self.store).keep(ImageKey::Root(key), &image, (archive, None), |_, _| Ok(None), &Silent, cancel)?.0)
    }

    /// Where the bytes of a root lie; none after damage: it is a miss from now on.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub fn parts(&self, root: &ImageRecord) -> Result<Option<Parts>> {
        match ImageCache::new(self.store).parts(root) {
            Err(Error::Store(error)) if error.is_damage() => Ok(None),
            parts => parts.map(Some),
        }
    }

    /// Looks for damage in a root that somebody could not read: then it is a miss from now on. Says whether there is none.
    ///
    /// # Errors
    /// What the operating system refuses; the user's wish to stop.
    pub fn is_whole(&self, root: &ImageRecord, cancel: &Cancel) -> Result<bool> {
        let images = ImageCache::new(self.store);
        let damages = match images.reader(root) {
            Err(Error::Store(error)) if error.is_damage() => return Ok(false),
            reader => reader?.damages(cancel)?,
        };
        let is_whole = damages.is_empty();
        // All of it, so that one that takes its place mends all of it.
        for damage in damages {
            images.note_damage(root, damage)?;
        }
        Ok(is_whole)
    }

    /// Notes that a build began with this root; [`Store::flush`] writes it down.
    pub fn count_hit(&self, root: &ImageRecord) {
        ImageCache::new(self.store).mark_used(&root.spec_hash);
        let saved_millis = root.build_time.as_millis() as u64;
        self.store.note_usage(Counted::Roots, &UsageRow { hits: 1, saved_bytes: root.data_len, saved_millis, ..UsageRow::default() });
    }

    /// Notes that a build found no root; [`Store::flush`] writes it down.
    pub fn count_miss(&self) {
        self.store.note_usage(Counted::Roots, &UsageRow { misses: 1, ..UsageRow::default() });
    }
}
