//! The header of an RPM package: tagged values in one block of bytes (RPM file format, “Header structure”).
//!
//! ```text
//!  8e ad e8 01 │ 4 reserved │ entries u32 │ data length u32 │ entries × (tag, type, offset, count: u32) │ data
//! ```
//!
//! All numbers are big-endian. A header is read with bounds, and each value is checked when it is asked for: no offset, no count and no text of a
//! hostile header is believed.

use std::io::{self, Read};

/// The most entries: `rpm`'s own limit (`HEADER_TAGS_MAX`).
const ENTRY_LIMIT: u32 = 0xffff;
/// The most bytes of data. `rpm` takes up to 256 MiB; the largest of Fedora (a package of 100,000 files) is below 16.
const DATA_LIMIT: u32 = 64 << 20;

/// The most values of one tag. The packages with the most files have some 100,000.
const LIST_LIMIT: u32 = 1 << 20;
const MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];

/// What a value is called. The numbers are those of `rpmtag.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(pub(super) u32);

impl Tag {
    pub(super) const NAME: Self = Self(1000);
    pub(super) const VERSION: Self = Self(1001);
    pub(super) const RELEASE: Self = Self(1002);
    pub(super) const EPOCH: Self = Self(1003);
    pub(super) const SIZE: Self = Self(1009);
    pub(super) const LICENSE: Self = Self(1014);
    pub(super) const ARCH: Self = Self(1022);
    pub(super) const FILE_SIZES: Self = Self(1028);
    pub(super) const FILE_MODES: Self = Self(1030);
    pub(super) const FILE_DIGESTS: Self = Self(1035);
    pub(super) const FILE_LINKS: Self = Self(1036);
    pub(super) const FILE_FLAGS: Self = Self(1037);
    pub(super) const PROVIDES: Self = Self(1047);
    pub(super) const REQUIRE_FLAGS: Self = Self(1048);
    pub(super) const REQUIRES: Self = Self(1049);
    pub(super) const REQUIRE_VERSIONS: Self = Self(1050);
    pub(super) const CONFLICT_FLAGS: Self = Self(1053);
    pub(super) const CONFLICTS: Self = Self(1054);
    pub(super) const CONFLICT_VERSIONS: Self = Self(1055);
    pub(super) const OBSOLETES: Self = Self(1090);
    pub(super) const FILE_DEVICES: Self = Self(1095);
    pub(super) const FILE_INODES: Self = Self(1096);
    pub(super) const SOURCE_PACKAGE: Self = Self(1106);
    pub(super) const PROVIDE_FLAGS: Self = Self(1112);
    pub(super) const PROVIDE_VERSIONS: Self = Self(1113);
    pub(super) const OBSOLETE_FLAGS: Self = Self(1114);
    pub(super) const OBSOLETE_VERSIONS: Self = Self(1115);
    pub(super) const DIR_INDEXES: Self = Self(1116);
    pub(super) const BASE_NAMES: Self = Self(1117);
    pub(super) const DIR_NAMES: Self = Self(1118);
    pub(super) const PAYLOAD_FORMAT: Self = Self(1124);
    pub(super) const PAYLOAD_COMPRESSOR: Self = Self(1125);
    pub(super) const LONG_SIZE: Self = Self(5009);
    pub(super) const LONG_FILE_SIZES: Self = Self(5008);
    pub(super) const FILE_DIGEST_ALGORITHM: Self = Self(5011);
    pub(super) const RECOMMENDS: Self = Self(5046);
    pub(super) const RECOMMEND_VERSIONS: Self = Self(5047);
    pub(super) const RECOMMEND_FLAGS: Self = Self(5048);
    pub(super) const SUPPLEMENTS: Self = Self(5052);
    pub(super) const SUPPLEMENT_VERSIONS: Self = Self(5053);
    pub(super) const SUPPLEMENT_FLAGS: Self = Self(5054);
    /// The SHA-256 of the payload as it is in the file.
    pub(super) const PAYLOAD_DIGEST: Self = Self(5092);
    /// Of the signature header: over the header, by a DSA, `ECDSA` or `EdDSA` key.
    pub(super) const DSA_HEADER: Self = Self(267);
    /// Of the signature header: over the header, by an RSA key.
    pub(super) const RSA_HEADER: Self = Self(268);
    /// Of the signature header: over the header, by keys of any kind, in base64.
    pub(super) const OPENPGP: Self = Self(278);
}

/// The types of values.
const INT16: u32 = 3;
const INT32: u32 = 4;
const INT64: u32 = 5;
const STRING: u32 = 6;
const BINARY: u32 = 7;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: u32,
    count: u32,
}

/// A header that was read.
#[derive(Debug)]
pub(super) struct Header {
    entries: Vec<Entry>,
    data: Vec<u8>,
}

/// Refuses lists that are too long: several may lie in the same bytes, so that the length of all says little.
fn check_count(tag: Tag, count: u32) -> io::Result<()> {
    if count > LIST_LIMIT { Err(bad(format!("tag {} has {count} values", tag.0))) } else { Ok(()) }
}

fn bad(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.into())
}

impl Header {
    /// Reads a header; returns how many bytes it had.
    ///
    /// # Errors
    /// `InvalidData` for what is no header or one beyond the limits.
    pub(super) fn read(input: &mut impl Read) -> io::Result<(Self, u64)> {
        let mut head = [0; 16];
        input.read_exact(&mut head)?;
        if head[..4] != MAGIC {
            return Err(bad("there is no header where one must be"));
        }
        let (count, len) = (number(&head[8..12]), number(&head[12..16]));
        if count > ENTRY_LIMIT || len > DATA_LIMIT {
            return Err(bad(format!("its header says that it has {count} entries and {len} bytes")));
        }
        let mut index = Vec::new();
        let index_len = u64::from(count) * 16;
        // What is there decides how much memory is taken, not what was promised.
        if input.by_ref().take(index_len).read_to_end(&mut index)? as u64 != index_len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut data = Vec::new();
        if input.by_ref().take(len.into()).read_to_end(&mut data)? as u64 != u64::from(len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let entry = |bytes: &[u8]| Entry { tag: number(bytes), kind: number(&bytes[4..]), offset: number(&bytes[8..]), count: number(&bytes[12..]) };
        Ok((Self { entries: index.chunks_exact(16).map(entry).collect(), data }, 16 + index_len + u64::from(len)))
    }

    /// Reads a header of rpm's database, which leaves out the first eight bytes.
    ///
    /// # Errors
    /// As [`Header::read`].
    pub(super) fn stored(bytes: &[u8]) -> io::Result<Self> {
        let begin = [MAGIC, [0; 4]].concat();
        Self::read(&mut begin.chain(bytes)).map(|(header, _)| header)
    }

    /// What a package says of itself: name, `[epoch:]version-release` and architecture.
    ///
    /// # Errors
    /// Values of other types than these have.
    pub(super) fn identity(&self) -> io::Result<(String, String, String)> {
        let text = |tag| Ok::<_, io::Error>(self.text(tag)?.unwrap_or_default().to_owned());
        let epoch = self.number(Tag::EPOCH)?.filter(|epoch| *epoch > 0);
        let version = format!("{}{}-{}", epoch.map_or(String::new(), |epoch| format!("{epoch}:")), text(Tag::VERSION)?, text(Tag::RELEASE)?);
        Ok((text(Tag::NAME)?, version, text(Tag::ARCH)?))
    }

    /// Whether there is such a value.
    pub(super) fn has(&self, tag: Tag) -> bool {
        self.entry(tag).is_some()
    }

    /// The first text of a value; none where the header does not have it.
    pub(super) fn text(&self, tag: Tag) -> io::Result<Option<&str>> {
        Ok(self.texts(tag)?.first().copied())
    }

    /// All texts of a value; none where the header does not have it.
    pub(super) fn texts(&self, tag: Tag) -> io::Result<Vec<&str>> {
        let Some(entry) = self.entry(tag) else { return Ok(Vec::new()) };
        let count = match entry.kind {
            STRING => 1,
            STRING_ARRAY | I18N_STRING => entry.count,
            other => return Err(bad(format!("tag {} has type {other} and is no text", tag.0))),
        };
        let mut rest = self.data.get(entry.offset as usize..).ok_or_else(|| outside(tag))?;
        check_count(tag, count)?;
        // Each text has at least its final zero.
        if count as usize > rest.len() {
            return Err(outside(tag));
        }
        let mut texts = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let end = memchr::memchr(0, rest).ok_or_else(|| outside(tag))?;
            texts.push(std::str::from_utf8(&rest[..end]).map_err(|_| bad(format!("tag {} is not UTF-8", tag.0)))?);
            rest = &rest[end + 1..];
        }
        Ok(texts)
    }

    /// The bytes of a value; none where the header does not have it.
    pub(super) fn bytes(&self, tag: Tag) -> io::Result<Option<&[u8]>> {
        let Some(entry) = self.entry(tag) else { return Ok(None) };
        if entry.kind != BINARY {
            return Err(bad(format!("tag {} has type {} and is not binary", tag.0, entry.kind)));
        }
        let start = entry.offset as usize;
        self.data.get(start..start.saturating_add(entry.count as usize)).map(Some).ok_or_else(|| outside(tag))
    }

    /// The header as it is signed: as it was read, with nothing in its reserved bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let head = [0, self.entries.len() as u32, self.data.len() as u32];
        let entries = self.entries.iter().flat_map(|entry| [entry.tag, entry.kind, entry.offset, entry.count]);
        bytes.extend(head.into_iter().chain(entries).flat_map(u32::to_be_bytes));
        bytes.extend(&self.data);
        bytes
    }

    /// All numbers of a value, of whatever width; none where the header does not have it.
    pub(super) fn numbers(&self, tag: Tag) -> io::Result<Vec<u64>> {
        let Some(entry) = self.entry(tag) else { return Ok(Vec::new()) };
        let width = match entry.kind {
            INT16 => 2,
            INT32 => 4,
            INT64 => 8,
            other => return Err(bad(format!("tag {} has type {other} and is no number", tag.0))),
        };
        check_count(tag, entry.count)?;
        let start = entry.offset as usize;
        let end = (entry.count as usize).checked_mul(width).and_then(|len| len.checked_add(start)).ok_or_else(|| outside(tag))?;
        let bytes = self.data.get(start..end).ok_or_else(|| outside(tag))?;
        Ok(bytes.chunks_exact(width).map(|bytes| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))).collect())
    }

    /// A single number.
    pub(super) fn number(&self, tag: Tag) -> io::Result<Option<u64>> {
        Ok(self.numbers(tag)?.first().copied())
    }

    fn entry(&self, tag: Tag) -> Option<Entry> {
        self.entries.iter().find(|entry| entry.tag == tag.0).copied()
    }
}

fn outside(tag: Tag) -> io::Error {
    bad(format!("tag {} lies outside of the header", tag.0))
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of these entries: tag, type, offset, count.
    fn header(entries: &[[u32; 4]], data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0; 4]);
        bytes.extend((entries.len() as u32).to_be_bytes());
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(entries.iter().flatten().flat_map(|number| number.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn read(bytes: &[u8]) -> Header {
        let (header, len) = Header::read(&mut &*bytes).unwrap();
        assert_eq!(len, bytes.len() as u64);
        header
    }

    #[test]
    fn values_are_read() {
        let header = read(&header(
            &[[1000, STRING, 0, 1], [1117, STRING_ARRAY, 4, 2], [1028, INT32, 8, 1], [1030, INT16, 12, 2]],
            b"abc\0d\0e\0\0\0\x01\x02\x81\xa4\0\x01",
        ));
        assert_eq!(header.text(Tag::NAME).unwrap(), Some("abc"));
        assert_eq!(header.texts(Tag::BASE_NAMES).unwrap(), ["d", "e"]);
        assert_eq!(header.numbers(Tag::FILE_SIZES).unwrap(), [0x102]);
        assert_eq!(header.numbers(Tag::FILE_MODES).unwrap(), [0o100_644, 1]);
        assert_eq!(header.text(Tag::ARCH).unwrap(), None);
        assert!(header.numbers(Tag::NAME).is_err() && header.texts(Tag::FILE_SIZES).is_err());
    }

    #[test]
    fn a_header_is_signed_as_it_was_read() {
        let mut bytes = header(&[[5092, STRING_ARRAY, 0, 1], [268, BINARY, 2, 3]], b"a\0\x88\x01\x02");
        assert_eq!(read(&bytes).to_bytes(), bytes);
        assert_eq!(read(&bytes).bytes(Tag::RSA_HEADER).unwrap(), Some(b"\x88\x01\x02".as_slice()));
        assert_eq!(read(&bytes).bytes(Tag::DSA_HEADER).unwrap(), None);
        bytes[5] = 1;
        assert_ne!(read(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn no_offset_and_no_count_is_believed() {
        for entry in
            [[1000, STRING, 9, 1], [1000, STRING, 4, 1], [1000, STRING_ARRAY, 0, 3], [1000, STRING_ARRAY, 0, u32::MAX], [1000, STRING, u32::MAX, 1]]
        {
            assert!(read(&header(&[entry], b"a\0b\0xx")).texts(Tag::NAME).is_err(), "{entry:?}");
        }
        for entry in [[1028, INT32, 0, 2], [1028, INT64, u32::MAX, u32::MAX], [1028, INT32, 7, 1]] {
            assert!(read(&header(&[entry], b"\0\0\0\0\0\0\0")).numbers(Tag::FILE_SIZES).is_err(), "{entry:?}");
        }
        for entry in [[268, BINARY, 0, 8], [268, BINARY, 8, 0], [268, BINARY, u32::MAX, u32::MAX], [268, STRING, 0, 1]] {
            assert!(read(&header(&[entry], b"\0\0\0\0\0\0\0")).bytes(Tag::RSA_HEADER).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn lists_in_the_same_bytes_are_no_longer_than_lists_are() {
        let data = vec![0; LIST_LIMIT as usize * 2 + 2];
        let header = read(&header(&[[1030, INT16, 0, LIST_LIMIT], [1034, INT16, 0, LIST_LIMIT + 1], [1117, STRING_ARRAY, 0, LIST_LIMIT + 1]], &data));
        assert_eq!(header.numbers(Tag::FILE_MODES).unwrap().len(), LIST_LIMIT as usize);
        assert!(header.numbers(Tag(1034)).is_err() && header.texts(Tag::BASE_NAMES).is_err());
    }

    #[test]
    fn what_is_too_large_or_cut_off_is_refused() {
        let whole = header(&[[1000, STRING, 0, 1]], b"a\0");
        for cut in 0..whole.len() {
            assert!(Header::read(&mut &whole[..cut]).is_err(), "{cut}");
        }
        for (at, byte) in [(8, 1), (12, 0x80), (3, 2)] {
            let mut hostile = whole.clone();
            hostile[at] = byte;
            assert_eq!(Header::read(&mut &*hostile).unwrap_err().kind(), io::ErrorKind::InvalidData, "{at}");
        }
    }
}
