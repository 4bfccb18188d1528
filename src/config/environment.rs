//! What a process was started with, as a value: so that tests need not change the one that they run in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Variables, and who runs the process.
#[derive(Debug, Clone)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    root: bool,
    system_folder: PathBuf,
}

/// Nothing says where the store shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no place for the store: neither XDG_CACHE_HOME nor HOME names a folder")]
pub struct NoStoreError;

impl NoStoreError {
    /// The way out.
    pub fn hint(&self) -> Option<String> {
        Some("set IMAGE_COMPOSER_STORE to the store's folder".to_owned())
    }
}

impl Environment {
    /// An environment of these variables; `root` says whether the user is root, `system_folder` is what `/etc/image-composer` stands for.
    pub fn new<V: Into<OsString>>(variables: impl IntoIterator<Item = (V, V)>, root: bool, system_folder: &Path) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, root, system_folder: system_folder.to_owned() }
    }

    /// That of this process.
    pub fn of_process() -> Self {
        Self::new(std::env::vars_os(), rustix::process::geteuid().is_root(), Path::new("/etc/image-composer"))
    }

    /// A variable; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The variables whose names begin so and are UTF-8, sorted; empty ones are left out.
    pub fn starting_with<'e>(&'e self, prefix: &'e str) -> impl Iterator<Item = (&'e str, &'e OsStr)> {
        let named = self.variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str())));
        named.filter(move |(name, value)| name.starts_with(prefix) && !value.is_empty())
    }

    /// The folder of the store: `$IMAGE_COMPOSER_STORE`, else `/var/cache/image-composer` for root, else `$XDG_CACHE_HOME/image-composer`, else
    /// `~/.cache/image-composer`.
    ///
    /// # Errors
    /// A user without a home.
    pub fn store_dir(&self) -> Result<PathBuf, NoStoreError> {
        if let Some(folder) = self.get("IMAGE_COMPOSER_STORE") {
            return Ok(folder.into());
        }
        if self.root {
            return Ok("/var/cache/image-composer".into());
        }
        self.xdg_folder("XDG_CACHE_HOME", ".cache").ok_or(NoStoreError)
    }

    /// The configuration files that are read when they are there, weakest first.
    pub(super) fn config_files(&self) -> Vec<PathBuf> {
        let user = self.xdg_folder("XDG_CONFIG_HOME", ".config");
        [Some(self.system_folder.clone()), user].into_iter().flatten().map(|folder| folder.join("config.yaml")).collect()
    }

    /// Our folder in one of the XDG base directories; relative ones are to be ignored (XDG Base Directory Specification).
    fn xdg_folder(&self, variable: &str, beneath_home: &str) -> Option<PathBuf> {
        let absolute = |name| self.get(name).map(Path::new).filter(|path| path.is_absolute());
        let base = absolute(variable).map(Path::to_owned).or_else(|| Some(absolute("HOME")?.join(beneath_home)))?;
        Some(base.join("image-composer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_dir(variables: &[(&str, &str)], root: bool) -> Option<PathBuf> {
        Environment::new(variables.iter().copied(), root, Path::new("/etc/x")).store_dir().ok()
    }

    #[test]
    fn the_store_has_a_place() {
        let home = ("HOME", "/home/a");
        assert_eq!(store_dir(&[home, ("IMAGE_COMPOSER_STORE", "/s")], true), Some("/s".into()));
        assert_eq!(store_dir(&[home, ("XDG_CACHE_HOME", "/c")], true), Some("/var/cache/image-composer".into()));
        assert_eq!(store_dir(&[home, ("XDG_CACHE_HOME", "/c")], false), Some("/c/image-composer".into()));
        assert_eq!(store_dir(&[home, ("XDG_CACHE_HOME", "c"), ("IMAGE_COMPOSER_STORE", "")], false), Some("/home/a/.cache/image-composer".into()));
        assert_eq!(store_dir(&[], false), None);
    }
}
