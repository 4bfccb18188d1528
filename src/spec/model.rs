//! A complete spec: every default filled in, every value checked.
//!
//! The spec hash is made from the serialized form of [`Spec`]: a field that must not change the hash says `serde(skip)`, with the reason.
//! A field that came later is left out where a spec does not use it, so that the hash of such a spec stays what it was.

use std::path::PathBuf;

use serde::Serialize;

use crate::digest::{Digest, Sha256};
/// The format of an output file.
pub use crate::disk::formats::FileFormat as Artifact;
use crate::disk::formats::{Compression, Contents, Format};
pub use crate::disk::{FileSystem, PartitionKind, PartitionTable};
pub use crate::distro::{Architecture, BootProvider};
use crate::repo::{MirrorListKind, PackageRecord};
pub use crate::resolve::Kernel;
pub use crate::root::network::{Backend as NetworkBackend, Interface, Network, Route, Subnet};
use crate::units::ByteSize;

/// What a user asked for, merged with the profile's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spec {
    /// What the image is called.
    pub image: Image,
    /// The distribution and architecture.
    pub target: Target,
    /// The disk's layout.
    pub disk: Disk,
    /// What is installed and how it is set up.
    pub system: System,
    /// Repositories beside those of the profile.
    pub repositories: Vec<PackageRepository>,
    /// Folders of packages that are repositories, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<PackageFolder>,
    /// What people say about the image (`metadata`): any keys. It is kept with the image, and a part of its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
    /// Which caches the build may use: has no influence on the image.
    #[serde(skip)]
    pub cache: CacheUse,
}

/// Name and version: the output is called `<name>-<version>.<format>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// ASCII letters, digits, `.`, `_`, `+` and `-`.
    pub name: String,
    /// The same characters.
    pub version: String,
}

/// The distribution and architecture of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The operating system's family: `debian`, `ubuntu`.
    pub os: String,
    /// The profile's name: `debian12`.
    pub dist: String,
    /// The processor.
    pub arch: Architecture,
    /// The kind of output.
    pub image_type: ImageType,
}

/// The kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageType {
    /// A disk image with a partition table.
    Raw,
    /// A system that runs in memory: a kernel, and an initrd that has all files.
    Img,
    /// A system for the Windows Subsystem for Linux, which has a kernel of its own: an archive of its files.
    Wsl2,
}

impl ImageType {
    /// The name that specs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Img => "img",
            Self::Wsl2 => "wsl2",
        }
    }

    /// What can be written of an image of this kind.
    pub fn contents(self) -> &'static [Contents] {
        match self {
            Self::Raw => &Contents::ALL,
            Self::Img => &[Contents::Vmlinuz, Contents::Initrd, Contents::Tar],
            Self::Wsl2 => &[Contents::Tar],
        }
    }

    /// What is written where the spec names nothing.
    pub fn default_artifacts(self) -> Vec<Artifact> {
        let compressed = |contents, how| Artifact { contents, compression: Some(how) };
        match self {
            Self::Raw => vec![Format::Raw.into()],
            Self::Img => vec![Contents::Vmlinuz.into(), compressed(Contents::Initrd, Compression::Zst)],
            Self::Wsl2 => vec![compressed(Contents::Tar, Compression::Gz)],
        }
    }
}

/// The disk of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// What the spec calls the layout, if it does.
    pub name: Option<String>,
    /// Logical size in bytes, a multiple of 1 MiB: other sizes are rounded up when the spec is read.
    pub size: ByteSize,
    /// The kind of partition table.
    pub table: PartitionTable,
    /// In the order of the table. Never empty; exactly one is mounted at `/`; where EFI starts the disk, one is the EFI system partition.
    /// An image that is no disk has one for its files.
    pub partitions: Vec<Partition>,
    /// Whether the last partition takes the rest of a larger disk when the machine starts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub extend_last_partition: bool,
    /// The files to write. Never empty.
    pub artifacts: Vec<Artifact>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Its identity in the spec.
    pub id: String,
    /// The partition's name in the table: at most 36 ASCII characters.
    pub name: String,
    /// What it is for.
    pub kind: PartitionKind,
    /// The offset of its first byte; a multiple of 1 MiB, at least 1 MiB.
    pub start: ByteSize,
    /// The offset after its last byte; none is “the rest of the disk”, for the last partition only.
    pub end: Option<ByteSize>,
    /// What it is formatted with; only a partition for GRUB's core has nothing.
    pub filesystem: Option<FileSystem>,
    /// The file system's label (`fsLabel`), if any: at most 11 characters for FAT, 16 for ext4.
    pub label: Option<String>,
    /// Where the system mounts it, if anywhere.
    pub mount_point: Option<String>,
    /// Options for `/etc/fstab`.
    pub mount_options: String,
}

/// What is installed and how it is set up (`systemConfig`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct System {
    /// The configuration's name.
    pub name: String,
    /// What the spec says about it, if it does.
    pub description: Option<String>,
    /// The host name; RFC 1123.
    pub hostname: String,
    /// How interfaces are set up, where the spec says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// All packages to install: the profile's, the kernel's, the boot loader's and the spec's own, each by its name, as `name=version`, or as a pattern of
    /// names. Sorted, each once.
    pub packages: Vec<String>,
    /// Whether packages that others recommend come too, where they can.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recommends: bool,
    /// In the order of the spec.
    pub users: Vec<User>,
    /// Sorted by destination.
    pub additional_files: Vec<AdditionalFile>,
    /// Shell commands, run in this order in the finished root.
    pub configurations: Vec<String>,
    /// A kernel of a certain version; its packages are not among `packages` then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
    /// Kernel modules that are in the initrd, and loaded from there. In the order of the spec, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// The kernel's command line, without `root=`; empty where nothing on the disk starts it.
    pub cmdline: String,
    /// What starts the kernel; nothing on the disk does where the image is of another type than raw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootloader: Option<BootProvider>,
    /// In whose words a bill of the packages lies in the image, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Sbom>,
}

/// A bill of what is in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sbom {
    /// SPDX 2.3, JSON.
    Spdx,
    /// `CycloneDX` 1.5, JSON.
    CycloneDx,
}

/// A user to make, or `root`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// The login name.
    pub name: String,
    /// How it can log in with a password; none is a locked password.
    pub password: Option<Password>,
    /// After how many days the password must be changed; none is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_max_age: Option<u32>,
    /// Supplementary groups, sorted; those that no package brings are made.
    pub groups: Vec<String>,
    /// Whether it may run every command as root through `sudo`, without a password.
    pub sudo: bool,
    /// The home directory; none is `/home/<name>`.
    pub home: Option<String>,
    /// What runs at a login; none is `/bin/bash`.
    pub shell: Option<String>,
    /// Lines of `~/.ssh/authorized_keys`.
    pub ssh_authorized_keys: Vec<String>,
}

/// A password as `/etc/shadow` has it: what was plain in the spec is already hashed, and stays nowhere else.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What a file of the host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A regular file; its contents when the spec was loaded.
    File(Digest),
    /// A folder; what is in it stands beside it.
    Folder,
    /// A symbolic link, and where it leads.
    Link(String),
}

/// A file, folder or link of the host that is copied into the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdditionalFile {
    /// The file on the host, absolute. Its place has no influence on the image; its contents and mode do.
    #[serde(skip)]
    pub local: PathBuf,
    /// What it is.
    pub content: Content,
    /// The permission bits: the spec's, else those of the file when the spec was loaded. A folder that the image has keeps its own, and a link has none.
    pub mode: u32,
    /// `user` or `user:group`, by name or number; none is root. A folder that the image has keeps its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where it goes: absolute, without `..`.
    pub destination: String,
}

/// A repository of the spec's own (`packageRepositories`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageRepository {
    /// Its identity in coordinates: the address without scheme, user and trailing slash.
    pub id: String,
    /// The base address, above `dists/`; or that of the list that names its mirrors.
    pub url: String,
    /// What kind of list is at the address, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<MirrorListKind>,
    /// The suite beneath `dists/`; of a flat repository the folder beneath the address, with a slash at its end.
    pub codename: String,
    /// The components; none of a flat repository.
    pub components: Vec<String>,
    /// The keys that may have signed its Release. Empty only where it is not verified.
    pub keys: Vec<RepositoryKey>,
    /// What says that nothing needs to prove it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified: Option<Unverified>,
    /// The only packages to take from it, by names and patterns, sorted; all where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_packages: Vec<String>,
    /// Packages that are not taken from it, by names and patterns, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_packages: Vec<String>,
    /// Rank against other repositories (apt's pin priority); 500 is the default, and gives way to what the repository says of itself (`NotAutomatic`).
    pub priority: i32,
}

/// That a repository is not to be verified, and where the spec says so. In the hash, and in all that is kept, it is `true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// As the spec has it: `insecureSkipVerify: true`.
    pub switch: &'static str,
    /// The file that has it, as it was named.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
}

impl Serialize for Unverified {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

/// A folder of packages (`packageRepositories` with `path`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageFolder {
    /// Its identity in coordinates: the folder's name.
    pub id: String,
    /// The folder on the host, absolute. Its place has no influence on the image; the packages in it do.
    #[serde(skip)]
    pub path: PathBuf,
    /// All package files in it, also those of other architectures. Sorted by name, never empty.
    pub packages: Vec<PackageFile>,
    /// As [`PackageRepository::allow_packages`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_packages: Vec<String>,
    /// As [`PackageRepository::exclude_packages`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_packages: Vec<String>,
    /// As [`PackageRepository::priority`].
    pub priority: i32,
}

/// A package file in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageFile {
    /// Its name.
    pub file: String,
    /// Its contents when the spec was loaded; a build that finds others ends.
    pub digest: Sha256,
    /// What is in it, all of which follows from its contents; none if it is for another architecture, or a second file of the same package.
    #[serde(skip)]
    pub package: Option<PackageRecord>,
}

/// A file with public keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryKey {
    /// The file on the host, absolute. Its place has no influence on the image; its contents do.
    #[serde(skip)]
    pub path: PathBuf,
    /// Its contents when the spec was loaded.
    pub digest: Digest,
}

/// Which caches the build may read and write (`build.cache`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// Packages and repository metadata.
    pub packages: bool,
    /// Finished images.
    pub images: bool,
}
