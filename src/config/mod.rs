//! The configuration: one [`Config`] from several layers, later ones over earlier ones.
//!
//! ```text
//!  built-in ◄ /etc/image-composer/config.yaml ◄ $XDG_CONFIG_HOME/image-composer/config.yaml ◄ --config FILE ◄ IMAGE_COMPOSER_… ◄ flags (cli/)
//! ```
//!
//! A key of a file is a variable of the environment too: `storage.package_cache.enabled` is `IMAGE_COMPOSER_STORAGE_PACKAGE_CACHE_ENABLED`. Both are
//! read by the same walk over a tree, so that they mean the same and give the same errors.

mod environment;
mod layer;
mod load;
mod model;
mod variables;

#[cfg(test)]
mod tests;

pub use environment::{Environment, NoStoreError};
pub use load::{ConfigError, Configuration, Warning, load};
pub use model::{Config, ImageCache, PackageCache, Proxy, Storage};
