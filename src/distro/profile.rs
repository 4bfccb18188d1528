//! What a profile says.

use super::{Architecture, BootProvider, Packaging};

/// A distribution's release as this program builds it.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// What specs call it: `target.dist`.
    pub name: &'static str,
    /// The family: `target.os`.
    pub os: &'static str,
    /// What kind of packages it has.
    pub packaging: Packaging,
    /// The release's code name, with which the names of its suites begin.
    pub codename: &'static str,
    /// The processors that images can be built for.
    pub architectures: &'static [Architecture],
    /// Where its packages come from.
    pub archives: &'static [ProfileArchive],
    /// What every image has beside the packages marked `Essential: yes`: an init, a way to log in on a console, an initrd, a network tool, and apt.
    /// Sorted.
    pub base_packages: &'static [&'static str],
    /// The kernel for a processor, where the spec names none.
    pub(super) kernels: &'static [(Architecture, &'static [&'static str])],
    /// What a boot loader needs on a processor.
    pub(super) boot: &'static [(Architecture, BootProvider, &'static [&'static str])],
    /// What has `systemd-repart`, with which a partition grows.
    pub growing: &'static [&'static str],
}

impl Profile {
    /// What the distribution calls a processor: `amd64` or `x86_64`.
    pub fn arch(&self, architecture: Architecture) -> &'static str {
        match self.packaging {
            Packaging::Deb => architecture.debian(),
            Packaging::Rpm => architecture.name(),
        }
    }

    /// The packages of the default kernel; empty for an unsupported architecture.
    pub fn kernel_packages(&self, architecture: Architecture) -> &'static [&'static str] {
        self.kernels.iter().find(|(arch, _)| *arch == architecture).map_or(&[], |(_, packages)| packages)
    }

    /// The packages that a boot loader needs; empty for an unsupported architecture.
    pub fn boot_packages(&self, architecture: Architecture, provider: BootProvider) -> &'static [&'static str] {
        self.boot.iter().find(|(arch, boot, _)| (*arch, *boot) == (architecture, provider)).map_or(&[], |(_, _, packages)| packages)
    }

    /// The archive with this identity.
    pub fn archive(&self, id: &str) -> Option<&'static ProfileArchive> {
        self.archives.iter().find(|archive| archive.id == id)
    }
}

/// One archive of a distribution: a place with suites that one mirror serves.
#[derive(Debug, PartialEq, Eq)]
pub struct ProfileArchive {
    /// The stable identity, part of every package's coordinates: `debian-security`.
    pub id: &'static str,
    /// The suites beneath `dists/`; of an RPM archive its repositories, each by the path of its folder with a slash at its end, where `{arch}` stands for the
    /// processor.
    pub suites: &'static [&'static str],
    /// The components of each suite.
    pub components: &'static [&'static str],
    /// The keys that its Release files are signed with; of an RPM archive also its packages.
    pub keyring: Keyring,
    /// Whether it signs its packages alone, and not the lists of them.
    pub unsigned_lists: bool,
    /// The last path component of the addresses that serve it. A host's own apt source serves this archive if its address ends so.
    pub mirror_suffix: &'static str,
    /// The addresses that the distribution publishes, where the host has no sources of its own for it: of RPM archives.
    pub published: &'static [&'static str],
}

/// A file with public keys, and who brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyring {
    /// The file on the host.
    pub path: &'static str,
    /// The package that has it.
    pub package: &'static str,
}
