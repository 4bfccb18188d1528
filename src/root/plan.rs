//! What a root tree shall be: everything that its making needs, as plain values that can be sent to a worker process.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::network::Network;
use crate::cache::Coordinates;
use crate::digest::Digest;
use crate::progress::Cancelled;

/// What kind of packages a distribution has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packaging {
    /// `.deb`, installed by dpkg.
    Deb,
    /// `.rpm`, installed by rpm.
    Rpm,
}

/// What a system runs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// Its disk, which an initrd finds.
    Disk,
    /// Memory: all of it is the initrd.
    Memory,
    /// The Windows Subsystem for Linux, whose kernel needs no initrd.
    Wsl,
}

/// A root tree to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// What kind of packages they are.
    pub packaging: Packaging,
    /// The packages, in the order of the lock; others are named by their place in it.
    pub packages: Vec<Package>,
    /// The distribution's architecture name (`amd64`).
    pub arch: String,
    /// The host name.
    pub hostname: String,
    /// How interfaces are set up, where the spec says so.
    pub network: Option<Network>,
    /// Users to make or to change.
    pub users: Vec<User>,
    /// Files to copy into the tree.
    pub files: Vec<File>,
    /// Kernel modules for the initrd, which loads them.
    pub modules: Vec<String>,
    /// Shell commands to run in the finished tree.
    pub commands: Vec<String>,
    /// What the system runs from.
    pub platform: Platform,
    /// No file of the tree is newer: seconds since the epoch, given to scripts as `SOURCE_DATE_EPOCH`.
    pub time: u64,
    /// How many threads unpack.
    pub workers: usize,
}

/// One package to install.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Package {
    /// What it is called.
    pub coordinates: Coordinates,
    /// Where its bytes are, once they are there.
    pub supply: Supply,
    /// The length of the package file in bytes.
    pub size: u64,
    /// In which stage it is installed, from 0: each begins where the one before has ended, and needs no package of a later one.
    pub stage: usize,
    /// Whether it is unpacked before all others: essential, or needed by an essential package.
    pub essential: bool,
    /// Whether several architectures of it can be installed (`Multi-Arch: same`): its database files carry the architecture.
    pub multi_arch_same: bool,
    /// Which packages must be configured before this one is unpacked.
    pub pre_depends: Vec<usize>,
    /// Which packages must be configured before this one is configured.
    pub depends: Vec<usize>,
    /// Whose files it may overwrite.
    pub replaces: Vec<usize>,
}

/// Where the bytes of a package are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A blob of the store.
    Blob {
        /// The blob file.
        path: PathBuf,
        /// What its raw bytes must be.
        digest: Digest,
    },
    /// The same of a plain package ([`super::decompressed`]).
    Plain {
        /// The blob file.
        path: PathBuf,
        /// What its raw bytes must be.
        digest: Digest,
    },
    /// The package file itself, already checked.
    File(PathBuf),
    /// Nowhere: it is installed already.
    Installed,
}

/// The bytes of a package, which may be on their way while others are installed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Option<Source>", into = "Option<Source>")]
pub struct Supply(OnceLock<Option<Source>>);

impl Supply {
    /// The bytes have come.
    pub fn arrive(&self, source: Source) {
        let _ = self.0.set(Some(source));
    }

    /// They will not come, unless they have.
    pub fn give_up(&self) {
        let _ = self.0.set(None);
    }

    /// Whether they have come.
    pub fn is_there(&self) -> bool {
        matches!(self.0.get(), Some(Some(_)))
    }

    /// Where they are; waits until they have come.
    ///
    /// # Errors
    /// They will not.
    pub fn wait(&self) -> Result<&Source, Cancelled> {
        self.0.wait().as_ref().ok_or(Cancelled)
    }
}

impl From<Option<Source>> for Supply {
    fn from(source: Option<Source>) -> Self {
        Self(source.map_or_else(OnceLock::new, |source| Some(source).into()))
    }
}

impl From<Supply> for Option<Source> {
    fn from(supply: Supply) -> Self {
        supply.0.into_inner().flatten()
    }
}

/// A user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// The login name.
    pub name: String,
    /// The password field of `/etc/shadow`; none is a locked password.
    pub password: Option<PasswordHash>,
    /// After how many days the password must be changed; none is never.
    pub password_max_age: Option<u32>,
    /// Supplementary groups; those that are not there are made.
    pub groups: Vec<String>,
    /// Whether it may run every command through `sudo` without a password.
    pub sudo: bool,
    /// The home directory; none is the distribution's default.
    pub home: Option<String>,
    /// The login shell; none is `/bin/bash`.
    pub shell: Option<String>,
    /// Lines of `~/.ssh/authorized_keys`.
    pub ssh_authorized_keys: Vec<String>,
}

/// The password field of `/etc/shadow`; not shown by accident.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// What a file to copy is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A regular file, and what its bytes must be: one that changed since the spec was read is an error.
    File(Digest),
    /// A folder, without what is in it.
    Folder,
    /// A symbolic link with this target.
    Link(String),
}

/// A file, folder or link to copy into the tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct File {
    /// On the host.
    pub local: PathBuf,
    /// What it is.
    pub content: Content,
    /// Permission bits; a folder that is there keeps its own.
    pub mode: u32,
    /// `user` or `user:group`, by name in the tree or by number; none is root. A folder that is there keeps its own.
    pub owner: Option<String>,
    /// In the tree; absolute.
    pub destination: String,
}
