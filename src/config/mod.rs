//! The configuration: one [`Config`] from several layers, later ones over earlier ones.
//!
//! ```text
//!  built-in ◄ /etc/image-composer/config.yaml ◄ $XDG_CONFIG_HOME/image-composer/config.yaml ◄ --config FILE ◄ IMAGE_COMPOSER_… ◄ flags (cli/)
//! ```
//!
//! A key of a file is a variable of the environment too: `storage.package_cache.enabled` is `IMAGE_COMPOSER_STORAGE_PACKAGE_CACHE_ENABLED`. Both are
//! read by the same walk over a tree, so that they mean the same and give the same errors. Only `tls.certificates`, a list of mappings, is for files alone.
//!
//! A limit is a number above 0 or the word `unlimited`. A 0 could mean “keep nothing” as well as “no limit”, and is refused with a hint at both ways to
//! say it; `null` is as if the key were not there.

mod environment;
mod layer;
mod limit;
mod load;
mod model;
mod schema;
mod setting;
mod tls;
mod variables;

#[cfg(test)]
mod tests;

pub use environment::{Environment, NoStoreError};
pub use load::{ConfigError, Configuration, Warning, load};
pub use model::{Config, ImageCache, PackageCache, Proxy, Storage};
pub use schema::schema;
pub use setting::{Origin, Setting};

/// A `config.yaml` that says of each key what it is for, with the built-in values.
pub const TEMPLATE: &str = include_str!("template.yaml");
