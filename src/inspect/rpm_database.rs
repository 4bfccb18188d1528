//! rpm's database, a file of `SQLite` 3 (<https://www.sqlite.org/fileformat2.html>): the table `Packages`, whose rows have the headers of all packages.
//!
//! ```text
//!  page 1: schema ─► the root page of `Packages` ─► inner pages ─► leaves ─► rows, which go on in overflow pages
//! ```
//!
//! Nothing in the file is believed: each page is read at most once, and all rows together are not longer than the file.

use super::packages::Package;
use super::problem::{Problem, Result};
use crate::root::Installed;

const MAGIC: &[u8] = b"SQLite format 3\0";

/// Bytes before the first page's own header.
const FILE_HEADER: usize = 100;

/// The kinds of pages of tables.
const INNER: u8 = 0x05;
const LEAF: u8 = 0x0d;

/// What is no package: the keys that rpm believes.
const KEY: &str = "gpg-pubkey";

/// The packages in a database, sorted.
pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>> {
    let mut database = Database::open(bytes)?;
    let mut root = None;
    for row in database.rows(1)? {
        let columns = columns(&row)?;
        if let [kind, name, _, page, ..] = columns[..]
            && kind.bytes == b"table"
            && name.bytes == b"Packages"
        {
            root = Some(page.number()?);
        }
    }
    let root = root.ok_or(Problem::Wrong("the database of rpm has no table of packages"))?;
    let mut list = Vec::new();
    for row in database.rows(root)? {
        let columns = columns(&row)?;
        let header = columns.get(1).ok_or(Problem::Wrong("the database of rpm has a row without a header"))?;
        let Installed { name, version, arch, size } =
            Installed::read(header.bytes).map_err(|_| Problem::Wrong("the database of rpm has a header that cannot be read"))?;
        if name != KEY {
            list.push(Package { name, version, arch, size });
        }
    }
    list.sort();
    Ok(list)
}

struct Database<'d> {
    bytes: &'d [u8],
    page_len: usize,
    /// Bytes of a page that are in use.
    usable: usize,
    /// Whether a page was read, by its number less one.
    seen: Vec<bool>,
    /// How many bytes rows may still have.
    left: usize,
}

impl<'d> Database<'d> {
    fn open(bytes: &'d [u8]) -> Result<Self> {
        let Some(head) = bytes.get(..FILE_HEADER).filter(|head| head.starts_with(MAGIC)) else {
            return Err(Problem::Wrong("the database of rpm is no file of SQLite"));
        };
        let page_len = match be(&head[16..18]) as usize {
            1 => 1 << 16,
            len => len,
        };
        let usable = page_len.saturating_sub(head[20].into());
        if !page_len.is_power_of_two() || page_len < 512 || usable < 480 {
            return Err(Problem::Wrong("the database of rpm has pages of a length that cannot be"));
        }
        // Nothing is text but the names in the schema.
        if !matches!(be(&head[56..60]), 0 | 1) {
            return Err(Problem::Unsupported("a database of rpm in UTF-16".to_owned()));
        }
        Ok(Self { bytes, page_len, usable, seen: vec![false; bytes.len() / page_len], left: bytes.len() })
    }

    /// A page, the first time that it is asked for.
    fn page(&mut self, number: u32) -> Result<&'d [u8]> {
        let at = (number as usize).checked_sub(1).ok_or(Problem::Wrong("the database of rpm has a page without a number"))?;
        let seen = self.seen.get_mut(at).ok_or(Problem::CutOff)?;
        if std::mem::replace(seen, true) {
            return Err(Problem::Wrong("the database of rpm has a page in two places"));
        }
        self.bytes.get(at * self.page_len..(at + 1) * self.page_len).ok_or(Problem::CutOff)
    }

    /// The rows of the table with this root page.
    fn rows(&mut self, root: u32) -> Result<Vec<Vec<u8>>> {
        let mut rows = Vec::new();
        let mut open = vec![root];
        while let Some(number) = open.pop() {
            let page = self.page(number)?;
            let head = page.get(if number == 1 { FILE_HEADER } else { 0 }..).ok_or(Problem::CutOff)?;
            let (kind, count) = (head[0], be(&head[3..5]) as usize);
            let pointers = match kind {
                INNER => head.get(12..),
                LEAF => head.get(8..),
                _ => return Err(Problem::Wrong("the database of rpm has a page that is none of a table")),
            };
            let pointers = pointers.and_then(|rest| rest.get(..count * 2)).ok_or(Problem::CutOff)?;
            for pointer in pointers.chunks_exact(2) {
                let cell = page.get(be(pointer) as usize..self.usable).ok_or(Problem::CutOff)?;
                if kind == INNER {
                    open.push(be(cell.get(..4).ok_or(Problem::CutOff)?));
                } else {
                    rows.push(self.row(cell)?);
                }
            }
            if kind == INNER {
                open.push(be(&head[8..12]));
            }
        }
        Ok(rows)
    }

    /// The content of a row, with what of it is in overflow pages.
    fn row(&mut self, cell: &[u8]) -> Result<Vec<u8>> {
        let (len, rest) = varint(cell)?;
        let (_, rest) = varint(rest)?;
        let len =
            usize::try_from(len).ok().filter(|len| *len <= self.left).ok_or(Problem::Wrong("the rows of the database of rpm are longer than it"))?;
        // Each row takes some of it, even one that is empty.
        self.left = self.left.saturating_sub(len.max(8));
        // How much of it stands here: “Cell Payload Overflow Pages”.
        let most = self.usable - 35;
        let here = if len <= most {
            len
        } else {
            let least = (self.usable - 12) * 32 / 255 - 23;
            let fitting = least + (len - least) % (self.usable - 4);
            if fitting <= most { fitting } else { least }
        };
        let mut row = rest.get(..here).ok_or(Problem::CutOff)?.to_vec();
        let mut next = if here < len { be(rest.get(here..here + 4).ok_or(Problem::CutOff)?) } else { 0 };
        while row.len() < len {
            let page = self.page(next)?;
            next = be(&page[..4]);
            let more = page.get(4..self.usable).ok_or(Problem::CutOff)?;
            row.extend_from_slice(&more[..more.len().min(len - row.len())]);
        }
        Ok(row)
    }
}

/// A value of a row.
#[derive(Debug, Clone, Copy)]
struct Column<'r> {
    bytes: &'r [u8],
}

impl Column<'_> {
    /// The number of a page.
    fn number(self) -> Result<u32> {
        let is_number = (1..=8).contains(&self.bytes.len());
        let number = self.bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        u32::try_from(number).ok().filter(|_| is_number).ok_or(Problem::Wrong("the database of rpm has a table without a page"))
    }
}

/// The values of a row: “Record Format”.
fn columns(row: &[u8]) -> Result<Vec<Column<'_>>> {
    let (head_len, kinds) = varint(row)?;
    let head_len = usize::try_from(head_len).ok().filter(|len| *len <= row.len()).ok_or(Problem::CutOff)?;
    let (mut kinds, mut values) = (&kinds[..kinds.len().min(head_len.saturating_sub(row.len() - kinds.len()))], &row[head_len..]);
    let mut columns = Vec::new();
    while !kinds.is_empty() {
        let (kind, rest) = varint(kinds)?;
        kinds = rest;
        let len = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return Err(Problem::Wrong("the database of rpm has a value of no kind")),
            _ => (kind - 12) / 2,
        };
        let value = usize::try_from(len).ok().and_then(|len| values.split_at_checked(len));
        let (bytes, rest) = value.ok_or(Problem::CutOff)?;
        columns.push(Column { bytes });
        values = rest;
    }
    Ok(columns)
}

/// A number of one to nine bytes, and what follows it.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        if at == 8 {
            return Ok((number << 8 | u64::from(*byte), &bytes[9..]));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok((number, &bytes[at + 1..]));
        }
    }
    Err(Problem::CutOff)
}

fn be(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    /// See `fixtures/rpmdb/make`.
    fn database() -> Vec<u8> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rpmdb/rpmdb.sqlite.zst");
        zstd::decode_all(&*std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn the_packages_of_rpms_own_database_are_read() {
        let list = packages(&database()).unwrap();
        let text: Vec<_> = list.iter().map(|package| format!("{} {} {} {}", package.name, package.version, package.arch, package.size)).collect();
        let expected = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rpmdb/packages")).unwrap();
        assert_eq!(text, expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_a_database_is_told() {
        let whole = database();
        for (bytes, reason) in [
            (b"no database".to_vec(), "no file of SQLite"),
            (whole[..4096].to_vec(), "it ends too early"),
            ([&whole[..16], &[0, 3], &whole[18..]].concat(), "of a length that cannot be"),
            ([&whole[..56], &[0, 0, 0, 2], &whole[60..]].concat(), "UTF-16"),
            ([&whole[..100], &[2], &whole[101..]].concat(), "none of a table"),
        ] {
            let error = packages(&bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let mut renamed = whole.clone();
        while let Some(at) = memchr::memmem::find(&renamed, b"Packages") {
            renamed[at] = b'Q';
        }
        assert!(packages(&renamed).unwrap_err().to_string().contains("no table of packages"));
    }

    proptest! {
        #[test]
        fn nothing_in_it_is_believed(patches in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), first in any::<bool>()) {
            let mut bytes = database();
            for (at, byte) in patches {
                let at = if first { at.index(4096) } else { at.index(bytes.len()) };
                bytes[at] = byte;
            }
            let _ = packages(&bytes);
        }
    }
}
