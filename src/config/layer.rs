//! One layer: what one file or variable says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::limit::{free, gigabytes, number};
use super::tls::TlsLayer;
use super::{Config, Proxy};
use crate::distro;
use crate::store::LEVELS;
use crate::units::{ByteSize, Limit};
use crate::yaml::{Field, Fields, Located, Node, Report, web_address};

/// The most that `retention_days` may say: a century.
const MOST_DAYS: u32 = 36_500;

/// The most that `max_count` may say.
const MOST_IMAGES: u32 = 1_000_000;

/// A configuration in which everything is optional.
#[derive(Default)]
pub(super) struct Layer {
    min_free: Option<ByteSize>,
    compression_level: Option<i32>,
    package_cache: Option<bool>,
    package_max_size: Option<Limit<ByteSize>>,
    package_retention: Option<Limit<u32>>,
    image_cache: Option<bool>,
    image_max_count: Option<Limit<u32>>,
    image_max_size: Option<Limit<ByteSize>>,
    image_retention: Option<Limit<u32>>,
    root_cache: Option<bool>,
    root_max_count: Option<Limit<u32>>,
    root_retention: Option<Limit<u32>>,
    workers: Option<usize>,
    mirrors: BTreeMap<String, Vec<String>>,
    keyrings: BTreeMap<String, PathBuf>,
    proxy: Option<Proxy>,
    tls: TlsLayer,
}

impl Layer {
    /// What a document says; its mistakes go to `report`. Relative paths are meant from `folder`.
    pub(super) fn read(root: &Node, folder: &Path, report: &Report) -> Self {
        let mut layer = Self::default();
        let Some(mut document) = Fields::of_document(root, report) else { return layer };
        if let Some(mut storage) = document.optional("storage").and_then(|field| field.fields()) {
            if let Some(mut cache) = storage.optional("package_cache").and_then(|field| field.fields()) {
                layer.package_cache = cache.optional("enabled").and_then(|field| field.boolean()).map(value);
                layer.package_max_size = cache.optional("max_size_gb").and_then(|field| gigabytes(&field));
                layer.package_retention = cache.optional("retention_days").and_then(|field| number(&field, MOST_DAYS));
                cache.finish();
            }
            if let Some(mut cache) = storage.optional("image_cache").and_then(|field| field.fields()) {
                layer.image_cache = cache.optional("enabled").and_then(|field| field.boolean()).map(value);
                layer.image_max_count = cache.optional("max_count").and_then(|field| number(&field, MOST_IMAGES));
                layer.image_max_size = cache.optional("max_size_gb").and_then(|field| gigabytes(&field));
                layer.image_retention = cache.optional("retention_days").and_then(|field| number(&field, MOST_DAYS));
                cache.finish();
            }
            if let Some(mut cache) = storage.optional("root_cache").and_then(|field| field.fields()) {
                layer.root_cache = cache.optional("enabled").and_then(|field| field.boolean()).map(value);
                layer.root_max_count = cache.optional("max_count").and_then(|field| number(&field, MOST_IMAGES));
                layer.root_retention = cache.optional("retention_days").and_then(|field| number(&field, MOST_DAYS));
                cache.finish();
            }
            layer.min_free = storage.optional("min_free_gb").and_then(|field| free(&field));
            layer.compression_level = storage.optional("compression_level").and_then(|field| level(&field));
            storage.finish();
        }
        layer.workers = document.optional("workers").and_then(|field| field.integer(1, 64)).and_then(|number| usize::try_from(number.value).ok());
        layer.mirrors = by_archive(document.optional("mirrors"), mirrors);
        layer.keyrings = by_archive(document.optional("keyrings"), |field| file(field, folder, "must be the path of a file with public keys"));
        layer.proxy = document.optional("proxy").and_then(|field| proxy(&field));
        if let Some(fields) = document.optional("tls").and_then(|field| field.fields()) {
            layer.tls = TlsLayer::read(fields, folder);
        }
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
        let storage = &mut config.storage;
        set(&mut storage.min_free, self.min_free.map(|size| (size.0 > 0).then_some(size)));
        set(&mut storage.compression_level, self.compression_level);
        set(&mut storage.package_cache.enabled, self.package_cache);
        set(&mut storage.package_cache.max_size, self.package_max_size.map(Limit::into_option));
        set(&mut storage.package_cache.retention_days, self.package_retention.map(Limit::into_option));
        set(&mut storage.image_cache.enabled, self.image_cache);
        set(&mut storage.image_cache.max_count, self.image_max_count.map(Limit::into_option));
        set(&mut storage.image_cache.max_size, self.image_max_size.map(Limit::into_option));
        set(&mut storage.image_cache.retention_days, self.image_retention.map(Limit::into_option));
        set(&mut storage.root_cache.enabled, self.root_cache);
        set(&mut storage.root_cache.max_count, self.root_max_count.map(Limit::into_option));
        set(&mut storage.root_cache.retention_days, self.root_retention.map(Limit::into_option));
        set(&mut config.workers, self.workers);
        config.mirrors.extend(self.mirrors);
        config.keyrings.extend(self.keyrings);
        set(&mut config.proxy, self.proxy.map(Some));
        set(&mut config.tls.ca_file, self.tls.ca_file.map(Some));
        set(&mut config.tls.certificates, self.tls.certificates);
    }
}

fn level(field: &Field<'_>) -> Option<i32> {
    let (least, most) = LEVELS.into_inner();
    field.integer(least.into(), most.into()).and_then(|number| i32::try_from(number.value).ok())
}

fn value<T>(located: Located<T>) -> T {
    located.value
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

/// The path of a file, absolute; anything else is reported as `problem`.
pub(super) fn file(field: &Field<'_>, folder: &Path, problem: &str) -> Option<PathBuf> {
    let text = field.text()?.value;
    match std::path::absolute(folder.join(&text)) {
        Ok(path) if !text.is_empty() && !text.contains('\0') => Some(path),
        _ => {
            field.error(problem);
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
