//! A spec as it is written: checked piece by piece, and not yet completed.
//!
//! What is optional is still optional here, so that a profile (and one day a parent that is extended) can fill it in.

use super::model::{AdditionalFile, Artifact, Image, Network, PackageFolder, PackageRepository, Partition, PartitionTable, Sbom, Target};
use super::password::Written;
use crate::distro::{BootProvider, Profile};
use crate::units::ByteSize;

/// A whole spec.
pub(super) struct Draft {
    pub(super) image: Image,
    pub(super) target: Target,
    pub(super) profile: &'static Profile,
    pub(super) disk: DiskDraft,
    pub(super) system: SystemDraft,
    pub(super) repositories: Vec<PackageRepository>,
    pub(super) folders: Vec<PackageFolder>,
    pub(super) metadata: Option<serde_json::Value>,
    pub(super) cache: CacheDraft,
}

/// `disk`.
#[derive(Default)]
pub(super) struct DiskDraft {
    pub(super) name: Option<String>,
    pub(super) size: Option<ByteSize>,
    pub(super) table: Option<PartitionTable>,
    pub(super) extend_last_partition: bool,
    pub(super) partitions: Option<Vec<Partition>>,
    pub(super) artifacts: Option<Vec<Artifact>>,
}

/// `systemConfig`.
#[derive(Default)]
pub(super) struct SystemDraft {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) network: Option<Network>,
    pub(super) packages: Vec<String>,
    pub(super) recommends: bool,
    pub(super) users: Vec<UserDraft>,
    pub(super) additional_files: Vec<AdditionalFile>,
    pub(super) configurations: Vec<String>,
    pub(super) kernel_packages: Option<Vec<String>>,
    pub(super) kernel_version: Option<String>,
    pub(super) modules: Vec<String>,
    pub(super) cmdline: Option<String>,
    pub(super) bootloader: Option<BootProvider>,
    pub(super) sbom: Option<Sbom>,
}

/// One of `systemConfig.users`.
pub(super) struct UserDraft {
    pub(super) name: String,
    pub(super) password: Option<Written>,
    pub(super) password_max_age: Option<u32>,
    pub(super) groups: Vec<String>,
    pub(super) sudo: bool,
    pub(super) home: Option<String>,
    pub(super) shell: Option<String>,
    pub(super) ssh_authorized_keys: Vec<String>,
}

/// `build.cache`.
#[derive(Default)]
pub(super) struct CacheDraft {
    pub(super) packages: Option<bool>,
    pub(super) images: Option<bool>,
}
