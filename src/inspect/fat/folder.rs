//! The entries of a folder: names of 8 and 3 letters, and the long ones before them.

use crate::format::number::{long, short};

/// The length of an entry in bytes.
const ENTRY: usize = 32;

/// Letters of a long name that an entry has, and where.
const LETTERS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// The entries that a long name has at most.
const PARTS: usize = 20;

const VOLUME_LABEL: u8 = 0x08;
const FOLDER: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;

/// What an entry says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) is_folder: bool,
    pub(super) first: u32,
    pub(super) size: u64,
    /// Seconds since the epoch, in the time zone of whoever wrote it.
    pub(super) modified: i64,
}

/// The files and folders of a folder, in its order. A long name that does not belong to the entry after it is left out.
pub(super) fn entries(bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut long_name = LongName::default();
    for entry in bytes.chunks_exact(ENTRY) {
        let attributes = entry[11];
        match entry[0] {
            0 => break,
            0xe5 => long_name = LongName::default(),
            _ if attributes & 0x3f == LONG_NAME => long_name.push(entry),
            _ if attributes & VOLUME_LABEL != 0 => long_name = LongName::default(),
            _ => {
                let name = std::mem::take(&mut long_name).finish(&entry[..11]).unwrap_or_else(|| short_name(entry));
                if name != "." && name != ".." {
                    found.push(of(entry, name));
                }
            }
        }
    }
    found
}

fn of(entry: &[u8], name: String) -> Found {
    let number = |at| short(entry, at).unwrap_or_default();
    let is_folder = entry[11] & FOLDER != 0;
    Found {
        name,
        is_folder,
        first: u32::from(number(20)) << 16 | u32::from(number(26)),
        size: if is_folder { 0 } else { long(entry, 28).unwrap_or_default().into() },
        modified: moment(number(24), number(22)),
    }
}

/// A date and a time; 1970 where they are none.
fn moment(date: u16, clock: u16) -> i64 {
    let few = |bits: u16| (bits & 63) as i8;
    let (year, month, day) = (1980 + (date >> 9).cast_signed(), few(date >> 5 & 15), few(date & 31));
    let (hour, minute, second) = (few(clock >> 11), few(clock >> 5), few(clock & 31) * 2);
    let time = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0);
    time.and_then(|time| jiff::tz::Offset::UTC.to_timestamp(time)).map_or(0, jiff::Timestamp::as_second)
}

/// A name of 8 and 3 letters; two bits say which part Linux and Windows show in small letters.
fn short_name(entry: &[u8]) -> String {
    let part = |bytes: &[u8], small: bool| {
        let text: String = bytes.trim_ascii_end().iter().map(|byte| letter(*byte)).collect();
        if small { text.to_ascii_lowercase() } else { text }
    };
    let mut base = entry[..8].to_vec();
    // Where a name begins with the mark of removed entries.
    if base[0] == 0x05 {
        base[0] = 0xe5;
    }
    let (base, extension) = (part(&base, entry[12] & 0x08 != 0), part(&entry[8..11], entry[12] & 0x10 != 0));
    let name = if extension.is_empty() { base } else { format!("{base}.{extension}") };
    name.replace(['/', '\0'], "\u{fffd}")
}

/// The letters above ASCII of the code page 437, which Linux takes where nobody names another.
const ABOVE_ASCII: &str =
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

fn letter(byte: u8) -> char {
    let above = byte.checked_sub(128).and_then(|place| ABOVE_ASCII.chars().nth(place.into()));
    above.unwrap_or(char::from(byte))
}

/// A long name, whose entries come last part first.
#[derive(Debug, Default)]
struct LongName {
    parts: Vec<[u16; 13]>,
    /// The number of the part that must come next; 0 for none.
    next: u8,
    checksum: u8,
}

impl LongName {
    fn push(&mut self, entry: &[u8]) {
        let (order, last) = (entry[0] & 0x3f, entry[0] & 0x40 != 0);
        let fits = if last { (1..=PARTS).contains(&order.into()) } else { order == self.next && order > 0 && entry[13] == self.checksum };
        if !fits {
            *self = Self::default();
            return;
        }
        if last {
            *self = Self { parts: Vec::new(), next: order, checksum: entry[13] };
        }
        self.parts.push(LETTERS.map(|at| short(entry, at).unwrap_or_default()));
        self.next = order - 1;
    }

    /// The name, if it is whole and that of the entry with this short name.
    fn finish(self, short_name: &[u8]) -> Option<String> {
        let checksum = short_name.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.parts.is_empty() || self.next != 0 || checksum != self.checksum {
            return None;
        }
        let letters: Vec<u16> = self.parts.into_iter().rev().flatten().take_while(|letter| *letter != 0).collect();
        let name = String::from_utf16_lossy(&letters).replace('/', "\u{fffd}");
        (!name.is_empty()).then_some(name)
    }
}
