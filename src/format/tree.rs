//! A root tree in one stretch of bytes, cut and kept like a disk image.
//!
//! ```text
//! first block   "ICTREE\0\x02" │ table offset u64 │ table length u64 │ entries u32 │ zero to the end of the block
//! blocks        what regular files hold, each from the beginning of a block, in the order of the table
//! table         entries, one behind the other, in the order of their paths' components; a folder stands before what is in it
//!
//! entry         kind u8 │ mode u16 │ uid u32 │ gid u32 │ mtime: seconds i64, nanoseconds u32 │ path length u16, path
//!               file: offset u64, length u64, stretches u32, each: first block u32, blocks u32 │ link: length u16, target │ hard link: number of the first name's entry u32 │ device: major u32, minor u32
//!               attributes u16, each: length of the name u8, name, length of the value u16, value
//! ```
//!
//! Numbers are little-endian; blocks have 4 KiB, as those of the file systems that a tree becomes: so a file's bytes are the same chunks in both. A path is
//! relative to the tree, without `.` and `..`; that of the tree itself is empty. The stretches of a file are its blocks that are not all zeros. Version 1 has
//! none of them.

use std::ops::Range;

use super::{FormatError, take};

/// The first bytes; the format version follows them.
const MAGIC: [u8; 7] = *b"ICTREE\0";

/// The format version that is written.
const VERSION: u8 = 2;

/// The version whose files do not say which of their blocks are zeros.
const WITHOUT_DATA: u8 = 1;

/// The length of a block in bytes.
pub const BLOCK: u64 = 4096;

/// The bytes of the head that are not zero.
pub const HEAD_LEN: usize = 28;

/// The longest table that is read. Entries of the largest installations (a million files) have some 100 bytes each.
const TABLE_LIMIT: u64 = 256 << 20;

/// The most entries that are read.
const ENTRY_LIMIT: u32 = 1 << 21;

const WHAT: &str = "table of a tree";

/// Where the table lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its offset in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// How many entries it has.
    pub entries: u32,
    /// Whether it says which blocks of files are not zeros.
    pub has_data: bool,
}

/// One name in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the tree; empty for the tree itself.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, at most `0o7777`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was last modified: seconds since the epoch, and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes, in the order of their names.
    pub attributes: Attributes,
}

/// Names and values.
pub type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A regular file, and where its bytes are.
    File {
        /// In bytes, a multiple of [`BLOCK`].
        offset: u64,
        /// In bytes.
        len: u64,
        /// The ranges of its blocks that are not all zeros, ascending and apart; none where the tree does not say.
        data: Option<Vec<Range<u64>>>,
    },
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// Another name of the file of an earlier entry.
    HardLink(u32),
    /// A named pipe.
    Fifo,
    /// A character device.
    Character(u32, u32),
    /// A block device.
    Block(u32, u32),
}

impl Head {
    /// The first bytes of a tree.
    pub fn encode(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..7].copy_from_slice(&MAGIC);
        bytes[7] = if self.has_data { VERSION } else { WITHOUT_DATA };
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.len.to_le_bytes());
        bytes[24..].copy_from_slice(&self.entries.to_le_bytes());
        bytes
    }

    /// Reads what [`Head::encode`] wrote; `total` is the length of the whole in bytes.
    ///
    /// # Errors
    /// Anything else, and a table that does not end where the whole does.
    pub fn decode(mut bytes: &[u8], total: u64) -> Result<Self, FormatError> {
        let what = "tree";
        if take::<7>(&mut bytes, what)? != MAGIC {
            return Err(FormatError::Magic { what });
        }
        let has_data = match take::<1>(&mut bytes, what)? {
            [VERSION] => true,
            [WITHOUT_DATA] => false,
            [found] => return Err(FormatError::Version { what, found: found.into(), supported: VERSION.into() }),
        };
        let (offset, len) = (u64::from_le_bytes(take(&mut bytes, what)?), u64::from_le_bytes(take(&mut bytes, what)?));
        let head = Self { offset, len, entries: u32::from_le_bytes(take(&mut bytes, what)?), has_data };
        if len > TABLE_LIMIT {
            return Err(FormatError::Limit { what: "length of the table of a tree", found: len, limit: TABLE_LIMIT });
        }
        if head.entries > ENTRY_LIMIT {
            return Err(FormatError::Limit { what: "number of entries of a tree", found: head.entries.into(), limit: ENTRY_LIMIT.into() });
        }
        if offset < BLOCK || !offset.is_multiple_of(BLOCK) || offset.checked_add(len) != Some(total) {
            return Err(FormatError::Inconsistent { what, reason: "the table does not end where the tree does" });
        }
        Ok(head)
    }
}

/// The table of these entries. Either all files say which of their blocks are not zeros, or none does, as the head says.
///
/// # Errors
/// A path, target or attribute that is too long to be one, and a file of more than 2^32 blocks.
pub fn encode(entries: &[Entry]) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::with_capacity(entries.len() * 96);
    for entry in entries {
        let kind = match entry.kind {
            Kind::Directory => 0u8,
            Kind::File { .. } => 1,
            Kind::Symlink(_) => 2,
            Kind::HardLink(_) => 3,
            Kind::Fifo => 4,
            Kind::Character(..) => 5,
            Kind::Block(..) => 6,
        };
        bytes.push(kind);
        bytes.extend(entry.mode.to_le_bytes());
        bytes.extend(entry.uid.to_le_bytes());
        bytes.extend(entry.gid.to_le_bytes());
        bytes.extend(entry.mtime.0.to_le_bytes());
        bytes.extend(entry.mtime.1.to_le_bytes());
        put(&mut bytes, &entry.path)?;
        match &entry.kind {
            Kind::Directory | Kind::Fifo => {}
            Kind::File { offset, len, data } => {
                bytes.extend(offset.to_le_bytes());
                bytes.extend(len.to_le_bytes());
                if let Some(data) = data {
                    put_ranges(&mut bytes, data)?;
                }
            }
            Kind::Symlink(target) => put(&mut bytes, target)?,
            Kind::HardLink(number) => bytes.extend(number.to_le_bytes()),
            Kind::Character(major, minor) | Kind::Block(major, minor) => {
                bytes.extend(major.to_le_bytes());
                bytes.extend(minor.to_le_bytes());
            }
        }
        bytes.extend(length(entry.attributes.len())?);
        for (name, value) in &entry.attributes {
            let limit = u64::from(u8::MAX);
            bytes.push(u8::try_from(name.len()).map_err(|_| FormatError::Limit { what: "length of a name", found: name.len() as u64, limit })?);
            bytes.extend(name);
            put(&mut bytes, value)?;
        }
    }
    Ok(bytes)
}

fn put_ranges(bytes: &mut Vec<u8>, ranges: &[Range<u64>]) -> Result<(), FormatError> {
    let number = |value: u64| {
        let limit = u64::from(u32::MAX);
        u32::try_from(value).map(u32::to_le_bytes).map_err(|_| FormatError::Limit { what: "number of blocks of a file", found: value, limit })
    };
    bytes.extend(number(ranges.len() as u64)?);
    for range in ranges {
        bytes.extend(number(range.start)?);
        bytes.extend(number(range.end - range.start)?);
    }
    Ok(())
}

fn put(bytes: &mut Vec<u8>, text: &[u8]) -> Result<(), FormatError> {
    bytes.extend(length(text.len())?);
    bytes.extend(text);
    Ok(())
}

fn length(len: usize) -> Result<[u8; 2], FormatError> {
    let limit = u64::from(u16::MAX);
    u16::try_from(len).map(u16::to_le_bytes).map_err(|_| FormatError::Limit { what: "length of a text of a tree", found: len as u64, limit })
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// Anything else: also a path that could lead out of a tree, files that lie outside of the blocks before the table, and a hard link to no file.
pub fn decode(mut bytes: &[u8], head: &Head) -> Result<Vec<Entry>, FormatError> {
    let bytes = &mut bytes;
    let mut entries: Vec<Entry> = Vec::with_capacity((head.entries as usize).min(bytes.len() / 28));
    for _ in 0..head.entries {
        let entry = entry(bytes, &entries, head)?;
        entries.push(entry);
    }
    if !bytes.is_empty() {
        return Err(inconsistent("bytes follow the last entry"));
    }
    Ok(entries)
}

fn entry(bytes: &mut &[u8], before: &[Entry], head: &Head) -> Result<Entry, FormatError> {
    let [kind] = take(bytes, WHAT)?;
    let mode = u16::from_le_bytes(take(bytes, WHAT)?);
    let (uid, gid) = (u32_of(bytes)?, u32_of(bytes)?);
    let mtime = (i64::from_le_bytes(take(bytes, WHAT)?), u32_of(bytes)?);
    let path = text(bytes)?.to_vec();
    if mode > 0o7777 || mtime.1 >= 1_000_000_000 {
        return Err(inconsistent("a mode or a time is none"));
    }
    // The tree itself stands first, and nowhere else.
    if path.is_empty() != before.is_empty() || !path.is_empty() && !path.split(|byte| *byte == b'/').all(is_name) {
        return Err(inconsistent("a path leads nowhere"));
    }
    let kind = match kind {
        0 => Kind::Directory,
        1 => {
            let (offset, len) = (u64_of(bytes)?, u64_of(bytes)?);
            let within = offset.checked_add(len).is_some_and(|end| end <= head.offset);
            if !within || offset < BLOCK || !offset.is_multiple_of(BLOCK) {
                return Err(inconsistent("a file lies outside of its blocks"));
            }
            let data = head.has_data.then(|| ranges(bytes, len.div_ceil(BLOCK))).transpose()?;
            Kind::File { offset, len, data }
        }
        2 => Kind::Symlink(text(bytes)?.to_vec()),
        3 => {
            let number = u32_of(bytes)?;
            if !matches!(before.get(number as usize).map(|entry| &entry.kind), Some(kind) if !matches!(kind, Kind::Directory | Kind::HardLink(_))) {
                return Err(inconsistent("a hard link is one of no file"));
            }
            Kind::HardLink(number)
        }
        4 => Kind::Fifo,
        5 => Kind::Character(u32_of(bytes)?, u32_of(bytes)?),
        6 => Kind::Block(u32_of(bytes)?, u32_of(bytes)?),
        _ => return Err(inconsistent("an entry is of no known kind")),
    };
    if before.is_empty() && kind != Kind::Directory {
        return Err(inconsistent("the tree is no folder"));
    }
    let count = u16::from_le_bytes(take(bytes, WHAT)?);
    let mut attributes = Vec::new();
    for _ in 0..count {
        let [len] = take(bytes, WHAT)?;
        let name = split(bytes, usize::from(len))?.to_vec();
        attributes.push((name, text(bytes)?.to_vec()));
    }
    Ok(Entry { path, kind, mode, uid, gid, mtime, attributes })
}

/// Ranges of a file of so many blocks.
fn ranges(bytes: &mut &[u8], blocks: u64) -> Result<Vec<Range<u64>>, FormatError> {
    let mut found: Vec<Range<u64>> = Vec::new();
    for _ in 0..u32_of(bytes)? {
        let (start, len) = (u64::from(u32_of(bytes)?), u64::from(u32_of(bytes)?));
        let is_apart = found.last().is_none_or(|before| before.end < start);
        if len == 0 || start + len > blocks || !is_apart {
            return Err(inconsistent("the blocks of a file are none"));
        }
        found.push(start..start + len);
    }
    Ok(found)
}

/// Notes which blocks of these bytes, which begin at a block's beginning `at` bytes into a file, are not all zeros.
pub(crate) fn note_data(data: &mut Vec<Range<u64>>, at: u64, bytes: &[u8]) {
    const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
    for (block, bytes) in (at / BLOCK..).zip(bytes.chunks(BLOCK as usize)) {
        if *bytes != ZEROS[..bytes.len()] {
            match data.last_mut() {
                Some(last) if last.end == block => last.end += 1,
                _ => data.push(block..block + 1),
            }
        }
    }
}

/// Where the blocks of regular files lie, ascending: what a file fills, to the end of its last block.
pub fn files(entries: &[Entry]) -> Vec<Range<u64>> {
    let blocks = entries.iter().filter_map(|entry| match entry.kind {
        Kind::File { offset, len, .. } if len > 0 => Some(offset..(offset + len).next_multiple_of(BLOCK)),
        _ => None,
    });
    blocks.collect()
}

/// Whether this can be one component of a path.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&0)
}

fn text<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8], FormatError> {
    let len = u16::from_le_bytes(take(bytes, WHAT)?);
    split(bytes, usize::from(len))
}

fn split<'b>(bytes: &mut &'b [u8], len: usize) -> Result<&'b [u8], FormatError> {
    let (head, rest) = bytes.split_at_checked(len).ok_or(FormatError::CutOff { what: WHAT })?;
    *bytes = rest;
    Ok(head)
}

fn u32_of(bytes: &mut &[u8]) -> Result<u32, FormatError> {
    Ok(u32::from_le_bytes(take(bytes, WHAT)?))
}

fn u64_of(bytes: &mut &[u8]) -> Result<u64, FormatError> {
    Ok(u64::from_le_bytes(take(bytes, WHAT)?))
}

fn inconsistent(reason: &'static str) -> FormatError {
    FormatError::Inconsistent { what: WHAT, reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { path: path.as_bytes().to_vec(), kind, mode: 0o755, uid: 0, gid: 5, mtime: (1_700_000_000, 7), attributes: Vec::new() }
    }

    /// With data in these blocks: the first, and the one after the last.
    fn file(offset: u64, len: u64, data: &[(u64, u64)]) -> Kind {
        Kind::File { offset, len, data: Some(data.iter().map(|(start, end)| *start..*end).collect()) }
    }

    fn entries() -> Vec<Entry> {
        let capability = (b"security.capability".to_vec(), vec![1, 0, 0, 2]);
        vec![
            entry("", Kind::Directory),
            entry("bin", Kind::Symlink(b"usr/bin".to_vec())),
            entry("dev", Kind::Directory),
            entry("dev/null", Kind::Character(1, 3)),
            entry("dev/pipe", Kind::Fifo),
            entry("usr", Kind::Directory),
            Entry { attributes: vec![capability], ..entry("usr/ping", file(BLOCK, 5000, &[(0, 2)])) },
            entry("usr/ping4", Kind::HardLink(6)),
            entry("usr/zero", file(3 * BLOCK, 0, &[])),
        ]
    }

    fn head(table: &[u8]) -> Head {
        Head { offset: 3 * BLOCK, len: table.len() as u64, entries: entries().len() as u32, has_data: true }
    }

    #[test]
    fn round_trips_and_stays_the_same() {
        let table = encode(&entries()).unwrap();
        let head = head(&table);
        assert_eq!(Head::decode(&head.encode(), 3 * BLOCK + head.len).unwrap(), head);
        assert_eq!(decode(&table, &head).unwrap(), entries());
        assert_eq!(files(&entries()).first(), Some(&(BLOCK..3 * BLOCK)));
        assert_eq!(Digest::of(&[&head.encode()[..], &table].concat()).short(), "871783899e16");
    }

    #[test]
    fn what_older_programs_have_kept_is_read() {
        let mut older = entries();
        for entry in &mut older {
            if let Kind::File { data, .. } = &mut entry.kind {
                *data = None;
            }
        }
        let table = encode(&older).unwrap();
        let head = Head { has_data: false, ..head(&table) };
        assert_eq!(Head::decode(&head.encode(), 3 * BLOCK + head.len).unwrap(), head);
        assert_eq!(decode(&table, &head).unwrap(), older);
        assert_eq!(Digest::of(&[&head.encode()[..], &table].concat()).short(), "90addd59b723");
        let mut newer = head.encode();
        newer[7] = 3;
        assert!(matches!(Head::decode(&newer, 3 * BLOCK + head.len), Err(FormatError::Version { found: 3, .. })));
    }

    #[test]
    fn refuses_what_leads_out_of_the_tree() {
        let wrong = |change: &dyn Fn(&mut Vec<Entry>)| {
            let mut entries = entries();
            change(&mut entries);
            let table = encode(&entries).unwrap();
            decode(&table, &Head { entries: entries.len() as u32, ..head(&table) }).unwrap_err().to_string()
        };
        for path in ["/etc", "..", "a/../b", "a//b", "./a", "", "a\0"] {
            assert!(wrong(&|entries| entries[1].path = path.as_bytes().to_vec()).contains("leads nowhere"), "{path}");
        }
        assert!(wrong(&|entries| entries[0].kind = Kind::Fifo).contains("no folder"));
        for number in [5, 7, 9] {
            assert!(wrong(&|entries| entries[7].kind = Kind::HardLink(number)).contains("one of no file"), "{number}");
        }
        for (offset, len) in [(0, 1), (BLOCK + 1, 1), (BLOCK, 2 * BLOCK + 1), (u64::MAX - 4095, 5000)] {
            assert!(wrong(&|entries| entries[8].kind = file(offset, len, &[])).contains("outside"), "{offset} {len}");
        }
        for data in [&[(0, 0)][..], &[(0, 3)], &[(1, 2), (0, 1)], &[(0, 1), (1, 2)], &[(2, 3)]] {
            assert!(wrong(&|entries| entries[6].kind = file(BLOCK, 5000, data)).contains("blocks of a file"), "{data:?}");
        }
    }

    #[test]
    fn refuses_a_head_that_contradicts_the_length() {
        let head = Head { offset: 3 * BLOCK, len: 10, entries: 1, has_data: true };
        for total in [3 * BLOCK, 3 * BLOCK + 9, 3 * BLOCK + 11] {
            assert!(Head::decode(&head.encode(), total).is_err());
        }
        assert!(matches!(Head::decode(&[0; HEAD_LEN], 0), Err(FormatError::Magic { .. })));
        let long = Head { len: TABLE_LIMIT + 1, offset: BLOCK, ..head };
        assert!(matches!(Head::decode(&long.encode(), BLOCK + TABLE_LIMIT + 1), Err(FormatError::Limit { .. })));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), entries in 0u32..20) {
            for has_data in [true, false] {
                let _ = decode(&bytes, &Head { offset: 1 << 40, len: bytes.len() as u64, entries, has_data });
            }
        }

        #[test]
        fn a_changed_table_is_another_one_or_none(at in 0usize..400, bit in 0u8..8) {
            let mut table = encode(&super::tests::entries()).unwrap();
            let at = at % table.len();
            table[at] ^= 1 << bit;
            if let Ok(entries) = decode(&table, &head(&table)) {
                prop_assert_eq!(encode(&entries).unwrap(), table);
            }
        }
    }
}
