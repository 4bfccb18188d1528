//! One layer: what one file or variable says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Config, Proxy};
use crate::distro;
use crate::units::ByteSize;
use crate::yaml::{Field, Fields, Located, Node, Report, web_address};

/// The most that `max_size_gb` may say: a petabyte.
const MAX_GB: i64 = 1_000_000;

/// A configuration in which everything is optional.
#[derive(Default)]
pub(super) struct Layer {
    package_cache: Option<bool>,
    max_size: Option<ByteSize>,
    retention_days: Option<u32>,
    image_cache: Option<bool>,
    max_count: Option<u32>,
    workers: Option<usize>,
    mirrors: BTreeMap<String, Vec<String>>,
    keyrings: BTreeMap<String, PathBuf>,
    proxy: Option<Proxy>,
}

impl Layer {
    /// What a document says; its mistakes go to `report`. Relative paths are meant from `folder`.
    pub(super) fn read(root: &Node, folder: &Path, report: &Report) -> Self {
        let mut layer = Self::default();
        let Some(mut document) = Fields::of_document(root, report) else { return layer };
        if let Some(mut storage) = document.optional("storage").and_then(|field| field.fields()) {
            if let Some(mut cache) = storage.optional("package_cache").and_then(|field| field.fields()) {
                layer.package_cache = cache.optional("enabled").and_then(|field| field.boolean()).map(value);
                let gigabytes = cache.optional("max_size_gb").and_then(|field| field.integer(1, MAX_GB));
                layer.max_size = gigabytes.map(|number| ByteSize(number.value.unsigned_abs() * 1_000_000_000));
                layer.retention_days = cache.optional("retention_days").and_then(|field| count(&field, 36_500));
                cache.finish();
            }
            if let Some(mut cache) = storage.optional("image_cache").and_then(|field| field.fields()) {
                layer.image_cache = cache.optional("enabled").and_then(|field| field.boolean()).map(value);
                layer.max_count = cache.optional("max_count").and_then(|field| count(&field, 1_000_000));
                cache.finish();
            }
            storage.finish();
        }
        layer.workers = document.optional("workers").and_then(|field| count(&field, 64)).map(|number| number as usize);
        layer.mirrors = by_archive(document.optional("mirrors"), mirrors);
        layer.keyrings = by_archive(document.optional("keyrings"), |field| keyring(field, folder));
        layer.proxy = document.optional("proxy").and_then(|field| proxy(&field));
        document.finish();
        layer
    }

    /// Lays it over a configuration.
    pub(super) fn apply(self, config: &mut Config) {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(from) = from {
                *to = from;
            }
        }
        let Self { package_cache, max_size, retention_days, image_cache, max_count, workers, mirrors, keyrings, proxy } = self;
        set(&mut config.storage.package_cache.enabled, package_cache);
        set(&mut config.storage.package_cache.max_size, max_size.map(Some));
        set(&mut config.storage.package_cache.retention_days, retention_days.map(Some));
        set(&mut config.storage.image_cache.enabled, image_cache);
        set(&mut config.storage.image_cache.max_count, max_count.map(Some));
        set(&mut config.workers, workers);
        config.mirrors.extend(mirrors);
        config.keyrings.extend(keyrings);
        set(&mut config.proxy, proxy.map(Some));
    }
}

fn value<T>(located: Located<T>) -> T {
    located.value
}

fn count(field: &Field<'_>, most: i64) -> Option<u32> {
    field.integer(1, most).and_then(|number| u32::try_from(number.value).ok())
}

/// The identities of all profiles' archives, sorted.
pub(super) fn archive_ids() -> Vec<&'static str> {
    let mut ids: Vec<_> = distro::PROFILES.iter().flat_map(|profile| profile.archives).map(|archive| archive.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A mapping whose keys are archives.
fn by_archive<T>(field: Option<Field<'_>>, read: impl Fn(&Field<'_>) -> Option<T>) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    let Some(mut fields) = field.and_then(|field| field.fields()) else { return found };
    for id in archive_ids() {
        if let Some(value) = fields.optional(id).and_then(|field| read(&field)) {
            found.insert(id.to_owned(), value);
        }
    }
    fields.finish();
    found
}

fn mirrors(field: &Field<'_>) -> Option<Vec<String>> {
    let items = field.list()?;
    if items.is_empty() {
        field.error_with_hint("is an empty list", "leave it out to use the host's apt sources");
        return None;
    }
    Some(items.iter().filter_map(web_address).collect())
}

fn keyring(field: &Field<'_>, folder: &Path) -> Option<PathBuf> {
    let text = field.text()?.value;
    match std::path::absolute(folder.join(&text)) {
        Ok(path) if !text.is_empty() && !text.contains('\0') => Some(path),
        _ => {
            field.error("must be the path of a file with public keys");
            None
        }
    }
}

fn proxy(field: &Field<'_>) -> Option<Proxy> {
    let proxy = Proxy::new(&field.secret()?.value);
    if proxy.is_none() {
        field.error_with_hint("is not the address of a proxy", "it looks like http://host:3128");
    }
    proxy
}
