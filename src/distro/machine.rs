//! Processors, and what starts a kernel on them.

use serde::Serialize;

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// `x86_64` in specs, `amd64` in Debian.
    X86_64,
    /// `aarch64` in specs, `arm64` in Debian.
    Aarch64,
}

impl Architecture {
    /// The name that specs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The name that Debian uses.
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

/// What starts the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootProvider {
    /// systemd-boot, started by EFI.
    SystemdBoot,
    /// GNU GRUB, started by EFI.
    Grub,
    /// GNU GRUB, started by a BIOS (`bootType: legacy`).
    GrubBios,
}

impl BootProvider {
    /// The name that specs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::SystemdBoot => "systemd-boot",
            Self::Grub | Self::GrubBios => "grub",
        }
    }

    /// The firmware's kind, as specs call it (`bootType`).
    pub fn boot_type(self) -> &'static str {
        match self {
            Self::SystemdBoot | Self::Grub => "efi",
            Self::GrubBios => "legacy",
        }
    }
}
