//! Reads a file of the store with nothing but its name, and says what is in it or what is wrong with it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::{Error, Problem, Result};
use super::open_file;
use crate::digest::Digest;
use crate::format::blob::{Alias, BlobKind, HEADER_LIMIT, Header};
use crate::format::manifest::{MANIFEST_LIMIT, Manifest};
use crate::format::pack::{self, ENTRY_LEN, Entry, HEAD_LEN, TRAILER_LEN};
use crate::format::record::{ImageDocument, RECORD_LIMIT};
use crate::format::skippable;
use crate::progress::Cancel;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// A blob whose bytes are proven.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) header: Header,
    pub(super) raw_len: u64,
    pub(super) content: Content,
}

/// What the store itself can read of a blob.
#[derive(Debug)]
pub(super) enum Content {
    Manifest(Manifest),
    Image(Box<ImageDocument>),
    Alias(Box<Alias>),
    /// Bytes that are others' affair.
    Other,
}

/// Proves a blob. The inner error says what is wrong with it.
///
/// # Errors
/// The user's wish to stop.
pub(super) fn blob(path: &Path, digest: &Digest, cancel: &Cancel) -> Result<Result<Seen, Problem>> {
    let mut reader = match open_file(path, digest) {
        Ok(reader) => reader,
        Err(error) => return damage_of(error).map(Err),
    };
    let header = reader.header().clone();
    let limit = match header.kind {
        BlobKind::Manifest => MANIFEST_LIMIT,
        BlobKind::Image | BlobKind::Root => RECORD_LIMIT,
        BlobKind::Alias => HEADER_LIMIT,
        BlobKind::Package | BlobKind::Metadata | BlobKind::Document => 0,
    };
    let (mut kept, mut raw_len, mut buffer) = (Vec::new(), 0, vec![0; BUFFER]);
    loop {
        cancel.check()?;
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                raw_len += read as u64;
                if kept.len() < limit {
                    kept.extend_from_slice(&buffer[..read]);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Ok(Err(match error.downcast::<super::Damage>() {
                    Ok(damage) => damage.problem,
                    Err(error) => Problem::Unreadable(error),
                }));
            }
        }
    }
    let content = match header.kind {
        BlobKind::Manifest => Manifest::decode(&kept).map(Content::Manifest),
        BlobKind::Image | BlobKind::Root => ImageDocument::decode(&kept).map(|document| Content::Image(Box::new(document))),
        BlobKind::Alias => Alias::decode(&kept).map(|alias| Content::Alias(Box::new(alias))),
        BlobKind::Package | BlobKind::Metadata | BlobKind::Document => Ok(Content::Other),
    };
    Ok(content.map(|content| Seen { header, raw_len, content }).map_err(Problem::Format))
}

fn damage_of(error: Error) -> Result<Problem> {
    match error {
        Error::Damaged(damage) => Ok(damage.problem),
        other => Err(other),
    }
}

/// The table of a pack that has this name, all around its frames proven.
pub(super) fn table(file: &File, len: u64, id: &Digest) -> Result<Vec<Entry>, Problem> {
    let cut_off = || Problem::Format(crate::format::FormatError::CutOff { what: "pack" });
    let mut head = [0; HEAD_LEN as usize];
    read_at(file, &mut head, 0)?;
    pack::check_head(&head).map_err(Problem::Format)?;
    let trailer_at = len.checked_sub(TRAILER_LEN as u64).ok_or_else(cut_off)?;
    let mut trailer = [0; TRAILER_LEN];
    read_at(file, &mut trailer, trailer_at)?;
    let trailer = pack::decode_trailer(&trailer).map_err(Problem::Format)?;
    let mut footer = vec![0; skippable::HEAD_LEN + trailer.table_len()];
    let footer_at = trailer_at.checked_sub(footer.len() as u64).ok_or_else(cut_off)?;
    read_at(file, &mut footer, footer_at)?;
    let entries = pack::decode_table(&footer, &trailer, len).map_err(Problem::Format)?;
    if trailer.id == *id { Ok(entries) } else { Err(Problem::Digest { found: trailer.id }) }
}

/// The table of a pack with so many chunks that has this name, if the table itself is whole, whatever stands around it.
pub(super) fn bare_table(file: &File, len: u64, chunks: u32, id: &Digest) -> Option<Vec<Entry>> {
    let mut bytes = vec![0; chunks.min(pack::ENTRY_LIMIT) as usize * ENTRY_LEN];
    let at = len.checked_sub((TRAILER_LEN + bytes.len()) as u64)?;
    read_at(file, &mut bytes, at).ok()?;
    let trailer = pack::Trailer { id: *id, entries: chunks };
    let mut footer = skippable::head(bytes.len() + TRAILER_LEN).ok()?.to_vec();
    footer.extend_from_slice(&bytes);
    pack::decode_table(&footer, &trailer, len).ok()
}

pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> Result<(), Problem> {
    file.read_exact_at(buffer, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Problem::Format(crate::format::FormatError::CutOff { what: "pack" }),
        _ => Problem::Unreadable(error),
    })
}
