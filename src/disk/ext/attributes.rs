//! Extended attributes as ext4 keeps them: in the inode where they fit there, else in a block (kernel, `fs/ext4/xattr.h`).

use super::inode::ATTRIBUTES_AT;
use super::{BLOCK, INODE};

const MAGIC: u32 = 0xea02_0000;

/// Bytes of the header of a block, and of an entry without its name.
const HEADER: usize = 32;
const ENTRY: usize = 16;

/// Bytes of entries and values in an inode and in a block; the zeros that end a list are not among them.
const IN_INODE: usize = INODE as usize - ATTRIBUTES_AT - 4 - 4;
const IN_BLOCK: usize = BLOCK as usize - HEADER - 4;

/// Attributes in the form of the file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Encoded {
    /// What stands in the inode from [`ATTRIBUTES_AT`] on, where something does.
    pub(super) in_inode: Option<Vec<u8>>,
    /// A block, but for its checksum.
    pub(super) block: Option<Vec<u8>>,
}

/// An attribute with its name in the form of the file system: a number for what is before the first dot, and the rest.
struct Attribute<'a> {
    index: u8,
    name: &'a [u8],
    value: Vec<u8>,
}

/// Attributes as the system calls have them (names in full, and values) in the form of the file system: as many in the inode as fit there.
///
/// # Errors
/// What cannot be kept, in words that follow the name of the file.
pub(super) fn encode(attributes: &[(Vec<u8>, Vec<u8>)]) -> Result<Encoded, String> {
    let mut all: Vec<Attribute<'_>> = attributes.iter().map(|(name, value)| attribute(name, value)).collect::<Result<_, _>>()?;
    all.sort_by_key(|attribute| (attribute.index, attribute.name.len(), attribute.name));
    let mut room = IN_INODE;
    let (inside, outside): (Vec<_>, Vec<_>) = all.into_iter().partition(|attribute| {
        let left = room.checked_sub(attribute.len());
        room = left.unwrap_or(room);
        left.is_some()
    });
    if outside.iter().map(Attribute::len).sum::<usize>() > IN_BLOCK {
        return Err("has more extended attributes than the 4 KiB that ext4 keeps of a file".to_owned());
    }
    Ok(Encoded { in_inode: (!inside.is_empty()).then(|| in_inode(&inside)), block: (!outside.is_empty()).then(|| in_block(&outside)) })
}

fn in_inode(attributes: &[Attribute<'_>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    // There are no hashes: what is in an inode is not shared.
    bytes.extend(fill(attributes, IN_INODE + 4, 0, |_, _| 0).0);
    bytes
}

fn in_block(attributes: &[Attribute<'_>]) -> Vec<u8> {
    let (content, hash) = fill(attributes, IN_BLOCK + 4, HEADER, hash);
    let mut block = Vec::with_capacity(BLOCK as usize);
    // Magic number, how many inodes have it, how many blocks it is, and the hash of all of it; the rest of the header is zero.
    for field in [MAGIC, 1, 1, hash] {
        block.extend_from_slice(&field.to_le_bytes());
    }
    block.resize(HEADER, 0);
    block.extend(content);
    block
}

impl Attribute<'_> {
    /// Bytes of its entry and its value.
    fn len(&self) -> usize {
        entry_len(self.name) + self.value.len().next_multiple_of(4)
    }
}

fn attribute<'a>(name: &'a [u8], value: &[u8]) -> Result<Attribute<'a>, String> {
    const PREFIXES: [(u8, &[u8]); 3] = [(1, b"user."), (4, b"trusted."), (6, b"security.")];
    const LISTS: [(u8, &[u8]); 2] = [(2, b"system.posix_acl_access"), (3, b"system.posix_acl_default")];
    if let Some((index, _)) = LISTS.into_iter().find(|(_, list)| *list == name) {
        let value = access_list(value).ok_or("has an access control list that cannot be read")?;
        return Ok(Attribute { index, name: b"", value });
    }
    let found = PREFIXES.into_iter().find_map(|(index, prefix)| Some((index, name.strip_prefix(prefix).filter(|rest| !rest.is_empty())?)));
    let (index, rest) = found.ok_or_else(|| format!("has the extended attribute “{}”, which ext4 cannot keep", String::from_utf8_lossy(name)))?;
    Ok(Attribute { index, name: rest, value: value.to_vec() })
}

/// Entries from the beginning, values from the end, `room` bytes in all; and the hash of all of it. Values are found by their distance from the first
/// entry, and of `before` more.
fn fill(attributes: &[Attribute<'_>], room: usize, before: usize, hash: impl Fn(&[u8], &[u8]) -> u32) -> (Vec<u8>, u32) {
    let mut bytes = vec![0; room];
    let (mut at, mut end, mut all) = (0, room, 0_u32);
    for Attribute { index, name, value } in attributes {
        let place = end - value.len().next_multiple_of(4);
        bytes[place..place + value.len()].copy_from_slice(value);
        // A value without bytes has no place.
        let offset = if value.is_empty() { 0 } else { place + before };
        let hash = hash(name, &bytes[place..end]);
        all = all.rotate_left(16) ^ hash;
        end = place;
        bytes[at] = name.len() as u8;
        bytes[at + 1] = *index;
        bytes[at + 2..at + 4].copy_from_slice(&(offset as u16).to_le_bytes());
        bytes[at + 8..at + 12].copy_from_slice(&(value.len() as u32).to_le_bytes());
        bytes[at + 12..at + 16].copy_from_slice(&hash.to_le_bytes());
        bytes[at + 16..at + 16 + name.len()].copy_from_slice(name);
        at += entry_len(name);
    }
    (bytes, all)
}

fn entry_len(name: &[u8]) -> usize {
    (ENTRY + name.len()).next_multiple_of(4)
}

/// The hash of an attribute: of its name, then of its value in words of 32 bits (kernel, `ext4_xattr_hash_entry`).
fn hash(name: &[u8], value: &[u8]) -> u32 {
    let of_name = name.iter().fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
    value.chunks_exact(4).fold(of_name, |hash, word| hash.rotate_left(16) ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

/// An access control list in the file system's form: version 1, whose entries have an identifier only where they need one (kernel, `fs/ext4/acl.h`).
/// The system calls' form is version 2, with entries of eight bytes (`linux/posix_acl_xattr.h`).
fn access_list(value: &[u8]) -> Option<Vec<u8>> {
    const OF_USER: u16 = 0x02;
    const OF_GROUP: u16 = 0x08;
    let (version, entries) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || !entries.len().is_multiple_of(8) {
        return None;
    }
    let mut list = 1_u32.to_le_bytes().to_vec();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        list.extend_from_slice(if [OF_USER, OF_GROUP].contains(&tag) { entry } else { &entry[..4] });
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        vec![(name.as_bytes().to_vec(), value.to_vec())]
    }

    #[test]
    fn what_is_short_is_in_the_inode() {
        let bytes = encode(&one("user.note", b"kept!")).unwrap().in_inode.unwrap();
        assert_eq!(bytes.len(), 96);
        assert_eq!(bytes[..12], [0, 0, 2, 0xea, 4, 1, 84, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[12..24], [5, 0, 0, 0, 0, 0, 0, 0, b'n', b'o', b't', b'e']);
        assert_eq!(&bytes[4 + 84..], b"kept!\0\0\0");
        assert!(encode(&one("user.a", &[1; 68])).unwrap().block.is_none());
        assert!(encode(&one("user.a", &[1; 69])).unwrap().in_inode.is_none());
        assert_eq!(encode(&[]), Ok(Encoded::default()));
        let both = encode(&[one("user.a", &[1; 69]), one("user.b", b"short")].concat()).unwrap();
        assert!(both.in_inode.is_some() && both.block.is_some());
    }

    #[test]
    fn a_block_is_the_limit() {
        let most = BLOCK as usize - HEADER - 4 - 20;
        let block = encode(&one("user.a", &vec![1; most])).unwrap().block.unwrap();
        assert_eq!(block.len(), BLOCK as usize);
        assert!(encode(&one("user.a", &vec![1; most + 1])).unwrap_err().contains("4 KiB"));
    }

    #[test]
    fn what_has_no_form_is_refused() {
        assert_eq!(encode(&one("btrfs.compression", b"zstd")).unwrap_err(), "has the extended attribute “btrfs.compression”, which ext4 cannot keep");
        assert!(encode(&one("user.", b"")).is_err());
        for wrong in [&[][..], &[1, 0, 0, 0], &[2, 0, 0, 0, 1]] {
            assert!(encode(&one("system.posix_acl_access", wrong)).unwrap_err().contains("access control list"));
        }
    }

    #[test]
    fn lists_have_identifiers_only_where_they_say_something() {
        // Owner, user 1, group, mask, others.
        let entries = [(1_u16, 6_u16, u32::MAX), (2, 6, 1), (4, 4, u32::MAX), (16, 6, u32::MAX), (32, 4, u32::MAX)];
        let mut value = vec![2, 0, 0, 0];
        for (tag, permissions, id) in entries {
            value.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
            value.extend(id.to_le_bytes());
        }
        let expected = [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 6, 0, 1, 0, 0, 0, 4, 0, 4, 0, 16, 0, 6, 0, 32, 0, 4, 0];
        assert_eq!(access_list(&value).unwrap(), expected);
    }
}
