//! Making a tree start: the files of the EFI system partition, and those that the running system needs to keep its boot loader up to date.
//!
//! The tree already has its kernels and initrds in `/boot`. What is laid down is what the distribution's own tools would have: a later kernel update
//! on the running machine finds its entries where it looks for them. What is missing is an error that names the package.

pub(super) mod bios;
mod fstab;
mod grow;
mod grub;
mod kernels;
mod os_release;
mod systemd_boot;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::bios::Bios;
use self::kernels::Kernel;
pub(crate) use self::kernels::is_version as is_kernel_version;
use self::os_release::OsRelease;
use super::error::Error;
use super::fat::{FatFile, Source};
use super::layout::{Architecture, Checked, Partition};
use super::text;
use crate::tree::Tree;

/// Runs a command inside the sandbox of the tree (program and arguments), and returns its standard output.
pub type Run<'a> = dyn FnMut(&[&str]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// How an image starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// What starts the kernel.
    pub provider: Provider,
    /// The kernel's command line without `root=`; one line.
    pub cmdline: String,
    /// What the boot menu calls the system, such as `Debian GNU/Linux 12 (bookworm)`; one line. Empty takes the tree's `os-release`.
    pub title: String,
}

/// What starts the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// systemd-boot, started by EFI.
    SystemdBoot,
    /// GNU GRUB, started by EFI.
    Grub,
    /// GNU GRUB, started by a BIOS.
    GrubBios,
}

/// The longest command line that kernels take (x86; 64-bit ARM has the same).
const CMDLINE_LIMIT: usize = 2047;

/// Everything that a boot loader's part needs to know.
struct Context<'a> {
    tree: &'a Tree,
    architecture: Architecture,
    /// `UUID=` of the file system that holds `/boot`.
    boot_uuid: String,
    /// Where `/boot` is on that file system: `/boot`, or nothing where it has a partition of its own.
    boot_prefix: &'static str,
    /// `root=…` and the command line of the spec.
    options: String,
    title: String,
    os: OsRelease,
    /// Newest first; never empty.
    kernels: Vec<Kernel>,
}

/// Files of the EFI system partition and of the tree.
#[derive(Debug, Default)]
struct Files {
    esp: Vec<FatFile>,
    tree: Vec<(String, Vec<u8>)>,
    /// Of the tree, too; root alone may read them, and nobody writes them by mistake.
    private: Vec<(String, Vec<u8>)>,
    bios: Option<Bios>,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Installed {
    /// The files of the EFI system partition.
    pub(super) esp: Vec<FatFile>,
    /// What is written where a BIOS finds it.
    pub(super) bios: Option<Bios>,
    /// The versions of the kernels, newest (the default) first.
    pub(super) kernels: Vec<String>,
}

/// Adds to the tree what belongs there (`/etc/fstab`, the boot loader's configuration), and tells what belongs on the EFI system partition.
///
/// What the tree holds beneath the EFI system partition's mount point moves there, in place of what we would have written: a user or a package wanted
/// it so.
pub(super) fn install(tree: &Tree, layout: Checked<'_>, boot: &Boot, run: &mut Run<'_>) -> Result<Installed, Error> {
    if !text::is_one_line(&boot.cmdline) || boot.cmdline.len() > CMDLINE_LIMIT {
        let value = text::shown(&boot.cmdline);
        return Err(Error::Unusable { what: "the kernel command line", value, problem: "is not one line of at most 2047 bytes" });
    }
    if !text::is_one_line(&boot.title) {
        return Err(Error::Unusable { what: "the title", value: text::shown(&boot.title), problem: "is not one line" });
    }
    let os = OsRelease::read(tree)?;
    let root_uuid = layout.layout.filesystem_uuid(layout.root);
    let words: Vec<&str> = boot.cmdline.split_whitespace().collect();
    let context = Context {
        tree,
        architecture: layout.layout.architecture,
        options: format!("root=UUID={root_uuid} {}", words.join(" ")).trim_end().to_owned(),
        boot_uuid: layout.layout.filesystem_uuid(layout.boot),
        boot_prefix: if layout.boot.name == layout.root.name { "/boot" } else { "" },
        title: if boot.title.is_empty() { os.title.clone() } else { boot.title.clone() },
        os,
        kernels: kernels::find(tree, layout.layout.architecture)?,
    };
    let mut files = match boot.provider {
        Provider::SystemdBoot => systemd_boot::files(&context)?,
        Provider::Grub => grub::files(&context, run)?,
        Provider::GrubBios => grub::bios_files(&context, run)?,
    };
    files.tree.push(fstab::file(tree, layout.layout)?);
    files.tree.extend(grow::files(&context, layout.layout)?);
    for mount_point in layout.layout.partitions.iter().filter_map(|partition| partition.mount_point.as_deref()) {
        tree.create_dirs(mount_point.trim_start_matches('/'))?;
    }
    for (files, mode) in [(&files.tree, 0o644), (&files.private, 0o400)] {
        for (path, bytes) in files {
            tree.write(path, bytes, mode)?;
        }
    }
    let mut esp = layout.esp.map_or(Ok(Vec::new()), |esp| adopt(tree, esp))?;
    let own = files.esp.into_iter().filter(|file| !esp.iter().any(|theirs| theirs.path.eq_ignore_ascii_case(&file.path)));
    let own: Vec<FatFile> = own.collect();
    esp.extend(own);
    Ok(Installed { esp, bios: files.bios, kernels: context.kernels.into_iter().map(|kernel| kernel.version).collect() })
}

/// The files of the tree beneath the mount point of a FAT partition, for that partition. They stay in the tree. Empty folders are left out.
pub(super) fn adopt(tree: &Tree, partition: &Partition) -> Result<Vec<FatFile>, Error> {
    let Some(mount_point) = partition.mount_point.as_deref().map(|path| path.trim_start_matches('/')) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for name in tree.list(format!("{mount_point}/{folder}"))? {
            let path = format!("{folder}{}", name.name);
            if name.is_directory {
                folders.push(format!("{path}/"));
            } else {
                files.push(FatFile { source: Source::Tree(format!("{mount_point}/{path}")), path });
            }
        }
    }
    Ok(files)
}

impl Architecture {
    /// The name that file names of the UEFI specification end with (section 3.5.1.1).
    fn efi(self) -> &'static str {
        match self {
            Self::X86_64 => "x64",
            Self::Aarch64 => "aa64",
        }
    }

    /// The name of packages.
    fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Where firmware looks when it has been told nothing.
    fn removable_path(self) -> String {
        format!("EFI/BOOT/BOOT{}.EFI", self.efi().to_ascii_uppercase())
    }
}

/// Whether the tree is made of RPM packages: for the names of packages that are missing.
fn is_rpm(tree: &Tree) -> bool {
    tree.exists("usr/bin/rpm") && !tree.exists("var/lib/dpkg/status")
}

/// Puts a text into single quotes as a shell (GRUB's, too) reads them.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
