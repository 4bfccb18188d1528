//! Names on FAT: the short name that every file has, and the entries that carry a long one.

use std::collections::BTreeSet;

/// Units of UTF-16 in one entry of a long name.
const UNITS: usize = 13;

/// A name in a folder as it is written: the short name, and the long one where the short one does not say it all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenName {
    /// Eight and three letters, padded with blanks.
    pub(super) short: [u8; 11],
    /// The long name in UTF-16; empty if the short name is the name.
    pub(super) long: Vec<u16>,
}

/// Why a name cannot stand on FAT; none if it can.
pub(super) fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "." || name == ".." {
        return Some("a part of the path is empty, “.” or “..”");
    }
    if name.chars().any(|letter| letter.is_control() || "\"*/:<>?\\|".contains(letter)) {
        return Some("a name on FAT has no control characters and none of \" * / : < > ? \\ |");
    }
    if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        return Some("a name on FAT does not begin or end with a blank, nor end with a dot");
    }
    (name.encode_utf16().count() > 255).then_some("a name on FAT has at most 255 letters")
}

/// The form in which two names are the same to FAT.
pub(super) fn folded(name: &str) -> String {
    name.to_uppercase()
}

/// A volume label as it is written. Checked by [`super::is_label`].
pub(super) fn label(text: &str) -> [u8; 11] {
    let mut label = [b' '; 11];
    for (place, byte) in label.iter_mut().zip(text.bytes()) {
        *place = byte.to_ascii_uppercase();
    }
    label
}

/// The written names of a folder's names, in their order. The names are sorted, valid, and differ when folded; the same names give the same answer.
pub(super) fn written(names: &[&str]) -> Vec<WrittenName> {
    // Names that are short as they are come first: no generated name may take theirs.
    let mut taken: BTreeSet<[u8; 11]> = names.iter().filter_map(|name| exact(name)).collect();
    let all = names.iter().map(|name| match exact(name) {
        Some(short) => WrittenName { short, long: Vec::new() },
        None => WrittenName { short: generate(name, &mut taken), long: name.encode_utf16().collect() },
    });
    all.collect()
}

/// The short name that is this very name.
fn exact(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&base.len()) && extension.len() <= 3 && (extension.is_empty() != name.contains('.'));
    let letters = base.bytes().chain(extension.bytes()).all(|byte| is_short_letter(byte) && !byte.is_ascii_lowercase());
    (fits && letters).then(|| padded(base, extension))
}

/// Whether a byte may stand in a short name, were it in capitals.
fn is_short_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'()-@^_`{}~".contains(&byte)
}

fn padded(base: &str, extension: &str) -> [u8; 11] {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base.as_bytes());
    short[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    short
}

/// A short name for a long one that nobody has yet: in capitals, what does not fit dropped, `~1`, `~2` … at its end where that changed it or it is
/// taken.
fn generate(name: &str, taken: &mut BTreeSet<[u8; 11]>) -> [u8; 11] {
    let (base, extension) = match name.rsplit_once('.') {
        Some((base, extension)) if !base.is_empty() => (base, extension),
        _ => (name, ""),
    };
    let legal = |text: &str| -> String {
        let letters = text.chars().filter(|letter| !matches!(letter, '.' | ' '));
        letters
            .map(|letter| u8::try_from(letter).ok().filter(|byte| is_short_letter(*byte)).map_or('_', |byte| byte.to_ascii_uppercase().into()))
            .collect()
    };
    let (short_base, short_extension) = (legal(base), legal(extension));
    let whole = short_base.len() <= 8 && short_extension.len() <= 3 && name.eq_ignore_ascii_case(&joined(&short_base, &short_extension));
    let extension = &short_extension[..short_extension.len().min(3)];
    if whole && !short_base.is_empty() {
        let short = padded(&short_base, extension);
        if taken.insert(short) {
            return short;
        }
    }
    let mut number = 1_u32;
    loop {
        let tail = format!("~{number}");
        let kept = short_base.len().min(8 - tail.len());
        let short = padded(&format!("{}{tail}", &short_base[..kept]), extension);
        if taken.insert(short) {
            return short;
        }
        // A folder has at most 65,536 entries: a free number has at most five digits.
        number += 1;
    }
}

fn joined(base: &str, extension: &str) -> String {
    if extension.is_empty() { base.to_owned() } else { format!("{base}.{extension}") }
}

impl WrittenName {
    /// How many entries the name takes, the short one included.
    pub(super) fn entries(&self) -> u64 {
        self.long.len().div_ceil(UNITS) as u64 + 1
    }

    /// The entries that carry the long name, last part first as they stand in the folder.
    pub(super) fn long_entries(&self) -> Vec<u8> {
        let parts: Vec<&[u16]> = self.long.chunks(UNITS).collect();
        let checksum = self.short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let mut bytes = Vec::with_capacity(parts.len() * 32);
        for (at, part) in parts.iter().enumerate().rev() {
            let mut units = [0xffff; UNITS];
            units[..part.len()].copy_from_slice(part);
            if part.len() < UNITS {
                units[part.len()] = 0;
            }
            let mut entry = [0; 32];
            let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain([28, 30]);
            for (place, unit) in places.zip(units) {
                entry[place..place + 2].copy_from_slice(&unit.to_le_bytes());
            }
            let last = if at + 1 == parts.len() { 0x40 } else { 0 };
            // At most 255 units: 20 parts.
            entry[0] = (at + 1) as u8 | last;
            entry[11] = 0x0f;
            entry[13] = checksum;
            bytes.extend_from_slice(&entry);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shorts(names: &[&str]) -> Vec<String> {
        written(names).iter().map(|name| format!("{}{}", String::from_utf8_lossy(&name.short), if name.long.is_empty() { "" } else { "+" })).collect()
    }

    #[test]
    fn short_names_are_themselves_and_others_get_one() {
        assert_eq!(shorts(&["BOOTX64.EFI", "EFI", "entries", "loader.conf"]), ["BOOTX64 EFI", "EFI        ", "ENTRIES    +", "LOADER~1CON+"]);
        assert_eq!(shorts(&["initrd.img-6.1.0-50-cloud-amd64"]), ["INITRD~10-5+"]);
        assert_eq!(shorts(&[".hidden", "a b", "é", "x."]), ["HIDDEN~1   +", "AB~1       +", "_~1        +", "X~1        +"]);
    }

    #[test]
    fn no_two_names_share_a_short_one() {
        assert_eq!(shorts(&["LONGNA~1.TXT", "longname 1.txt", "longname 2.txt"]), ["LONGNA~1TXT", "LONGNA~2TXT+", "LONGNA~3TXT+"]);
        let many: Vec<String> = (0..2000).map(|number| format!("a long name {number:05}.conf")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let unique: BTreeSet<_> = written(&many).into_iter().map(|name| name.short).collect();
        assert_eq!(unique.len(), 2000);
    }

    #[test]
    fn refuses_what_fat_cannot_hold() {
        for name in ["", ".", "..", "a/b", "a:b", "a\n", "a.", "a ", &"x".repeat(256)] {
            assert!(problem(name).is_some(), "{name:?}");
        }
        assert!(problem(&"x".repeat(255)).is_none());
    }
}
