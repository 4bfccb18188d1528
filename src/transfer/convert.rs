//! A raw disk becomes a file of another format, or an archive of its files.

use super::partial::Partial;
use crate::digest::Digest;
use crate::disk::formats::{self, Conversion, Format, Out, Raw};
use crate::inspect;
use crate::progress::{Cancel, Progress};

/// Writes the raw disk `raw` into `to`. `seed` is what identifiers in the file derive from.
///
/// # Errors
/// A disk whose size the format cannot hold exactly, or whose files cannot be read; what the operating system says, the user's wish to stop.
pub(crate) fn convert<E: From<formats::Error> + From<inspect::Error>>(
    raw: &Partial,
    to: &Partial,
    format: Format,
    seed: Digest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), E> {
    if format == Format::Tar {
        return Ok(inspect::archive((raw.as_file(), raw.path()), (to.as_file(), to.path()), progress, cancel)?);
    }
    let out = Out::new(to.as_file(), to.path())?;
    Ok(formats::convert(&Conversion { raw: Raw::new(raw.as_file(), raw.path())?, out, seed, progress, cancel }, format)?)
}
