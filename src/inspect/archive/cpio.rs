//! Archives of cpio in the format `newc`, as Linux has it in `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::io::{self, Write};

use super::{Entry, Failure, Kind, Problem, pad};

/// Names and contents are filled up to such blocks.
pub(super) const BLOCK: u64 = 4;

/// The length of a header: a magic number of six digits, and thirteen fields of eight.
const HEADER_LEN: u64 = 6 + 13 * 8;

/// What the last name is.
const END: &[u8] = b"TRAILER!!!";

/// The fields of a header that are not the same for all.
#[derive(Default)]
struct Fields {
    number: u32,
    mode: u32,
    owner: (u32, u32),
    names: u32,
    modified: u32,
    len: u32,
    device: (u32, u32),
}

impl Fields {
    /// Writes the header and the name.
    fn write(&self, out: &mut impl Write, name: &[u8]) -> io::Result<()> {
        let name_len = name.len() as u32 + 1;
        let fields = [
            self.number,
            self.mode,
            self.owner.0,
            self.owner.1,
            self.names,
            self.modified,
            self.len,
            0,
            0,
            self.device.0,
            self.device.1,
            name_len,
            0,
        ];
        out.write_all(b"070701")?;
        for field in fields {
            write!(out, "{field:08x}")?;
        }
        out.write_all(name)?;
        out.write_all(&[0])?;
        pad(out, HEADER_LEN + u64::from(name_len), BLOCK)
    }
}

/// All but the content of a regular file, which has to follow its first name.
pub(super) fn header(out: &mut impl Write, entry: &Entry<'_>) -> Result<(), Failure> {
    let node = entry.node;
    let (kind, device) = match node.kind {
        Kind::Folder => (0o040_000, (0, 0)),
        Kind::File => (0o100_000, (0, 0)),
        Kind::Link(_) => (0o120_000, (0, 0)),
        Kind::Character(major, minor) => (0o020_000, (major, minor)),
        Kind::Block(major, minor) => (0o060_000, (major, minor)),
        Kind::Fifo => (0o010_000, (0, 0)),
        Kind::Socket | Kind::Unknown => return Err(Problem::Wrong("it is of none of the kinds that there are").into()),
    };
    let target: &[u8] = if let Kind::Link(target) = &node.kind { target } else { &[] };
    let len = if node.kind == Kind::File { entry.content_len() } else { target.len() as u64 };
    let Ok(len) = u32::try_from(len) else { return Err(Problem::Unsupported("more than 4 GiB, where files in an initrd end".to_owned()).into()) };
    let fields = Fields {
        number: entry.number,
        mode: kind | entry.mode(),
        owner: node.owner,
        // Linux makes links of files and devices only.
        names: if matches!(node.kind, Kind::Link(_)) { 1 } else { entry.names },
        modified: u32::try_from(node.modified.max(0)).unwrap_or(u32::MAX),
        len,
        device,
    };
    fields.write(out, if entry.name == b"/" { b"." } else { &entry.name[1..] })?;
    out.write_all(target)?;
    Ok(pad(out, target.len() as u64, BLOCK)?)
}

/// A symbolic link from an absolute path to a target.
pub(super) fn link(out: &mut impl Write, number: u32, (path, target): (&[u8], &[u8])) -> io::Result<()> {
    let fields = Fields { number, mode: 0o120_777, names: 1, len: target.len() as u32, ..Fields::default() };
    fields.write(out, &path[1..])?;
    out.write_all(target)?;
    pad(out, target.len() as u64, BLOCK)
}

pub(super) fn end(out: &mut impl Write) -> io::Result<()> {
    Fields { names: 1, ..Fields::default() }.write(out, END)
}
