//! The formats' names.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

/// A format of disk image files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The disk's bytes and nothing else.
    Raw,
    /// QEMU's format, version 3.
    Qcow2,
    /// Virtual PC, Hyper-V, Azure.
    Vhd,
    /// Hyper-V.
    Vhdx,
    /// VMware.
    Vmdk,
    /// VirtualBox.
    Vdi,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] = [Self::Raw, Self::Qcow2, Self::Vhd, Self::Vhdx, Self::Vmdk, Self::Vdi];

    /// Its name, which is also how a file's name ends.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
        }
    }

    /// Whether files of this format have identifiers of their own.
    pub fn has_identifiers(self) -> bool {
        !matches!(self, Self::Raw | Self::Qcow2)
    }

    /// The format with this name, in any case; `img` is raw.
    pub fn of_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("img") {
            return Some(Self::Raw);
        }
        Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A format, and whether the file is compressed with zstd on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileFormat {
    /// What is inside.
    pub disk: Format,
    /// Whether it is compressed as a whole.
    pub zstd: bool,
}

/// A name that no format has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a format of disk images: write raw, img, qcow2, vhd, vhdx, vmdk or vdi, with .zst at its end for compressed")]
pub struct ParseFormatError(String);

impl FileFormat {
    /// What the end of a file's name says: `disk.qcow2`, `disk.img.zst`. A name that ends in `.zst` alone is a raw disk, compressed.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let zstd = name.len() > 4 && name.to_ascii_lowercase().ends_with(".zst");
        let name = if zstd { &name[..name.len() - 4] } else { name };
        let disk = name.rsplit_once('.').and_then(|(_, extension)| Format::of_name(extension));
        match disk {
            Some(disk) => Some(Self { disk, zstd }),
            None => zstd.then_some(Self { disk: Format::Raw, zstd }),
        }
    }
}

impl From<Format> for FileFormat {
    fn from(disk: Format) -> Self {
        Self { disk, zstd: false }
    }
}

impl FromStr for FileFormat {
    type Err = ParseFormatError;

    /// Reads `qcow2`, `raw.zst` and, as a short form of the latter, `zst`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseFormatError(text.chars().take(80).collect());
        match text.rsplit_once('.') {
            Some((name, "zst")) => Ok(Self { disk: Format::of_name(name).ok_or_else(error)?, zstd: true }),
            _ if text == "zst" => Ok(Self { disk: Format::Raw, zstd: true }),
            _ => Ok(Format::of_name(text).ok_or_else(error)?.into()),
        }
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.disk, if self.zstd { ".zst" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_format() {
        let of = |name: &str| FileFormat::of_path(Path::new(name)).map(|format| format.to_string());
        for (name, format) in [
            ("a/disk.raw", "raw"),
            ("disk.IMG", "raw"),
            ("disk.1.4.qcow2", "qcow2"),
            ("disk.vhd.zst", "vhd.zst"),
            ("disk.img.zst", "raw.zst"),
            ("disk.zst", "raw.zst"),
            (".vdi", "vdi"),
        ] {
            assert_eq!(of(name).as_deref(), Some(format), "{name}");
        }
        for name in ["disk", "disk.iso", "disk.", "..", ".zst"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn a_format_is_read_as_it_is_shown() {
        for text in ["raw", "raw.zst", "qcow2", "vhd", "vhdx.zst", "vmdk", "vdi"] {
            assert_eq!(text.parse::<FileFormat>().unwrap().to_string(), text);
        }
        assert_eq!("zst".parse::<FileFormat>().unwrap().to_string(), "raw.zst");
        for text in ["", "iso", "zst.zst", ".zst", "raw.gz"] {
            assert!(text.parse::<FileFormat>().is_err(), "{text}");
        }
    }
}
