//! Extended attributes as ext2, ext3 and ext4 have them, behind the fields of an inode and in a block of their own (the kernel's
//! `Documentation/filesystems/ext4/attributes.rst`), and in the words of `getxattr(2)`.

use super::number::{long, short};

/// Marks both places.
const MAGIC: u32 = 0xea02_0000;

/// What stands before the entries of a block.
const BLOCK_HEADER: usize = 32;

/// What an entry takes without its name.
const ENTRY: usize = 16;

/// The fields that an inode always has; those behind them say themselves how long they are.
const SHORT_INODE: usize = 128;

/// The longest value, as `setxattr(2)` takes it.
pub(crate) const VALUE_LIMIT: u32 = 64 << 10;

/// Where the value of an attribute is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// These bytes.
    Here(Vec<u8>),
    /// The content of the inode with this number, which has so many bytes.
    Inode(u32, u32),
}

/// The attributes behind the fields of an inode.
pub(crate) fn of_inode(inode: &[u8]) -> Result<Vec<(Vec<u8>, Value)>, &'static str> {
    let entries = behind_fields(inode).unwrap_or_default();
    decode(entries, entries)
}

/// Whether there are any.
pub(crate) fn are_in_inode(inode: &[u8]) -> bool {
    behind_fields(inode).and_then(|entries| long(entries, 0)).is_some_and(|begin| begin != 0)
}

/// The place for them; none where it was never written.
fn behind_fields(inode: &[u8]) -> Option<&[u8]> {
    let begin = SHORT_INODE + usize::from(short(inode, SHORT_INODE)?);
    (long(inode, begin)? == MAGIC).then(|| &inode[begin + 4..])
}

/// The attributes of a block of them.
pub(crate) fn of_block(block: &[u8]) -> Result<Vec<(Vec<u8>, Value)>, &'static str> {
    if long(block, 0) != Some(MAGIC) {
        return Err("a block of extended attributes has not their mark");
    }
    decode(block.get(BLOCK_HEADER..).unwrap_or_default(), block)
}

/// Values stand at offsets of `values`, and never twice: all of them together are not longer.
fn decode(entries: &[u8], values: &[u8]) -> Result<Vec<(Vec<u8>, Value)>, &'static str> {
    const WRONG: &str = "extended attributes contradict themselves";
    let mut all = Vec::new();
    let (mut rest, mut left) = (entries, values.len());
    // Four zero bytes end them, or the end of the place does.
    while long(rest, 0).is_some_and(|begin| begin != 0) {
        let name_len = usize::from(rest[0]);
        let entry = rest.get(..(ENTRY + name_len).next_multiple_of(4)).ok_or(WRONG)?;
        let name = [prefix(entry[1]).ok_or("an extended attribute is of a kind that is not known")?, &entry[ENTRY..ENTRY + name_len]].concat();
        let field = |at: usize| long(entry, at).ok_or(WRONG);
        let (inode, len) = (field(4)?, field(8)?);
        let value = if inode != 0 {
            Value::Inode(inode, Some(len).filter(|len| *len <= VALUE_LIMIT).ok_or(WRONG)?)
        } else {
            let (at, len) = (usize::from(short(entry, 2).ok_or(WRONG)?), len as usize);
            left = left.checked_sub(len).ok_or(WRONG)?;
            let bytes = if len == 0 { &[] } else { at.checked_add(len).and_then(|end| values.get(at..end)).ok_or(WRONG)? };
            Value::Here(if is_acl(entry[1]) { acl(bytes).ok_or("a list of access rights contradicts itself")? } else { bytes.to_vec() })
        };
        all.push((name, value));
        rest = &rest[entry.len()..];
    }
    Ok(all)
}

/// What the number of a kind stands for.
fn prefix(index: u8) -> Option<&'static [u8]> {
    match index {
        0 => Some(b""),
        1 => Some(b"user."),
        2 => Some(b"system.posix_acl_access"),
        3 => Some(b"system.posix_acl_default"),
        4 => Some(b"trusted."),
        6 => Some(b"security."),
        7 => Some(b"system."),
        8 => Some(b"system.richacl"),
        _ => None,
    }
}

fn is_acl(index: u8) -> bool {
    matches!(index, 2 | 3)
}

/// A list of access rights: on the disk (version 1) only entries for named users and groups have a number, in the words of `getxattr(2)` (version 2,
/// `linux/posix_acl_xattr.h`) all have.
fn acl(bytes: &[u8]) -> Option<Vec<u8>> {
    const NAMED: [u16; 2] = [0x02, 0x08];
    (long(bytes, 0)? == 1).then_some(())?;
    let mut list = 2_u32.to_le_bytes().to_vec();
    let mut rest = &bytes[4..];
    while !rest.is_empty() {
        let tag = short(rest, 0)?;
        let (entry, following) = rest.split_at_checked(if NAMED.contains(&tag) { 8 } else { 4 })?;
        list.extend_from_slice(&entry[..4]);
        list.extend_from_slice(entry.get(4..8).filter(|number| !number.is_empty()).unwrap_or(&u32::MAX.to_le_bytes()));
        rest = following;
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry whose value is at this offset.
    fn entry(index: u8, name: &[u8], at: u16, inode: u32, len: u32) -> Vec<u8> {
        let mut entry = vec![name.len() as u8, index];
        entry.extend_from_slice(&at.to_le_bytes());
        entry.extend([inode, len, 0].iter().flat_map(|field| field.to_le_bytes()));
        entry.extend_from_slice(name);
        entry.resize(entry.len().next_multiple_of(4), 0);
        entry
    }

    fn block(entries: &[Vec<u8>], values: &[(usize, &[u8])]) -> Vec<u8> {
        let mut block = vec![0; 1024];
        block[..4].copy_from_slice(&MAGIC.to_le_bytes());
        let all = entries.concat();
        block[BLOCK_HEADER..BLOCK_HEADER + all.len()].copy_from_slice(&all);
        for (at, value) in values {
            block[*at..*at + value.len()].copy_from_slice(value);
        }
        block
    }

    fn here(name: &str, value: &[u8]) -> (Vec<u8>, Value) {
        (name.into(), Value::Here(value.to_vec()))
    }

    #[test]
    fn both_places_are_read() {
        let made = block(&[entry(1, b"note", 1000, 0, 4), entry(6, b"x", 0, 12, 5000), entry(1, b"empty", 0, 0, 0)], &[(1000, b"kept")]);
        let large = (b"security.x".to_vec(), Value::Inode(12, 5000));
        assert_eq!(of_block(&made).unwrap(), [here("user.note", b"kept"), large, here("user.empty", b"")]);

        let mut inode = vec![0; 256];
        assert_eq!(of_inode(&inode), Ok(Vec::new()));
        inode[128] = 32;
        inode[160..164].copy_from_slice(&MAGIC.to_le_bytes());
        // Values lie behind the mark, at offsets from the first entry.
        let only = entry(1, b"note", 80, 0, 4);
        inode[164..164 + only.len()].copy_from_slice(&only);
        inode[244..248].copy_from_slice(b"kept");
        assert_eq!(of_inode(&inode).unwrap(), [here("user.note", b"kept")]);
        assert_eq!(of_inode(&inode[..128]), Ok(Vec::new()));
    }

    #[test]
    fn lists_of_rights_are_in_the_words_of_the_kernel() {
        // user::rwx, user:7:r--, group::---, mask::r--, other::---
        let on_disk = [&[1, 0, 0, 0][..], &[1, 0, 7, 0], &[2, 0, 4, 0, 7, 0, 0, 0], &[4, 0, 0, 0], &[16, 0, 4, 0], &[32, 0, 0, 0]].concat();
        let made = block(&[entry(2, b"", 900, 0, on_disk.len() as u32)], &[(900, &on_disk)]);
        let [(name, Value::Here(list))] = &of_block(&made).unwrap()[..] else { panic!() };
        assert_eq!(name, b"system.posix_acl_access");
        assert_eq!(list.len(), 4 + 5 * 8);
        assert_eq!(list[..20], [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0]);
        assert!(of_block(&block(&[entry(2, b"", 900, 0, 6)], &[(900, &on_disk)])).is_err());
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert!(of_block(&[0; 1024]).is_err());
        assert!(of_block(&block(&[entry(9, b"x", 0, 0, 0)], &[])).is_err(), "a kind that is not known");
        assert!(of_block(&block(&[entry(1, b"x", 1000, 0, 25)], &[])).is_err(), "beyond the end");
        assert!(of_block(&block(&[entry(1, b"x", 0, 12, VALUE_LIMIT + 1)], &[])).is_err(), "a value that is too long");
        // A kilobyte that claims to be twenty.
        let claims: Vec<Vec<u8>> = (0..20).map(|number| entry(1, &[b'a' + number], 0, 0, 1024)).collect();
        assert!(of_block(&block(&claims, &[])).is_err(), "values that share their bytes");
        let mut cut = block(&[], &[]);
        cut[1020..].copy_from_slice(&[200, 1, 0, 0]);
        cut.drain(BLOCK_HEADER..1020);
        assert!(of_block(&cut).is_err(), "a name beyond the end");
    }
}
