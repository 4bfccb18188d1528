//! Tar archives. What a header has no room for (long names, times before 1970, extended attributes as `SCHILY.xattr.NAME`) is in extended headers before it.

use std::io::{self, Write};

use tar::{EntryType, Header};

use super::{Entry, Failure, Kind, Problem, pad};

/// Archives are whole numbers of such blocks.
pub(super) const BLOCK: u64 = 512;

/// The longest name that a header holds.
const NAME_LEN: usize = 100;

pub(super) fn header(out: &mut impl Write, entry: &Entry<'_>) -> Result<(), Failure> {
    let node = entry.node;
    let mut header = Header::new_ustar();
    let mut extended = Extended::default();
    set_name(&mut header.as_old_mut().name, b"path", &entry_name(entry.name, entry.is_folder()), &mut extended);
    let target = match (entry.first, &node.kind) {
        (Some(first), _) => Some((EntryType::Link, entry_name(first, false))),
        (None, Kind::Link(target)) => Some((EntryType::Symlink, target.clone())),
        _ => None,
    };
    let kind = match (&target, &node.kind) {
        (Some((kind, _)), _) => *kind,
        (None, Kind::Folder) => EntryType::Directory,
        (None, Kind::File | Kind::Link(_)) => EntryType::Regular,
        (None, Kind::Character(major, minor)) => device(&mut header, EntryType::Char, *major, *minor)?,
        (None, Kind::Block(major, minor)) => device(&mut header, EntryType::Block, *major, *minor)?,
        (None, Kind::Fifo) => EntryType::Fifo,
        (None, Kind::Socket | Kind::Unknown) => return Err(Problem::Wrong("it is of none of the kinds that there are").into()),
    };
    if let Some((_, target)) = &target {
        set_name(&mut header.as_old_mut().linkname, b"linkpath", target, &mut extended);
    }
    header.set_entry_type(kind);
    header.set_mode(entry.mode());
    header.set_uid(node.owner.0.into());
    header.set_gid(node.owner.1.into());
    header.set_mtime(u64::try_from(node.modified).unwrap_or(0));
    if node.modified < 0 {
        extended.set(b"mtime", node.modified.to_string().as_bytes());
    }
    header.set_size(entry.content_len());
    for (name, value) in &entry.attributes {
        extended.set(&attribute_keyword(name), value);
    }
    extended.write(out)?;
    header.set_cksum();
    Ok(out.write_all(header.as_bytes())?)
}

/// Two blocks of zeros are the end.
pub(super) fn end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK as usize])
}

/// `./etc/passwd`; folders end with a slash.
fn entry_name(path: &[u8], is_folder: bool) -> Vec<u8> {
    let slash: &[u8] = if is_folder && path != b"/" { b"/" } else { b"" };
    [b".", path, slash].concat()
}

/// Puts a name where it belongs, or what fits of it and all of it into an extended header.
fn set_name(field: &mut [u8; NAME_LEN], keyword: &[u8], name: &[u8], extended: &mut Extended) {
    let len = name.len().min(NAME_LEN);
    field[..len].copy_from_slice(&name[..len]);
    if name.len() > NAME_LEN {
        extended.set(keyword, name);
    }
}

/// What would end a keyword is spelled as GNU tar spells it.
fn attribute_keyword(name: &[u8]) -> Vec<u8> {
    let spelled = name.iter().flat_map(|byte| match byte {
        b'=' => b"%3D".to_vec(),
        b'%' => b"%25".to_vec(),
        other => vec![*other],
    });
    b"SCHILY.xattr.".iter().copied().chain(spelled).collect()
}

fn device(header: &mut Header, kind: EntryType, major: u32, minor: u32) -> io::Result<EntryType> {
    header.set_device_major(major)?;
    header.set_device_minor(minor)?;
    Ok(kind)
}

/// What does not fit into a header: records of a length, a keyword and a value.
#[derive(Default)]
struct Extended(Vec<u8>);

impl Extended {
    fn set(&mut self, keyword: &[u8], value: &[u8]) {
        // The length counts its own digits.
        let rest = 1 + keyword.len() + 1 + value.len() + 1;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len = rest + len.to_string().len();
        }
        self.0.extend([len.to_string().as_bytes(), b" ", keyword, b"=", value, b"\n"].concat());
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut header = Header::new_ustar();
        let name = b"./PaxHeaders/entry";
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(self.0.len() as u64);
        header.set_cksum();
        out.write_all(header.as_bytes())?;
        out.write_all(&self.0)?;
        pad(out, self.0.len() as u64, BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for len in [0, 80, 84, 85, 86, 87, 980, 985, 990] {
            let mut extended = Extended::default();
            extended.set(b"path", &vec![b'a'; len]);
            let text = String::from_utf8(extended.0).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse(), Ok(text.len()));
        }
    }

    #[test]
    fn what_would_end_a_keyword_is_spelled() {
        assert_eq!(attribute_keyword(b"user.a=%"), b"SCHILY.xattr.user.a%3D%25");
    }
}
