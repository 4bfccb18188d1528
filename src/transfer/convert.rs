//! A raw disk becomes a file of another format, or what is in its file systems becomes one.

use super::partial::Partial;
use crate::digest::Digest;
use crate::disk::formats::{self, Contents, Conversion, Out, Raw};
use crate::inspect::{self, ArchiveKind};
use crate::progress::{Cancel, Progress};

/// Writes the raw disk `raw` into `to`. `seed` is what identifiers in the file derive from.
///
/// # Errors
/// A disk whose size the format cannot hold exactly, or whose files cannot be read; what the operating system says, the user's wish to stop.
pub(crate) fn convert<E: From<formats::Error> + From<inspect::Error>>(
    raw: &Partial,
    to: &Partial,
    contents: Contents,
    seed: Digest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), E> {
    let (disk, file) = ((raw.as_file(), raw.path()), (to.as_file(), to.path()));
    match contents {
        Contents::Disk(format) => {
            let out = Out::new(to.as_file(), to.path())?;
            formats::convert(&Conversion { raw: Raw::new(raw.as_file(), raw.path())?, out, seed, progress, cancel }, format)?;
        }
        Contents::Tar => inspect::archive(disk, file, ArchiveKind::Tar, progress, cancel)?,
        Contents::Initrd => inspect::archive(disk, file, ArchiveKind::Initrd, progress, cancel)?,
        Contents::Vmlinuz => inspect::kernel(disk, file, progress, cancel)?,
    }
    Ok(())
}
