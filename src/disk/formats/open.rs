//! What a file is, by its content: names are only believed where content says nothing.

use super::read::{Blocks, Disk, Problem, Run};
use super::source::Source;
use super::{Format, qcow2, vdi, vhd, vhdx, vmdk};

/// Beginnings of files that are no disk images, or of kinds that are not read; what they are, and the way out.
const OTHERS: [(&[u8], &str, &str); 9] = [
    (b"\x04\x22\x4d\x18", "it is compressed with lz4", "decompress it first: unlz4 OLD"),
    (b"PK\x03\x04", "it is a zip archive", "unpack it, and import the disk image in it"),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive", "unpack it, and import the disk image in it"),
    (b"QFI\xfb\0\0\0\x01", "it is qcow of version 1", super::read::FLATTEN),
    (b"QED\0", "it is a QED image", super::read::FLATTEN),
    (b"COWD", "it is a sparse disk of VMware ESX (vmfsSparse)", super::read::FLATTEN),
    (b"WithoutFreeSpace", "it is an image of Parallels", super::read::FLATTEN),
    (b"WithouFreSpacExt", "it is an image of Parallels", super::read::FLATTEN),
    (vmdk::DESCRIPTOR_MAGIC, "it is only the descriptor of a VMDK, whose data lie in other files", super::read::FLATTEN),
];

/// What to do with an archive.
const UNPACK: &str = "unpack it, and import the disk image in it (an .ova has a .vmdk)";

/// Where a tar archive says what it is.
const TAR_AT: u64 = 257;

/// The format that a file's content says: [`Format::Raw`] where it says nothing.
///
/// # Errors
/// A file of a kind that is known and not read, or that cannot be read.
pub fn recognise(source: &dyn Source) -> Result<Format, Problem> {
    let mut head = [0; 64];
    let len = source.len().min(head.len() as u64) as usize;
    super::source::fill(source, &mut head[..len], 0)?;
    if let Some((_, what, hint)) = OTHERS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return Err(Problem::Unsupported { what: (*what).to_owned(), hint });
    }
    let has = |at: u64, magic: &[u8]| {
        let mut found = vec![0; magic.len()];
        source.len() >= at + magic.len() as u64 && super::source::fill(source, &mut found, at).is_ok() && found == magic
    };
    if has(TAR_AT, b"ustar") {
        return Err(archive());
    }
    // A fixed VHD says what it is at its end only.
    let footer = source.len().checked_sub(vhd::FOOTER as u64);
    Ok(match () {
        () if head.starts_with(&qcow2::MAGIC) => Format::Qcow2,
        () if head.starts_with(&vhdx::SIGNATURE) => Format::Vhdx,
        () if head.starts_with(&vmdk::MAGIC) => Format::Vmdk,
        () if has(vdi::SIGNATURE_AT as u64, &vdi::SIGNATURE) => Format::Vdi,
        () if head.starts_with(&vhd::COOKIE) || footer.is_some_and(|at| has(at, &vhd::COOKIE)) => Format::Vhd,
        () => Format::Raw,
    })
}

/// The disk in a file of this format.
///
/// # Errors
/// A file that is not of this format, contradicts itself, or needs what is not supported.
pub fn open(source: &dyn Source, format: Format) -> Result<Disk<'_>, Problem> {
    match format {
        Format::Raw => Ok(Disk::new(source, source.len(), Whole)),
        Format::Qcow2 => qcow2::open(source),
        Format::Vhd => vhd::open(source),
        Format::Vhdx => vhdx::open(source),
        Format::Vmdk => vmdk::open(source),
        Format::Vdi => vdi::open(source),
    }
}

fn archive() -> Problem {
    Problem::Unsupported { what: "it is a tar archive".to_owned(), hint: UNPACK }
}

/// A raw disk: all of it is where it is.
struct Whole;

impl Blocks for Whole {
    fn run(&mut self, source: &dyn Source, offset: u64) -> Result<(u64, Run), Problem> {
        Ok((source.len() - offset, Run::Stored(offset)))
    }
}
