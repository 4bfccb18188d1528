//! The descriptor: text that says what kind of disk it is, and of which files it consists.

use crate::disk::formats::read::Problem;

/// A file without a descriptor of its own.
pub(super) const PART: &str = "it is one part of a disk that consists of several files";

/// How a descriptor begins.
pub(in crate::disk::formats) const MAGIC: &[u8] = b"# Disk DescriptorFile";

/// The kinds that are one file.
const KINDS: [&str; 2] = ["monolithicSparse", "streamOptimized"];

/// What every disk without a parent says.
const NO_PARENT: &str = "ffffffff";

/// The descriptor of a disk of so many sectors. `id` changes whenever the content does. The name of the file is a fixed one: the file may be renamed, and
/// programs do not look at it where the descriptor lies in the file itself.
pub(super) fn write(sectors: u64, id: u32) -> String {
    // The geometry that goes with the adapter; nobody looks at it but a BIOS.
    let cylinders = (sectors / (255 * 63)).min(65_535);
    format!(
        "# Disk DescriptorFile\nversion=1\nCID={id:08x}\nparentCID={NO_PARENT}\ncreateType=\"monolithicSparse\"\n\n\
         # Extent description\nRW {sectors} SPARSE \"disk.vmdk\"\n\n\
         # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\nddb.adapterType = \"lsilogic\"\n"
    )
}

/// Refuses a disk that is not all in the file that has this descriptor.
pub(super) fn check(text: &str) -> Result<(), Problem> {
    let mut extents = 0;
    let mut kind = None;
    for line in text.lines().map(str::trim) {
        if let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim().trim_matches('"'))) {
            match key {
                "createType" => kind = Some(value),
                "parentCID" if !value.eq_ignore_ascii_case(NO_PARENT) => return Err(Problem::unsupported("it stands on another image (a snapshot)")),
                "encryption.keySafe" => return Err(Problem::unsupported("it is encrypted")),
                _ => {}
            }
        } else if ["RW ", "RDONLY ", "NOACCESS "].iter().any(|access| line.starts_with(access)) {
            extents += 1;
        }
    }
    let kind = kind.ok_or(Problem::Wrong("its descriptor does not say what kind of disk it is"))?;
    if !KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind)) || extents > 1 {
        let kind: String = kind.chars().take(40).collect();
        return Err(Problem::unsupported(format!("its kind is {kind}, whose data lie in other files")));
    }
    Ok(())
}

/// The text in a descriptor's sectors, which are filled up with zeros.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    if end == 0 {
        return Err(Problem::unsupported(PART));
    }
    let text = str::from_utf8(&bytes[..end]).map_err(|_| Problem::Wrong("its descriptor is no text"))?;
    if text.as_bytes().starts_with(MAGIC) { Ok(text) } else { Err(Problem::Wrong("it has no descriptor")) }
}
