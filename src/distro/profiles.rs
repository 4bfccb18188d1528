//! The profiles.
//!
//! Facts from the distributions' own indexes (November 2026). `systemd-boot`, and not only its EFI binaries, is installed because its kernel hook
//! keeps the boot entries right when the running image gets a new kernel; its own scripts do nothing without a mounted EFI system partition, so
//! building with it is harmless. For GRUB the `-bin` package is enough: `grub-efi-amd64` would run `grub-install` on the builder.

use super::{Architecture, BootProvider, Keyring, Packaging, Profile, ProfileArchive, rpm};

const DEBIAN_KEYRING: Keyring = Keyring { path: "/usr/share/keyrings/debian-archive-keyring.gpg", package: "debian-archive-keyring" };
const UBUNTU_KEYRING: Keyring = Keyring { path: "/usr/share/keyrings/ubuntu-archive-keyring.gpg", package: "ubuntu-keyring" };

const DEBIAN_BASE: &[&str] = &[
    "adduser",
    "apt",
    "dbus",
    "debian-archive-keyring",
    "e2fsprogs",
    "init",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "login",
    "mount",
    "passwd",
    "procps",
    "systemd",
    "systemd-sysv",
    "tzdata",
    "udev",
    "util-linux",
    "zstd",
];

const UBUNTU_BASE: &[&str] = &[
    "adduser",
    "apt",
    "dbus",
    "e2fsprogs",
    "init",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "login",
    "mount",
    "passwd",
    "procps",
    "systemd",
    "systemd-sysv",
    "tzdata",
    "ubuntu-keyring",
    "udev",
    "util-linux",
    "zstd",
];

const DEBIAN_KERNELS: &[(Architecture, &[&str])] = &[(Architecture::X86_64, &["linux-image-amd64"]), (Architecture::Aarch64, &["linux-image-arm64"])];

const BOOT: &[(Architecture, BootProvider, &[&str])] = &[
    (Architecture::X86_64, BootProvider::SystemdBoot, &["systemd-boot", "systemd-boot-efi"]),
    (Architecture::X86_64, BootProvider::Grub, &["grub-common", "grub-efi-amd64-bin", "grub2-common"]),
    (Architecture::X86_64, BootProvider::GrubBios, &["grub-common", "grub-pc-bin", "grub2-common"]),
    (Architecture::Aarch64, BootProvider::SystemdBoot, &["systemd-boot", "systemd-boot-efi"]),
    (Architecture::Aarch64, BootProvider::Grub, &["grub-common", "grub-efi-arm64-bin", "grub2-common"]),
];

/// Every profile, sorted by name.
pub static PROFILES: &[Profile] = &[
    rpm::AZL3,
    Profile {
        name: "debian12",
        os: "debian",
        packaging: Packaging::Deb,
        codename: "bookworm",
        architectures: &[Architecture::X86_64, Architecture::Aarch64],
        archives: &[
            ProfileArchive {
                id: "debian",
                suites: &["bookworm", "bookworm-updates"],
                components: &["main"],
                keyring: DEBIAN_KEYRING,
                unsigned_lists: false,
                mirror_suffix: "debian",
                published: &[],
            },
            ProfileArchive {
                id: "debian-security",
                suites: &["bookworm-security"],
                components: &["main"],
                keyring: DEBIAN_KEYRING,
                unsigned_lists: false,
                mirror_suffix: "debian-security",
                published: &[],
            },
        ],
        base_packages: DEBIAN_BASE,
        kernels: DEBIAN_KERNELS,
        boot: BOOT,
        growing: &["systemd"],
    },
    Profile {
        name: "debian13",
        os: "debian",
        packaging: Packaging::Deb,
        codename: "trixie",
        architectures: &[Architecture::X86_64, Architecture::Aarch64],
        archives: &[
            ProfileArchive {
                id: "debian",
                suites: &["trixie", "trixie-updates"],
                components: &["main"],
                keyring: DEBIAN_KEYRING,
                unsigned_lists: false,
                mirror_suffix: "debian",
                published: &[],
            },
            ProfileArchive {
                id: "debian-security",
                suites: &["trixie-security"],
                components: &["main"],
                keyring: DEBIAN_KEYRING,
                unsigned_lists: false,
                mirror_suffix: "debian-security",
                published: &[],
            },
        ],
        base_packages: DEBIAN_BASE,
        kernels: DEBIAN_KERNELS,
        boot: BOOT,
        growing: &["systemd-repart"],
    },
    rpm::EL10,
    rpm::EMT3,
    rpm::FEDORA,
    Profile {
        name: "ubuntu24",
        os: "ubuntu",
        packaging: Packaging::Deb,
        codename: "noble",
        // Other processors are served from another archive (`ubuntu-ports`).
        architectures: &[Architecture::X86_64],
        archives: &[ProfileArchive {
            id: "ubuntu",
            suites: &["noble", "noble-updates", "noble-security"],
            // systemd-boot is in universe.
            components: &["main", "universe"],
            keyring: UBUNTU_KEYRING,
            unsigned_lists: false,
            mirror_suffix: "ubuntu",
            published: &[],
        }],
        base_packages: UBUNTU_BASE,
        // `linux-image-generic` would bring half a gigabyte of firmware.
        kernels: &[(Architecture::X86_64, &["linux-image-virtual"])],
        boot: BOOT,
        growing: &["systemd"],
    },
];
