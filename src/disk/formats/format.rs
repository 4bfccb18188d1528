//! The formats' names.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

use super::Compression;
use super::compression::Frames;

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
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a file has of an image: its disk, or what is in the file systems of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contents {
    /// The disk.
    Disk(Format),
    /// An archive of the files of the system.
    Tar,
    /// The files of the system as an initrd, which starts it in memory.
    Initrd,
    /// The kernel of the system.
    Vmlinuz,
}

impl Contents {
    /// Everything that there can be.
    pub const ALL: [Self; 9] = [
        Self::Disk(Format::Raw),
        Self::Disk(Format::Qcow2),
        Self::Disk(Format::Vhd),
        Self::Disk(Format::Vhdx),
        Self::Disk(Format::Vmdk),
        Self::Disk(Format::Vdi),
        Self::Tar,
        Self::Initrd,
        Self::Vmlinuz,
    ];

    /// Its name, which is also how a file's name ends.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk(format) => format.name(),
            Self::Tar => "tar",
            Self::Initrd => "initrd",
            Self::Vmlinuz => "vmlinuz",
        }
    }

    /// Whether such files have identifiers of their own.
    pub fn has_identifiers(self) -> bool {
        !matches!(self, Self::Disk(Format::Raw | Format::Qcow2) | Self::Tar | Self::Initrd | Self::Vmlinuz)
    }

    /// What has this name, in any case; `img` is raw.
    pub fn of_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("img") {
            return Some(Format::Raw.into());
        }
        Self::ALL.into_iter().find(|contents| contents.name().eq_ignore_ascii_case(name))
    }
}

impl From<Format> for Contents {
    fn from(format: Format) -> Self {
        Self::Disk(format)
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is in a file, and how the file is compressed on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileFormat {
    /// What is inside.
    pub contents: Contents,
    /// How it is compressed as a whole, if it is.
    pub compression: Option<Compression>,
}

/// A name that no format has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "“{0}” is not a format of disk images: write raw, img, qcow2, vhd, vhdx, vmdk, vdi, tar, initrd or vmlinuz, with .gz, .bz2, .xz or .zst at its end for compressed"
)]
pub struct ParseFormatError(String);

impl FileFormat {
    /// Whether it is a raw disk, compressed or not.
    pub fn is_raw_inside(self) -> bool {
        self.contents == Format::Raw.into()
    }

    /// In how many frames such a file is compressed. Kernels take each frame of an initrd for an archive of its own.
    pub fn frames(self) -> Frames {
        if self.contents == Contents::Initrd { Frames::One } else { Frames::Many }
    }

    /// What the end of a file's name says: `disk.qcow2`, `disk.img.zst`. A name with the ending of a compression alone is a raw disk, compressed.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let ending = |name: &str| name.rsplit_once('.').map(|(stem, extension)| (stem.to_owned(), extension.to_owned()));
        let (stem, extension) = ending(name)?;
        let compression = Compression::of_name(&extension).filter(|_| !stem.is_empty());
        let inner = if compression.is_some() { ending(&stem) } else { Some((stem, extension)) };
        let contents = inner.and_then(|(_, extension)| Contents::of_name(&extension));
        match contents {
            Some(contents) => Some(Self { contents, compression }),
            None => compression.is_some().then_some(Self { contents: Format::Raw.into(), compression }),
        }
    }
}

impl<C: Into<Contents>> From<C> for FileFormat {
    fn from(contents: C) -> Self {
        Self { contents: contents.into(), compression: None }
    }
}

impl FromStr for FileFormat {
    type Err = ParseFormatError;

    /// Reads `qcow2`, `raw.zst` and, as a short form of the latter, `zst`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseFormatError(text.chars().take(80).collect());
        let (name, ending) = text.rsplit_once('.').unwrap_or(("raw", text));
        match Compression::of_name(ending) {
            Some(compression) => Ok(Self { contents: Contents::of_name(name).ok_or_else(error)?, compression: Some(compression) }),
            None => Ok(Contents::of_name(text).ok_or_else(error)?.into()),
        }
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.contents)?;
        self.compression.map_or(Ok(()), |compression| write!(f, ".{compression}"))
    }
}

impl Serialize for FileFormat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
            ("disk.raw.GZ", "raw.gz"),
            ("disk.1.xz", "raw.xz"),
            ("disk.vmdk.bz2", "vmdk.bz2"),
            (".vdi", "vdi"),
            ("root.tar.gz", "tar.gz"),
            ("a.vmlinuz", "vmlinuz"),
            ("a.initrd.zst", "initrd.zst"),
        ] {
            assert_eq!(of(name).as_deref(), Some(format), "{name}");
        }
        for name in ["disk", "disk.iso", "disk.", "..", ".zst"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn a_format_is_read_as_it_is_shown() {
        for text in ["raw", "raw.zst", "qcow2", "vhd", "vhdx.gz", "vmdk.xz", "vdi.bz2"] {
            assert_eq!(text.parse::<FileFormat>().unwrap().to_string(), text);
        }
        assert_eq!("zst".parse::<FileFormat>().unwrap().to_string(), "raw.zst");
        for text in ["", "iso", "zst.zst", ".zst", "raw.lz4", "gz.xz"] {
            assert!(text.parse::<FileFormat>().is_err(), "{text}");
        }
    }
}
