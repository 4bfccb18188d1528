//! A configuration as a list: each key with the value that holds, as a file would say it, and where that is from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Config, variables};
use crate::units::{ByteSize, UNLIMITED};
use crate::yaml::{Kind, Node, Scalar};

/// A key, and what holds for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// As in files, parts separated by dots: `storage.package_cache.enabled`.
    pub key: String,
    /// As in files; a proxy without its password, and null where there is nothing.
    pub value: Value,
    /// Where it is from.
    pub origin: Origin,
}

/// Where a value is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    /// It is built in.
    BuiltIn,
    /// A file, and the line of the key.
    File {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable { name } => f.write_str(name),
        }
    }
}

/// Where the values of keys are from that are not built in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Notes all keys that a file has.
    pub(super) fn of_file(&mut self, root: &Node, path: &Path) {
        self.note(root, |line| Origin::File { path: path.to_owned(), line });
    }

    /// Notes the key of a variable.
    pub(super) fn of_variable(&mut self, root: &Node, name: &str) {
        self.note(root, |_| Origin::Variable { name: name.to_owned() });
    }

    fn note(&mut self, root: &Node, origin: impl Fn(usize) -> Origin) {
        for (path, _) in variables::keys() {
            let node = path.iter().try_fold(root, |node, key| node.get(key));
            // What is null is as if it were not there.
            if let Some(node) = node.filter(|node| !matches!(node.kind, Kind::Scalar(Scalar::Null))) {
                self.0.insert(path.join("."), origin(node.place.line));
            }
        }
    }
}

/// All keys that have a value, in the order of the template; of archives, those that are configured.
pub(super) fn settings(config: &Config, origins: &Origins) -> Vec<Setting> {
    let found = variables::keys().into_iter().filter_map(|(path, _)| {
        let key = path.join(".");
        let origin = origins.0.get(&key).cloned().unwrap_or(Origin::BuiltIn);
        Some(Setting { value: value(config, &path)?, key, origin })
    });
    found.collect()
}

fn value(config: &Config, path: &[&str]) -> Option<Value> {
    let storage = &config.storage;
    let number = |limit: Option<u32>| limit.map_or(json!(UNLIMITED), Value::from);
    let size = |limit: Option<ByteSize>| limit.map_or(json!(UNLIMITED), gigabytes);
    Some(match path {
        ["storage", "package_cache", "enabled"] => json!(storage.package_cache.enabled),
        ["storage", "package_cache", "max_size_gb"] => size(storage.package_cache.max_size),
        ["storage", "package_cache", "retention_days"] => number(storage.package_cache.retention_days),
        ["storage", "image_cache", "enabled"] => json!(storage.image_cache.enabled),
        ["storage", "image_cache", "max_count"] => number(storage.image_cache.max_count),
        ["storage", "image_cache", "max_size_gb"] => size(storage.image_cache.max_size),
        ["storage", "image_cache", "retention_days"] => number(storage.image_cache.retention_days),
        ["storage", "root_cache", "enabled"] => json!(storage.root_cache.enabled),
        ["storage", "root_cache", "max_count"] => number(storage.root_cache.max_count),
        ["storage", "root_cache", "retention_days"] => number(storage.root_cache.retention_days),
        ["storage", "min_free_gb"] => gigabytes(storage.min_free.unwrap_or(ByteSize(0))),
        ["storage", "compression_level"] => json!(storage.compression_level),
        ["workers"] => json!(config.workers),
        ["proxy"] => json!(config.proxy),
        ["tls", "ca_file"] => json!(config.tls.ca_file),
        ["tls", "certificates"] => json!(config.tls.certificates),
        ["mirrors", id] => json!(config.mirrors.get(*id)?),
        ["keyrings", id] => json!(config.keyrings.get(*id)?),
        _ => return None,
    })
}

/// A size in GB, a whole number where it is one.
fn gigabytes(size: ByteSize) -> Value {
    const GB: u64 = 1_000_000_000;
    let (whole, rest) = (size.0 / GB, size.0 % GB);
    if rest == 0 { json!(whole) } else { format!("{whole}.{rest:09}").parse::<f64>().map_or(Value::Null, Value::from) }
}
