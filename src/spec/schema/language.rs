//! What may be written in a spec, as types that only their schema is made of. What they say of a field is what an editor shows.

#![expect(dead_code, reason = "no value of these types is ever made")]

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

/// What an image shall be: its distribution, and what differs from that.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, title = "image-composer spec")]
pub(super) struct Document {
    /// A spec to build on, in the folder of this one or beneath it.
    #[schemars(length(min = 1))]
    extends: Option<String>,
    /// What the image is called.
    image: Image,
    /// The distribution and processor that the image is for.
    target: Target,
    /// The size and partitions of the disk, and the formats of the output.
    disk: Option<Disk>,
    /// What is installed, and how it is set up.
    system_config: Option<System>,
    /// Repositories beside those of the distribution.
    package_repositories: Option<Vec<Repository>>,
    /// Whatever you want to say about the image; it is kept with it.
    metadata: Option<Map<String, Value>>,
    /// How the image is built, without influence on it.
    build: Option<Build>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Image {
    /// The first part of the names of the output.
    #[schemars(regex(pattern = IMAGE_PART), length(max = 64))]
    name: String,
    /// The second part of the names of the output; in quotes where it looks like a number.
    #[schemars(regex(pattern = IMAGE_PART), length(max = 64))]
    version: String,
}

const IMAGE_PART: &str = "^[A-Za-z0-9][A-Za-z0-9._+-]*$";

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Target {
    /// The family of the distribution, which follows from dist.
    os: Option<Os>,
    /// The release of the distribution.
    dist: Dist,
    /// The processor.
    arch: Arch,
    /// The kind of image: a disk (raw), a kernel and an initrd of all files (img), or an archive for WSL (wsl2).
    image_type: Option<ImageType>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Os {
    AzureLinux,
    Debian,
    EdgeMicrovisorToolkit,
    Fedora,
    RedhatCompatibleDistro,
    Ubuntu,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Dist {
    Azl3,
    Debian12,
    Debian13,
    El10,
    Emt3,
    Fedora43,
    Rcd10,
    Ubuntu24,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Arch {
    #[schemars(rename = "x86_64")]
    X86,
    Aarch64,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum ImageType {
    Raw,
    Img,
    Wsl2,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Disk {
    /// What the layout is called.
    name: Option<String>,
    /// The size of the disk, such as 4GiB.
    size: Option<Size>,
    /// The kind of partition table.
    partition_table_type: Option<PartitionTable>,
    /// Whether the last partition takes the rest of a larger disk when the machine starts.
    #[schemars(rename = "extendLastPartitionToFillDisk")]
    last_partition_grows: Option<bool>,
    /// All partitions in the order of the table, instead of what starts the machine and a root.
    #[schemars(length(min = 1, max = 128))]
    partitions: Option<Vec<Partition>>,
    /// The files to write.
    #[schemars(length(min = 1))]
    artifacts: Option<Vec<Artifact>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum PartitionTable {
    Gpt,
    Mbr,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, extend("anyOf" = [{"required": ["type"]}, {"required": ["typeUUID"]}]))]
struct Partition {
    /// What the partition is called in the spec, and in the table where it has no name.
    #[schemars(length(min = 1, max = 36))]
    id: String,
    /// The name in the partition table.
    #[schemars(length(min = 1, max = 36))]
    name: Option<String>,
    /// Another spelling of name.
    #[schemars(length(min = 1, max = 36))]
    label: Option<String>,
    /// What the partition is for.
    #[schemars(rename = "type")]
    kind: Option<PartitionType>,
    /// What the partition is for, as a GUID or a code of sgdisk.
    #[schemars(rename = "typeUUID")]
    type_uuid: Option<String>,
    /// Where it begins: at a whole number of MiB, at least 1MiB.
    start: Size,
    /// Where it ends; "0" is the end of the disk, for the last one.
    end: Size,
    /// The file system: fat32 for an EFI system partition, ext4 for a root; swap and a partition of type bios need not say it.
    fs_type: Option<FsType>,
    /// The label of the file system: at most 11 characters for FAT, 16 for ext4.
    #[schemars(length(min = 1, max = 16))]
    fs_label: Option<String>,
    /// Where the system mounts it, if anywhere: an absolute path.
    #[schemars(regex(pattern = "^(/.*|none|swap|)$"))]
    mount_point: Option<String>,
    /// Options for /etc/fstab, separated by commas.
    #[schemars(regex(pattern = "^[!-~]+$"), length(max = 1024))]
    mount_options: Option<String>,
    /// Marks that follow from type.
    flags: Option<Vec<Flag>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum PartitionType {
    Esp,
    LinuxRootAmd64,
    LinuxRootArm64,
    Linux,
    Xbootldr,
    Bios,
    LinuxSwap,
    LinuxHome,
    LinuxSrv,
    LinuxVar,
    LinuxTmp,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum FsType {
    Fat32,
    Vfat,
    Fat16,
    Ext2,
    Ext3,
    Ext4,
    LinuxSwap,
    Swap,
    None,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Flag {
    Esp,
    Boot,
    BiosGrub,
    Swap,
    BlsBoot,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Artifact {
    /// The format of the file.
    #[schemars(rename = "type")]
    kind: Format,
    /// How the file is compressed, if it is.
    compression: Option<Compression>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Compression {
    Gz,
    Gzip,
    Xz,
    Zst,
    Zstd,
    Bz2,
    Bzip2,
    None,
    #[schemars(rename = "")]
    Nothing,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Format {
    Raw,
    Qcow2,
    Vhd,
    Vhdx,
    Vmdk,
    Vdi,
    Tar,
    Initrd,
    Vmlinuz,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct System {
    /// What this configuration is called.
    name: Option<String>,
    /// What is to be said about it.
    #[schemars(length(max = 4096))]
    description: Option<String>,
    /// The host name; the name of the image where there is none.
    #[schemars(regex(pattern = "^[A-Za-z0-9.-]+$"), length(max = 64))]
    hostname: Option<String>,
    /// How network interfaces are set up.
    network: Option<Network>,
    /// Packages to install: names, name=version, or patterns such as linux-image-generic*.
    packages: Option<Vec<Package>>,
    /// Whether packages that others recommend are installed, too; false where it is not said.
    install_recommends: Option<bool>,
    /// Users to make, and root.
    users: Option<Vec<User>>,
    /// Files and folders of the host that are copied into the image.
    additional_files: Option<Vec<AdditionalFile>>,
    /// Shell commands that are run in the finished system, without a network.
    configurations: Option<Vec<Configuration>>,
    /// The kernel, its command line and its modules.
    kernel: Option<Kernel>,
    /// What starts the kernel.
    bootloader: Option<Bootloader>,
    /// A bill of the packages, which lies in the image beneath /usr/share/sbom.
    sbom: Option<Sbom>,
    /// Whether the image is immutable, which none is.
    immutability: Option<Immutability>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Immutability {
    /// Always false.
    #[schemars(extend("enum" = [false]))]
    enabled: bool,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Network {
    /// What sets interfaces up.
    backend: Backend,
    /// The interfaces; of two that fit, the first one holds.
    #[schemars(length(max = 90))]
    interfaces: Option<Vec<Interface>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Backend {
    SystemdNetworkd,
    Netplan,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Interface {
    /// The name, or a pattern such as en*.
    #[schemars(regex(pattern = "^[A-Za-z0-9_.*?-]+$"), length(max = 15))]
    name: String,
    /// Whether it asks for an IPv4 address.
    dhcp4: Option<bool>,
    /// Whether it asks for an IPv6 address.
    dhcp6: Option<bool>,
    /// Addresses with the length of their prefix, such as 10.0.0.100/24.
    addresses: Option<Vec<Subnet>>,
    /// The default route of IPv4.
    gateway4: Option<String>,
    /// The default route of IPv6.
    gateway6: Option<String>,
    /// Where else packets go.
    routes: Option<Vec<Route>>,
    /// The addresses of name servers.
    nameservers: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Route {
    /// A network, such as 10.0.0.0/8, or default.
    #[schemars(regex(pattern = "^(default|.+/[0-9]+)$"))]
    to: String,
    /// The address of the next router.
    via: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct User {
    /// The login name.
    #[schemars(regex(pattern = "^[a-z_][a-z0-9_-]*$"), length(max = 32))]
    name: String,
    /// The password, plain or as crypt(5) has it; a user without one is locked.
    password: Option<String>,
    /// How a plain password is hashed, or a hash was made.
    #[schemars(rename = "hash_algo")]
    hash_algo: Option<HashAlgorithm>,
    /// After how many days the password must be changed; 0 is never.
    #[schemars(range(min = 0, max = 99_999))]
    password_max_age: Option<i64>,
    /// Further groups; those that no package brings are made.
    groups: Option<Vec<Group>>,
    /// Whether it may run every command as root, without a password.
    sudo: Option<bool>,
    /// The home directory; /home and the name where there is none.
    #[schemars(regex(pattern = "^/[^:]+$"))]
    home: Option<String>,
    /// What runs at a login, instead of /bin/bash.
    #[schemars(regex(pattern = "^/[^:]+$"))]
    shell: Option<String>,
    /// A script that runs at a login, in place of a shell.
    #[schemars(regex(pattern = "^/[^:]+$"))]
    startup_script: Option<String>,
    /// Public keys, one line each, as sshd takes them.
    ssh_authorized_keys: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum HashAlgorithm {
    Sha512,
    Sha256,
    Yescrypt,
    Bcrypt,
    Md5,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AdditionalFile {
    /// The file or folder of the host, relative to the spec.
    #[schemars(length(min = 1))]
    local: String,
    /// Where it goes: an absolute path in the image.
    #[schemars(regex(pattern = "^/"))]
    #[schemars(rename = "final")]
    destination: String,
    /// The permissions in octal digits, such as "0644"; those of the host's file where there are none.
    mode: Option<Mode>,
    /// Who it belongs to, user or user:group, by name or number; root where it is not said.
    #[schemars(regex(pattern = "^[a-z0-9_-]+(:[a-z0-9_-]+)?$"))]
    owner: Option<String>,
    /// When it is copied: before the initrd is made.
    stage: Option<Stage>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Stage {
    PreInitramfs,
    #[schemars(rename = "")]
    Nothing,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Configuration {
    /// The command.
    #[schemars(regex(pattern = "\\S"), length(max = 65_536))]
    cmd: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Kernel {
    /// The version or its beginning, in quotes; the newest kernel of it is taken.
    #[schemars(regex(pattern = "^[0-9][A-Za-z0-9.+~-]*$"), length(max = 64))]
    version: Option<String>,
    /// The packages of the kernel, instead of the distribution's.
    #[schemars(length(min = 1))]
    packages: Option<Vec<Package>>,
    /// Names of modules that the initrd loads, separated by spaces or commas.
    #[schemars(length(max = 4096))]
    enable_extra_modules: Option<String>,
    /// The command line, without root=.
    #[schemars(regex(pattern = "^[ -~]*$"), length(max = 1900))]
    cmdline: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Bootloader {
    /// How the machine starts.
    boot_type: Option<BootType>,
    /// The program that starts the kernel.
    provider: Option<Provider>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Sbom {
    Spdx,
    CycloneDx,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum BootType {
    Efi,
    Legacy,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Provider {
    SystemdBoot,
    Grub,
}

#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    deny_unknown_fields,
    extend("anyOf" = [
        {"required": ["url", "codename", "pkey"]},
        {"required": ["url", "codename", "pkeys"]},
        {"required": ["url", "codename", "insecureSkipVerify"]},
        {"required": ["metalink", "id", "codename", "pkey"]},
        {"required": ["metalink", "id", "codename", "pkeys"]},
        {"required": ["metalink", "id", "codename", "insecureSkipVerify"]},
        {"required": ["mirrorlist", "id", "codename", "pkey"]},
        {"required": ["mirrorlist", "id", "codename", "pkeys"]},
        {"required": ["mirrorlist", "id", "codename", "insecureSkipVerify"]},
        {"required": ["path"]},
    ])
)]
struct Repository {
    /// What the repository is called in the store; its address where it is not said.
    #[schemars(length(min = 1, max = 255))]
    id: Option<String>,
    /// A folder of packages, instead of url.
    #[schemars(length(min = 1))]
    path: Option<String>,
    /// The address above dists/: http, https or file.
    #[schemars(regex(pattern = "^(http|https|file)://"), length(max = 1024))]
    url: Option<String>,
    /// The address of a metalink that names the mirrors of an RPM repository, instead of url; needs an id.
    #[schemars(regex(pattern = "^(http|https|file)://"), length(max = 2049))]
    metalink: Option<String>,
    /// The address of a plain list of the mirrors of an RPM repository, instead of url; needs an id.
    #[schemars(regex(pattern = "^(http|https|file)://"), length(max = 2049))]
    mirrorlist: Option<String>,
    /// The suite; with a slash at its end, the folder of a flat repository. Of a folder of packages, another spelling of id.
    #[schemars(length(min = 1))]
    codename: Option<String>,
    /// The components, separated by spaces; main where it is not said.
    component: Option<String>,
    /// The file with the public key that signs the repository; “[trusted=yes]” is none, which needs --allow-untrusted.
    #[schemars(length(min = 1))]
    pkey: Option<String>,
    /// Files with further public keys that may sign the repository.
    pkeys: Option<Vec<String>>,
    /// Whether nothing proves the repository, which needs --allow-untrusted.
    insecure_skip_verify: Option<bool>,
    /// The rank among repositories, as apt's pin priorities; 500, or less where a suite is not automatic, if not given.
    #[schemars(range(min = -9999, max = 9999))]
    priority: Option<i64>,
    /// The only packages to take from the repository: names and patterns.
    allow_packages: Option<Vec<Package>>,
    /// Packages that are not taken from the repository: names and patterns.
    exclude_packages: Option<Vec<Package>>,
    /// Another spelling of allowPackages.
    #[schemars(rename = "AllowPackages")]
    allow_packages_too: Option<Vec<Package>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Build {
    /// Which caches the build uses.
    cache: Option<Cache>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Cache {
    /// Whether packages and metadata are taken from the store and kept there.
    use_package_cache: Option<bool>,
    /// Whether the image is taken from the store and kept there.
    use_image_cache: Option<bool>,
}

/// A type of values that is not one of Rust's.
macro_rules! written {
    ($name:ident, $schema:tt) => {
        struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

written!(Size, {"type": ["string", "integer"], "pattern": r"^\s*[0-9]+\s*([bB]|[kKmMgGtT]([iI]?[bB])?)?\s*$", "minimum": 0});
written!(Mode, {"type": ["string", "integer"], "pattern": "^(0o)?0?[0-7]{3,4}$", "minimum": 0});
written!(Package, {"type": "string", "pattern": r"^[a-z0-9*?+.!^\[\]-]", "maxLength": 512});
written!(Group, {"type": "string", "pattern": "^[a-z_][a-z0-9_-]*$", "maxLength": 32});
written!(Subnet, {"type": "string", "pattern": "^[0-9a-fA-F:.]+/[0-9]+$"});
