//! `config.yaml` as a JSON Schema (draft 2020-12), with which editors complete and check what is written.
//!
//! The types say what may be written; no value of them is ever made. Nothing here reads a configuration: [`super::layer`] does, and a test holds both to the
//! same keys and bounds.

#![expect(dead_code, reason = "only the schema is made of these types")]

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::units::UNLIMITED;

/// The JSON Schema of `config.yaml`.
pub fn schema() -> Value {
    crate::yaml::json_schema::<Document>()
}

/// What holds for all builds on this machine.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "image-composer configuration")]
struct Document {
    /// The caches and their limits.
    storage: Option<Storage>,
    /// How many downloads run at a time.
    #[schemars(range(min = 1, max = 64))]
    workers: Option<i64>,
    /// Base addresses of archives, to be tried in this order, instead of the host's apt sources.
    mirrors: Option<Mirrors>,
    /// Files of public keys of archives, instead of the distribution's own.
    keyrings: Option<Keyrings>,
    /// The address of the proxy, which begins with http or https and may have a port.
    #[schemars(regex(pattern = "^https?://"))]
    proxy: Option<String>,
    /// Certificates for https servers.
    tls: Option<Tls>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Storage {
    /// Packages and repository metadata.
    package_cache: Option<PackageCache>,
    /// Finished images.
    image_cache: Option<ImageCache>,
    /// Installed packages, before what a spec adds to them.
    root_cache: Option<RootCache>,
    /// How many GB stay free on the file system of the store, for others.
    #[schemars(range(min = 0, max = 1_000_000))]
    min_free_gb: Option<f64>,
    /// The zstd level of images that are kept from now on.
    #[schemars(range(min = 1, max = 19))]
    compression_level: Option<i64>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PackageCache {
    /// Whether the cache is read and written.
    enabled: Option<bool>,
    /// How many GB (10⁹ bytes) it may take on disk, or unlimited.
    max_size_gb: Option<Gigabytes>,
    /// How many days a package stays that no build uses, or unlimited.
    retention_days: Option<Number<36_500>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ImageCache {
    /// Whether the cache is read and written.
    enabled: Option<bool>,
    /// How many images stay, or unlimited.
    max_count: Option<Number<1_000_000>>,
    /// How many GB (10⁹ bytes) images may take on disk, or unlimited; what they share counts once.
    max_size_gb: Option<Gigabytes>,
    /// How many days an image stays that nobody asks for, or unlimited.
    retention_days: Option<Number<36_500>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RootCache {
    /// Whether the cache is read and written.
    enabled: Option<bool>,
    /// How many roots stay, or unlimited.
    max_count: Option<Number<1_000_000>>,
    /// How many days a root stays that no build uses, or unlimited.
    retention_days: Option<Number<36_500>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Mirrors {
    /// The addresses of Azure Linux.
    #[schemars(length(min = 1))]
    azurelinux: Option<Vec<Address>>,
    /// The addresses of `CentOS` Stream.
    #[schemars(length(min = 1))]
    centos_stream: Option<Vec<Address>>,
    /// The addresses of Debian.
    #[schemars(length(min = 1))]
    debian: Option<Vec<Address>>,
    /// The addresses of Debian's security updates.
    #[schemars(length(min = 1))]
    debian_security: Option<Vec<Address>>,
    /// The addresses of the Edge Microvisor Toolkit.
    #[schemars(length(min = 1))]
    edge_base: Option<Vec<Address>>,
    /// The addresses of Fedora.
    #[schemars(length(min = 1))]
    fedora: Option<Vec<Address>>,
    /// The addresses of Ubuntu.
    #[schemars(length(min = 1))]
    ubuntu: Option<Vec<Address>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Keyrings {
    /// The file with the keys of Azure Linux, relative to this one.
    #[schemars(length(min = 1))]
    azurelinux: Option<String>,
    /// The file with the keys of `CentOS` Stream, relative to this one.
    #[schemars(length(min = 1))]
    centos_stream: Option<String>,
    /// The file with the keys of Debian, relative to this one.
    #[schemars(length(min = 1))]
    debian: Option<String>,
    /// The file with the keys of Debian's security updates, relative to this one.
    #[schemars(length(min = 1))]
    debian_security: Option<String>,
    /// The file with the keys of the Edge Microvisor Toolkit, relative to this one.
    #[schemars(length(min = 1))]
    edge_base: Option<String>,
    /// The file with the keys of Fedora, relative to this one.
    #[schemars(length(min = 1))]
    fedora: Option<String>,
    /// The file with the keys of Ubuntu, relative to this one.
    #[schemars(length(min = 1))]
    ubuntu: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tls {
    /// A PEM file of authorities that are believed beside the host's own, relative to this one.
    #[schemars(length(min = 1))]
    ca_file: Option<String>,
    /// What is shown to servers that want to know who asks, each to its host alone.
    #[schemars(length(max = 100))]
    certificates: Option<Vec<Certificate>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Certificate {
    /// The host, as in the addresses of its repositories.
    host: String,
    /// The PEM file of the certificate, and those that lead to its authority, relative to this one.
    #[schemars(length(min = 1))]
    cert: String,
    /// The PEM file of its private key, which only its owner and group may read; else it is in the file of the certificate.
    #[schemars(length(min = 1))]
    key: Option<String>,
}

/// A limit in whole numbers, at most `MOST`.
struct Number<const MOST: u32>;

impl<const MOST: u32> JsonSchema for Number<MOST> {
    fn schema_name() -> Cow<'static, str> {
        format!("Number{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST}, {"const": UNLIMITED}]})
    }
}

/// A limit in GB.
struct Gigabytes;

impl JsonSchema for Gigabytes {
    fn schema_name() -> Cow<'static, str> {
        "Gigabytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000}, {"const": UNLIMITED}]})
    }
}

/// The address of an archive.
struct Address;

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^(http|https|file)://", "maxLength": 1024})
    }
}
