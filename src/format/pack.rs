//! A pack: many chunks in one immutable file.
//!
//! ```text
//! skippable frame: "ICPACK\0\x01"
//! zstd frame of chunk 0, of chunk 1, … each with its content size, about in image order, without gaps
//! skippable frame: table │ trailer
//!
//! table    one entry for each chunk: digest 32 │ offset u64 │ stored length u32 │ raw length u32     (48 bytes)
//! trailer  BLAKE3 of the table 32 │ entries u32 │ zero u32 │ "ICPACK\0\x01"                          (48 bytes, the last of the file)
//! ```
//!
//! All numbers are little-endian. A pack is named after the BLAKE3 digest of its table: two packs of one name hold the same chunks. The compressed bytes
//! are not part of the name; each chunk is proven by its own digest whenever it is read. `zstd -dc FILE` prints all chunks.

use super::{FormatError, skippable, take};
use crate::digest::Digest;

/// Identifies a pack at its beginning and its end; the last byte is the format version.
const MAGIC: [u8; 8] = *b"ICPACK\0\x01";

/// The bytes before the first chunk.
pub const HEAD_LEN: u64 = (skippable::HEAD_LEN + MAGIC.len()) as u64;

/// The length of one entry of the table.
pub const ENTRY_LEN: usize = 48;

/// The length of the trailer: the last bytes of the file.
pub const TRAILER_LEN: usize = 48;

/// A pack is closed at this length when written. Changing it changes only how much a collection rewrites at once.
pub const PACK_LEN: u64 = 1 << 30;

/// Entries in a pack at most, when read: 48 MiB of table. A writer closes the pack at a quarter of that.
pub const ENTRY_LIMIT: u32 = 1 << 20;

/// Raw bytes of a chunk at most, when read: what a reader's buffer must hold. Ours are at most 512 KiB (`store/cut/`).
pub const CHUNK_LIMIT: u32 = 4 << 20;

/// Compressed bytes of a chunk at most, when read: zstd adds less than 1/128 to what it cannot compress.
pub const FRAME_LIMIT: u32 = CHUNK_LIMIT + CHUNK_LIMIT / 128;

/// Where a chunk lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The digest of the raw chunk.
    pub digest: Digest,
    /// Where its zstd frame begins, in bytes from the beginning of the file.
    pub offset: u64,
    /// The length of the frame in bytes.
    pub stored_len: u32,
    /// The length of the raw chunk in bytes.
    pub raw_len: u32,
}

/// What a pack's trailer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// The digest of the table: the name of the pack.
    pub id: Digest,
    /// How many entries the table has.
    pub entries: u32,
}

impl Trailer {
    /// The length of the table in bytes.
    pub fn table_len(&self) -> usize {
        self.entries as usize * ENTRY_LEN
    }
}

/// The bytes of a pack's file that are not frames, by the number of its chunks.
pub fn overhead(chunks: u32) -> u64 {
    HEAD_LEN + (skippable::HEAD_LEN + TRAILER_LEN) as u64 + u64::from(chunks) * ENTRY_LEN as u64
}

/// The first [`HEAD_LEN`] bytes of a pack.
pub fn encode_head() -> [u8; HEAD_LEN as usize] {
    let mut head = [0; HEAD_LEN as usize];
    head[..4].copy_from_slice(&skippable::MAGIC);
    head[4] = MAGIC.len() as u8;
    head[skippable::HEAD_LEN..].copy_from_slice(&MAGIC);
    head
}

/// Checks the first bytes of a pack.
///
/// # Errors
/// The beginning of something else, or of a later version.
pub fn check_head(head: &[u8]) -> Result<(), FormatError> {
    let what = "pack";
    let (head, expected) = (head.get(..HEAD_LEN as usize).ok_or(FormatError::CutOff { what })?, encode_head());
    let (version, prefix) = (HEAD_LEN as usize - 1, &expected[..HEAD_LEN as usize - 1]);
    if &head[..version] != prefix {
        return Err(FormatError::Magic { what });
    }
    check_version(head[version])
}

/// The skippable frame at the end of a pack, and the name that the pack has by it.
///
/// # Errors
/// More entries than a reader takes.
pub fn encode_footer(entries: &[Entry]) -> Result<(Digest, Vec<u8>), FormatError> {
    let count = check_count(entries.len() as u64)?;
    let len = entries.len() * ENTRY_LEN;
    let mut footer = Vec::with_capacity(skippable::HEAD_LEN + len + TRAILER_LEN);
    footer.extend_from_slice(&skippable::head(len + TRAILER_LEN)?);
    for entry in entries {
        footer.extend_from_slice(entry.digest.as_bytes());
        footer.extend_from_slice(&entry.offset.to_le_bytes());
        footer.extend_from_slice(&entry.stored_len.to_le_bytes());
        footer.extend_from_slice(&entry.raw_len.to_le_bytes());
    }
    let id = Digest::of(&footer[skippable::HEAD_LEN..]);
    footer.extend_from_slice(id.as_bytes());
    footer.extend_from_slice(&count.to_le_bytes());
    footer.extend_from_slice(&[0; 4]);
    footer.extend_from_slice(&MAGIC);
    Ok((id, footer))
}

/// Reads the last [`TRAILER_LEN`] bytes of a pack.
///
/// # Errors
/// The end of something else, or of a later version.
pub fn decode_trailer(mut bytes: &[u8]) -> Result<Trailer, FormatError> {
    let what = "pack";
    let id = Digest::from_bytes(take(&mut bytes, what)?);
    let count = u32::from_le_bytes(take(&mut bytes, what)?);
    let zero = u32::from_le_bytes(take(&mut bytes, what)?);
    let magic = take::<8>(&mut bytes, what)?;
    if magic[..7] != MAGIC[..7] || zero != 0 || !bytes.is_empty() {
        return Err(FormatError::Magic { what });
    }
    check_version(magic[7])?;
    Ok(Trailer { id, entries: check_count(count.into())? })
}

/// Reads the footer of a pack: the skippable frame's head and the table, without the trailer. `file_len` is the length of the whole file.
///
/// # Errors
/// A table that does not have the trailer's digest, or frames that overlap, leave gaps or do not fill the file.
pub fn decode_table(bytes: &[u8], trailer: &Trailer, file_len: u64) -> Result<Vec<Entry>, FormatError> {
    let what = "pack";
    let inconsistent = |reason| FormatError::Inconsistent { what, reason };
    let table_len = trailer.table_len();
    if skippable::content_len(bytes, table_len + TRAILER_LEN)? != table_len + TRAILER_LEN {
        return Err(inconsistent("the footer has another length than the table"));
    }
    let mut table = &bytes[skippable::HEAD_LEN..];
    if table.len() != table_len {
        return Err(FormatError::CutOff { what });
    }
    if Digest::of(table) != trailer.id {
        return Err(inconsistent("the table has another digest than the trailer says"));
    }
    let mut entries = Vec::with_capacity(trailer.entries as usize);
    let mut end = HEAD_LEN;
    while !table.is_empty() {
        let entry = Entry {
            digest: Digest::from_bytes(take(&mut table, what)?),
            offset: u64::from_le_bytes(take(&mut table, what)?),
            stored_len: u32::from_le_bytes(take(&mut table, what)?),
            raw_len: u32::from_le_bytes(take(&mut table, what)?),
        };
        check_chunk(entry.stored_len, entry.raw_len)?;
        if entry.offset != end {
            return Err(inconsistent("its frames leave gaps or overlap"));
        }
        end += u64::from(entry.stored_len);
        entries.push(entry);
    }
    if end.checked_add((skippable::HEAD_LEN + table_len + TRAILER_LEN) as u64) != Some(file_len) {
        return Err(inconsistent("its frames do not fill the file"));
    }
    Ok(entries)
}

/// Checks the lengths of a chunk before memory is taken for it.
///
/// # Errors
/// An empty chunk, or one beyond [`CHUNK_LIMIT`] or [`FRAME_LIMIT`].
pub fn check_chunk(stored_len: u32, raw_len: u32) -> Result<(), FormatError> {
    for (what, found, limit) in [("length of a chunk", raw_len, CHUNK_LIMIT), ("length of a stored chunk", stored_len, FRAME_LIMIT)] {
        if found == 0 {
            return Err(FormatError::Inconsistent { what: "chunk", reason: "it is empty" });
        }
        if found > limit {
            return Err(FormatError::Limit { what, found: found.into(), limit: limit.into() });
        }
    }
    Ok(())
}

fn check_version(found: u8) -> Result<(), FormatError> {
    if found == MAGIC[7] { Ok(()) } else { Err(FormatError::Version { what: "pack", found: found.into(), supported: MAGIC[7].into() }) }
}

fn check_count(count: u64) -> Result<u32, FormatError> {
    u32::try_from(count).ok().filter(|&count| count <= ENTRY_LIMIT).ok_or(FormatError::Limit {
        what: "number of chunks in a pack",
        found: count,
        limit: ENTRY_LIMIT.into(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(lens: &[(u32, u32)]) -> Vec<Entry> {
        let mut offset = HEAD_LEN;
        let place = |(at, &(stored_len, raw_len)): (usize, &(u32, u32))| {
            let entry = Entry { digest: Digest::of(&at.to_le_bytes()), offset, stored_len, raw_len };
            offset += u64::from(stored_len);
            entry
        };
        lens.iter().enumerate().map(place).collect()
    }

    fn read(footer: &[u8], file_len: u64) -> Result<Vec<Entry>, FormatError> {
        let at = footer.len().checked_sub(TRAILER_LEN).ok_or(FormatError::CutOff { what: "pack" })?;
        let trailer = decode_trailer(&footer[at..])?;
        decode_table(&footer[..at], &trailer, file_len)
    }

    #[test]
    fn head_and_empty_footer_have_these_bytes() {
        assert_eq!(encode_head(), *b"\x50\x2a\x4d\x18\x08\0\0\0ICPACK\0\x01");
        assert!(check_head(&encode_head()).is_ok());
        assert!(matches!(check_head(b"\x50\x2a\x4d\x18\x08\0\0\0ICPACK\0\x02"), Err(FormatError::Version { found: 2, .. })));
        let (id, footer) = encode_footer(&[]).unwrap();
        assert_eq!(id, Digest::of(b""));
        assert_eq!(&footer[..8], b"\x50\x2a\x4d\x18\x30\0\0\0");
        assert_eq!(&footer[40..], b"\0\0\0\0\0\0\0\0ICPACK\0\x01");
    }

    #[test]
    fn refuses_entries_that_lie() {
        let good = entries(&[(10, 20), (5, 5)]);
        let file_len = |footer: &[u8]| HEAD_LEN + 15 + footer.len() as u64;
        for change in 0..4 {
            let mut bad = good.clone();
            match change {
                0 => bad[1].offset += 1,
                1 => bad[0].stored_len = 0,
                2 => bad[0].raw_len = CHUNK_LIMIT + 1,
                _ => bad[1].offset = u64::MAX,
            }
            let (_, footer) = encode_footer(&bad).unwrap();
            assert!(read(&footer, file_len(&footer)).is_err(), "{change}");
        }
        let (_, footer) = encode_footer(&good).unwrap();
        assert_eq!(read(&footer, file_len(&footer)).unwrap(), good);
        assert!(read(&footer, file_len(&footer) + 1).is_err());
    }

    #[test]
    fn refuses_a_huge_table_before_taking_memory() {
        let mut trailer = [0; TRAILER_LEN];
        trailer[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
        trailer[40..].copy_from_slice(&MAGIC);
        assert!(matches!(decode_trailer(&trailer), Err(FormatError::Limit { .. })));
    }

    proptest! {
        #[test]
        fn footers_round_trip(lens in prop::collection::vec((1_u32..1 << 20, 1..=CHUNK_LIMIT), 0..50), flip in any::<prop::sample::Index>()) {
            let entries = entries(&lens);
            let (_, mut footer) = encode_footer(&entries).unwrap();
            let file_len = HEAD_LEN + lens.iter().map(|len| u64::from(len.0)).sum::<u64>() + footer.len() as u64;
            prop_assert_eq!(read(&footer, file_len).unwrap(), entries);
            let at = flip.index(footer.len());
            footer[at] ^= 1;
            prop_assert!(read(&footer, file_len).is_err());
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), file_len in any::<u64>()) {
            let _ = read(&bytes, file_len);
            let _ = check_head(&bytes);
        }
    }
}
