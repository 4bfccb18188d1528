//! What a build is asked to do.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::SpecHash;
use crate::cache::collect::Limits;
use crate::fetch::Tls;
use crate::resolve::LockFile;
use crate::spec::Loaded;

/// One build, as the command line, the configuration and the spec together ask for it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Request {
    /// The complete spec.
    pub spec: Loaded,
    /// Where the output files go; made if it is not there.
    pub output_dir: PathBuf,
    /// The lock whose packages are used, and no others.
    pub locked: Option<LockFile>,
    /// Which caches may be read and written: all of command, spec and configuration must agree.
    pub caches: Caches,
    /// What the caches may take when the build is done.
    pub limits: Limits,
    /// Never use the network.
    pub offline: bool,
    /// Build although the image is cached, and put the new one in its place.
    pub rebuild: bool,
    /// Ask the repositories although the image is cached, and build if they have other packages for the spec than the image has.
    pub refresh: bool,
    /// How many threads unpack and how many packages are fetched at a time.
    pub workers: Workers,
    /// Addresses to use instead of the host's own, by archive (`debian`).
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Keyring files to use instead of the profile's, by archive.
    pub keyrings: BTreeMap<String, PathBuf>,
    /// The proxy for HTTP, instead of apt's or the environment's.
    pub proxy: Option<String>,
    /// Certificates for `https`.
    pub tls: Tls,
    /// Accept repositories whose `Valid-Until` has passed, or that are older than what the store has.
    pub allow_expired: bool,
    /// Take packages from repositories of the spec that nothing proves.
    pub allow_untrusted: bool,
    /// `SOURCE_DATE_EPOCH` of the environment, in seconds: replaces the newest repository date as the latest time of any file.
    pub source_date_epoch: Option<u64>,
    /// The file that the log is written to, beside what is kept with the image.
    pub log: Option<Arc<File>>,
}

impl Request {
    /// The key of the image.
    pub fn key(&self) -> SpecHash {
        let hash = self.spec.hash(self.source_date_epoch);
        self.locked.as_ref().map_or(hash, |file| super::locked::key(hash, file))
    }

    /// All that the key is made from, as JSON.
    pub(super) fn inputs(&self) -> serde_json::Value {
        let mut inputs = self.spec.inputs(self.source_date_epoch);
        if let Some(file) = &self.locked {
            inputs["lock"] = super::locked::digest(file).to_string().into();
        }
        inputs
    }

    /// The limits of those caches that the build may write.
    pub(super) fn kept_within(&self) -> Limits {
        let mut limits = self.limits;
        if !self.caches.packages {
            (limits.package_bytes, limits.package_age) = (None, None);
        }
        if !self.caches.images {
            (limits.image_bytes, limits.image_age, limits.image_count) = (None, None, None);
        }
        if !self.caches.roots {
            (limits.root_age, limits.root_count) = (None, None);
        }
        limits
    }
}

/// Which caches a command may use. Off means: neither read nor written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caches {
    /// Packages and repository metadata.
    pub packages: bool,
    /// Images.
    pub images: bool,
    /// Installed trees; on only where that of packages is, because a root is made of them.
    pub roots: bool,
}

/// How much is done at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Packages that are fetched at a time.
    pub fetch: usize,
    /// Threads that unpack.
    pub unpack: usize,
}
