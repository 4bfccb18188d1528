//! Annotated hex dumps, in the words of `store-format.md`.

use std::fmt::Write as _;

use super::by_hand::{u32_at, u64_at};

/// Bytes on one line.
const LINE: usize = 16;

/// Walks over bytes and says what they are.
pub(crate) struct Dump<'a> {
    bytes: &'a [u8],
    at: usize,
    text: String,
}

impl<'a> Dump<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, text: String::new() }
    }

    /// What was said of all bytes.
    fn end(self) -> String {
        assert_eq!(self.at, self.bytes.len(), "something is left unsaid");
        self.text
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next bytes, and what they are.
    fn field(&mut self, len: usize, what: &str) {
        let bytes = &self.rest()[..len];
        for (number, line) in bytes.chunks(LINE).enumerate() {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            let line = format!("{:<47}  {}", hex.join(" "), if number == 0 { what } else { "" });
            writeln!(self.text, "{}", line.trim_end()).unwrap();
        }
        self.at += len;
    }

    fn u32(&mut self, what: &str) -> u32 {
        let number = u32_at(self.rest(), 0);
        self.field(4, &format!("{what}: {number}"));
        number
    }

    fn u64(&mut self, what: &str) -> u64 {
        let number = u64_at(self.rest(), 0);
        self.field(8, &format!("{what}: {number}"));
        number
    }

    fn magic(&mut self) {
        let name = String::from_utf8_lossy(&self.rest()[..6]).into_owned();
        self.field(8, &format!("“{name}”, 0, version {}", self.rest()[7]));
    }

    /// The head of a skippable frame.
    fn skippable(&mut self) -> usize {
        self.field(4, "skippable frame");
        self.u32("length of its content") as usize
    }

    /// All that is left, or `len` bytes of it, as a frame of zstd.
    fn zstd(&mut self, len: usize) {
        let raw = zstd::decode_all(&self.rest()[..len]).unwrap();
        let shown = if raw.len() < 20 { format!("{:?}", String::from_utf8_lossy(&raw)) } else { format!("{} bytes", raw.len()) };
        self.field(len, &format!("zstd frame: {shown}"));
    }

    /// A document; `names` are the keys that lead to it.
    fn cbor(&mut self, names: &str) {
        let before = self.at;
        self.value(before, names);
    }

    /// The value that begins here, after what stands between `from` and here.
    fn value(&mut self, from: usize, name: &str) {
        let first = self.rest()[0];
        let (len, argument) = match first & 31 {
            info @ 0..=23 => (1, u64::from(info)),
            24 => (2, self.rest()[1].into()),
            25 => (3, u16::from_be_bytes([self.rest()[1], self.rest()[2]]).into()),
            26 => (5, u32::from_be_bytes(self.rest()[1..5].try_into().unwrap()).into()),
            _ => panic!("no document of the page has this"),
        };
        let content = self.rest()[len..].to_vec();
        let (len, what) = match first >> 5 {
            0 => (len, format!("{argument}")),
            2 => (len, format!("{argument} bytes")),
            3 => (len + argument as usize, format!("“{}”", String::from_utf8_lossy(&content[..argument as usize]))),
            4 => (len, format!("array of {argument}")),
            5 => (len, format!("map of {argument}")),
            _ => (len, "null".to_owned()),
        };
        let total = self.at + len - from;
        self.at = from;
        self.field(total, &format!("{name}: {what}"));
        match first >> 5 {
            2 if name == "extents" => (0..argument / 48).for_each(|_| self.extent()),
            2 => self.field(argument as usize, ""),
            4 => (0..argument).for_each(|_| self.cbor("item")),
            5 => (0..argument).for_each(|_| self.pair()),
            _ => {}
        }
    }

    /// A key of a map, and its value.
    fn pair(&mut self) {
        let (from, len) = (self.at, usize::from(self.rest()[0] & 31));
        let key = String::from_utf8(self.rest()[1..=len].to_vec()).unwrap();
        self.at += 1 + len;
        self.value(from, &key);
    }

    fn extent(&mut self) {
        let kind = if u32_at(self.rest(), 0) == 0 { "hole" } else { "part of a chunk" };
        self.field(4, &format!("extent: {kind}"));
        self.u32("begins in the chunk at");
        self.u64("length");
        self.field(32, "digest of the chunk");
    }

    pub(crate) fn blob_alone(mut self) -> String {
        self.blob(self.bytes.len());
        self.end()
    }

    /// The file of a blob.
    fn blob(&mut self, len: usize) {
        let end = self.at + len;
        self.skippable();
        self.magic();
        self.field(32, "digest of the header");
        self.cbor("header");
        self.zstd(end - self.at);
    }

    pub(crate) fn pack(mut self) -> String {
        self.skippable();
        self.magic();
        let trailer = &self.bytes[self.bytes.len() - 48..];
        let count = u32_at(trailer, 32) as usize;
        let table = &self.bytes[self.bytes.len() - 48 - count * 48..];
        (0..count).for_each(|number| self.zstd(u32_at(table, number * 48 + 40) as usize));
        self.skippable();
        for _ in 0..count {
            self.field(32, "digest of the chunk");
            self.u64("begins at");
            self.u32("length of the frame");
            self.u32("length of the chunk");
        }
        self.field(32, "digest of the table");
        self.u32("number of entries");
        self.u32("always");
        self.magic();
        self.end()
    }

    pub(crate) fn manifest(mut self) -> String {
        self.cbor("manifest");
        self.end()
    }

    /// A bundle without frames.
    pub(crate) fn bundle(mut self) -> String {
        self.skippable();
        self.magic();
        self.field(32, "digest of what follows in this frame");
        self.u64("length of the file");
        let blobs = self.u32("number of blobs");
        assert_eq!(self.u32("number of frames"), 0);
        self.u32("length of the document");
        self.u32("always");
        self.cbor("document");
        for _ in 0..blobs {
            self.field(32, "digest of the blob");
            self.u64("length of its file");
            self.u64("length of the raw bytes");
        }
        for _ in 0..blobs {
            let len = self.skippable();
            self.blob(len);
        }
        self.skippable();
        self.magic();
        self.field(32, "digest of all bytes before this frame");
        self.end()
    }
}
