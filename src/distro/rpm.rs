//! The profiles of RPM distributions.
//!
//! They are written from what the distributions publish (addresses, names of keys and packages) and **have not been run against their mirrors**. Only Azure Linux
//! and what is made of it (the Edge Microvisor Toolkit: `repo_gpgcheck=1` in its `edge-base.repo`) sign their `repomd.xml`; in `CentOS` and Fedora packages
//! alone are signed, and their lists are taken from addresses that prove themselves.

use super::{Architecture, BootProvider, Keyring, Packaging, Profile, ProfileArchive};

const BOTH: &[Architecture] = &[Architecture::X86_64, Architecture::Aarch64];

/// The package that has the program, whatever a release calls it.
const GROWING: &[&str] = &["/usr/bin/systemd-repart"];

const KERNELS: &[(Architecture, &[&str])] = &[(Architecture::X86_64, &["kernel"]), (Architecture::Aarch64, &["kernel"])];

const BOOT: &[(Architecture, BootProvider, &[&str])] = &[
    (Architecture::X86_64, BootProvider::SystemdBoot, &["systemd-boot-unsigned"]),
    (Architecture::X86_64, BootProvider::Grub, &["grub2-efi-x64-modules", "grub2-tools"]),
    (Architecture::X86_64, BootProvider::GrubBios, &["grub2-pc-modules", "grub2-tools"]),
    (Architecture::Aarch64, BootProvider::SystemdBoot, &["systemd-boot-unsigned"]),
    (Architecture::Aarch64, BootProvider::Grub, &["grub2-efi-aa64-modules", "grub2-tools"]),
];

/// Of Azure Linux and what is made of it.
const AZURE_BOOT: &[(Architecture, BootProvider, &[&str])] = &[
    (Architecture::X86_64, BootProvider::SystemdBoot, &["systemd-boot"]),
    (Architecture::X86_64, BootProvider::Grub, &["grub2", "grub2-efi"]),
    (Architecture::X86_64, BootProvider::GrubBios, &["grub2", "grub2-pc"]),
    (Architecture::Aarch64, BootProvider::SystemdBoot, &["systemd-boot"]),
    (Architecture::Aarch64, BootProvider::Grub, &["grub2", "grub2-efi"]),
];

pub(super) const AZL3: Profile = Profile {
    name: "azl3",
    os: "azure-linux",
    packaging: Packaging::Rpm,
    codename: "3.0",
    architectures: BOTH,
    archives: &[ProfileArchive {
        id: "azurelinux",
        suites: &["base/{arch}/"],
        components: &[],
        keyring: Keyring { path: "/etc/pki/rpm-gpg/MICROSOFT-RPM-GPG-KEY", package: "azurelinux-repos-shared" },
        unsigned_lists: false,
        mirror_suffix: "",
        published: &["https://packages.microsoft.com/azurelinux/3.0/prod"],
    }],
    base_packages: &[
        "azurelinux-release",
        "bash",
        "coreutils",
        "dracut",
        "e2fsprogs",
        "filesystem",
        "iproute",
        "kmod",
        "rpm",
        "shadow-utils",
        "systemd",
        "util-linux",
    ],
    kernels: KERNELS,
    boot: AZURE_BOOT,
    growing: GROWING,
};

pub(super) const EMT3: Profile = Profile {
    name: "emt3",
    os: "edge-microvisor-toolkit",
    packaging: Packaging::Rpm,
    codename: "3.0",
    architectures: &[Architecture::X86_64],
    archives: &[ProfileArchive {
        id: "edge-base",
        suites: &["3.0/"],
        components: &[],
        keyring: Keyring { path: "/etc/pki/rpm-gpg/INTEL-RPM-GPG-KEY", package: "edge-repos-shared" },
        unsigned_lists: false,
        mirror_suffix: "",
        published: &["https://files-rs.edgeorchestration.intel.com/files-edge-orch/microvisor/rpm"],
    }],
    // The package of the release is named by what it has.
    base_packages: &[
        "/etc/os-release",
        "bash",
        "coreutils",
        "dracut",
        "e2fsprogs",
        "filesystem",
        "iproute",
        "kmod",
        "rpm",
        "shadow-utils",
        "systemd",
        "util-linux",
    ],
    kernels: KERNELS,
    boot: AZURE_BOOT,
    growing: GROWING,
};

pub(super) const EL10: Profile = Profile {
    name: "el10",
    os: "redhat-compatible-distro",
    packaging: Packaging::Rpm,
    codename: "10",
    architectures: BOTH,
    archives: &[ProfileArchive {
        id: "centos-stream",
        suites: &["AppStream/{arch}/os/", "BaseOS/{arch}/os/"],
        components: &[],
        keyring: Keyring { path: "/etc/pki/rpm-gpg/RPM-GPG-KEY-centosofficial-SHA256", package: "centos-gpg-keys" },
        unsigned_lists: true,
        mirror_suffix: "",
        published: &["https://mirror.stream.centos.org/10-stream"],
    }],
    base_packages: &[
        "bash",
        "centos-stream-release",
        "coreutils",
        "dracut",
        "dracut-config-generic",
        "e2fsprogs",
        "filesystem",
        "iproute",
        "kmod",
        "rpm",
        "shadow-utils",
        "systemd",
        "systemd-udev",
        "util-linux",
    ],
    kernels: KERNELS,
    boot: BOOT,
    growing: GROWING,
};

pub(super) const FEDORA: Profile = Profile {
    name: "fedora43",
    os: "fedora",
    packaging: Packaging::Rpm,
    codename: "43",
    architectures: BOTH,
    archives: &[ProfileArchive {
        id: "fedora",
        suites: &["releases/43/Everything/{arch}/os/", "updates/43/Everything/{arch}/"],
        components: &[],
        keyring: Keyring { path: "/etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-43-primary", package: "fedora-gpg-keys" },
        unsigned_lists: true,
        mirror_suffix: "",
        published: &["https://dl.fedoraproject.org/pub/fedora/linux"],
    }],
    base_packages: &[
        "bash",
        "coreutils",
        "dracut",
        "dracut-config-generic",
        "e2fsprogs",
        "fedora-release",
        "filesystem",
        "iproute",
        "kmod",
        "rpm",
        "shadow-utils",
        "systemd",
        "systemd-udev",
        "util-linux",
    ],
    kernels: KERNELS,
    boot: BOOT,
    growing: GROWING,
};
