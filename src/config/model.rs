//! The configuration itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::cache::collect::Limits;
use crate::fetch::Tls;
use crate::store;
use crate::units::ByteSize;

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// The caches.
    pub storage: Storage,
    /// How many downloads run at a time.
    pub workers: usize,
    /// Base addresses by archive identity (`debian`, `debian-security`, `ubuntu`), to be tried in this order; an archive that is not here is looked
    /// up in the host's apt sources.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Files of public keys by archive identity, instead of the profile's own; absolute.
    pub keyrings: BTreeMap<String, PathBuf>,
    /// The proxy for `http` and `https`.
    pub proxy: Option<Proxy>,
    /// Certificates for `https`; paths are absolute.
    pub tls: Tls,
}

/// `storage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Storage {
    /// Packages and repository metadata.
    pub package_cache: PackageCache,
    /// Finished images.
    pub image_cache: ImageCache,
    /// Installed trees, before what a spec adds to them.
    pub root_cache: RootCache,
    /// `min_free_gb`, in bytes: what shall stay free on the file system of the store. None is no such wish.
    pub min_free: Option<ByteSize>,
    /// The zstd level of the images that are kept from now on, 1 to 19.
    pub compression_level: i32,
}

/// `storage.package_cache`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageCache {
    /// Whether it is read and written.
    pub enabled: bool,
    /// `max_size_gb`, in bytes: a GB is 10⁹ of them. None is without limit.
    pub max_size: Option<ByteSize>,
    /// Days after which a package that nobody used goes. None is never.
    pub retention_days: Option<u32>,
}

/// `storage.image_cache`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageCache {
    /// Whether it is read and written.
    pub enabled: bool,
    /// How many images stay. None is without limit.
    pub max_count: Option<u32>,
    /// `max_size_gb`, in bytes, of what images take in the store. None is without limit.
    pub max_size: Option<ByteSize>,
    /// Days after which an image that nobody used goes. None is never.
    pub retention_days: Option<u32>,
}

/// `storage.root_cache`. What roots take counts for the size of the image cache, whose packs they share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootCache {
    /// Whether it is read and written.
    pub enabled: bool,
    /// How many roots stay. None is without limit.
    pub max_count: Option<u32>,
    /// Days after which a root that no build used goes. None is never.
    pub retention_days: Option<u32>,
}

impl Storage {
    /// What the caches may take.
    pub fn limits(&self) -> Limits {
        let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 3600);
        Limits {
            package_bytes: self.package_cache.max_size.map(|size| size.0),
            package_age: self.package_cache.retention_days.map(days),
            image_bytes: self.image_cache.max_size.map(|size| size.0),
            image_age: self.image_cache.retention_days.map(days),
            image_count: self.image_cache.max_count.map(u64::from),
            root_age: self.root_cache.retention_days.map(days),
            root_count: self.root_cache.max_count.map(u64::from),
            min_free: self.min_free.map(|size| size.0),
        }
    }
}

impl Default for Config {
    /// The built-in layer: all caches on, packages of at most 10 GB that were used within 30 days, five images and what roots they have, eight downloads at a time.
    fn default() -> Self {
        Self {
            storage: Storage {
                package_cache: PackageCache { enabled: true, max_size: Some(ByteSize(10_000_000_000)), retention_days: Some(30) },
                image_cache: ImageCache { enabled: true, max_count: Some(5), max_size: None, retention_days: None },
                root_cache: RootCache { enabled: true, max_count: Some(15), retention_days: Some(30) },
                min_free: None,
                compression_level: store::LEVEL,
            },
            workers: 8,
            mirrors: BTreeMap::new(),
            keyrings: BTreeMap::new(),
            proxy: None,
            tls: Tls::default(),
        }
    }
}

/// The address of a proxy, perhaps with a user and password: shown without them.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(String);

impl Proxy {
    /// The proxy at this address, if it is one: `http` or `https`, a host, perhaps a port.
    pub fn new(address: &str) -> Option<Self> {
        let (scheme, rest) = address.split_once("://")?;
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let host = host.strip_suffix('/').unwrap_or(host);
        let host_holds = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
        let holds = matches!(scheme, "http" | "https") && host_holds && address.bytes().all(|byte| byte.is_ascii_graphic());
        holds.then(|| Self(address.to_owned()))
    }

    /// The whole address, for whom connects to it.
    pub fn address(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        match rest.rsplit_once('@') {
            Some((_, host)) => write!(f, "{scheme}://…@{host}"),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let proxy = Proxy::new("http://me:pass@word@proxy:3128").unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), "http://…@proxy:3128 Proxy(http://…@proxy:3128)");
        assert_eq!(serde_json::to_string(&proxy).unwrap(), "\"http://…@proxy:3128\"");
        for text in ["proxy:3128", "socks5://proxy", "http://", "http://a b", "http://me@"] {
            assert_eq!(Proxy::new(text), None, "{text}");
        }
    }
}
