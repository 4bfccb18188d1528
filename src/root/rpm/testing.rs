//! RPM packages for tests, also such as no honest packager would make.

use std::io::Write as _;

/// Types of values.
const INT16: u32 = 3;
const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;

/// One file: what the header says of it, and what the payload has.
#[derive(Clone)]
pub(crate) struct TestFile {
    pub(crate) path: String,
    /// With the kind of the file.
    pub(crate) mode: u32,
    pub(crate) content: Vec<u8>,
    pub(crate) target: String,
    pub(crate) ghost: bool,
    pub(crate) inode: u32,
    /// The name in the payload, where it is another.
    pub(crate) named: Option<String>,
    /// The digest that the header promises, where it is another.
    pub(crate) digest: Option<String>,
    /// The size that the header promises, where it is another.
    pub(crate) size: Option<u32>,
}

/// Builds an `.rpm`.
#[derive(Clone)]
pub(crate) struct RpmBuilder {
    name: String,
    version: String,
    release: String,
    licence: Option<String>,
    pub(crate) requires: Vec<String>,
    pub(crate) provides: Vec<String>,
    pub(crate) files: Vec<TestFile>,
    /// Puts all files into one folder of this name, with its slashes.
    pub(crate) one_folder: Option<String>,
    compression: &'static str,
    stripped: bool,
    /// Armored, over the header.
    signature: Option<String>,
    /// Of the digests of files, by its number in OpenPGP.
    algorithm: u32,
    promised: bool,
}

impl RpmBuilder {
    pub(crate) fn new(name: &str, version: &str, release: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            release: release.to_owned(),
            licence: None,
            requires: Vec::new(),
            provides: vec![name.to_owned()],
            files: Vec::new(),
            one_folder: None,
            compression: "gzip",
            stripped: false,
            signature: None,
            algorithm: 8,
            promised: false,
        }
    }

    /// `gzip`, `xz`, `zstd`, or nothing.
    pub(crate) fn compression(mut self, compression: &'static str) -> Self {
        self.compression = compression;
        self
    }

    /// With a payload that names its files by their places in the header.
    pub(crate) fn stripped(mut self) -> Self {
        self.stripped = true;
        self
    }

    /// With a signature over [`Self::header`], armored.
    pub(crate) fn signed(mut self, signature: String) -> Self {
        self.signature = Some(signature);
        self
    }

    /// With another number for the algorithm of its files' digests.
    pub(crate) fn algorithm(mut self, number: u32) -> Self {
        self.algorithm = number;
        self
    }

    /// With the digest of the payload in the header.
    pub(crate) fn promised(mut self) -> Self {
        self.promised = true;
        self
    }

    pub(crate) fn licence(mut self, licence: &str) -> Self {
        self.licence = Some(licence.to_owned());
        self
    }

    pub(crate) fn requires(mut self, name: &str) -> Self {
        self.requires.push(name.to_owned());
        self
    }

    pub(crate) fn provides(mut self, name: &str) -> Self {
        self.provides.push(name.to_owned());
        self
    }

    /// Any file; `mode` has its kind.
    pub(crate) fn entry(self, path: &str, mode: u32, content: &[u8], target: &str) -> Self {
        self.with(path, mode, |file| {
            file.content = content.to_owned();
            target.clone_into(&mut file.target);
        })
    }

    pub(crate) fn file(self, path: &str, content: &[u8], mode: u32) -> Self {
        self.entry(path, 0o100_000 | mode, content, "")
    }

    pub(crate) fn dir(self, path: &str, mode: u32) -> Self {
        self.entry(path, 0o040_000 | mode, b"", "")
    }

    /// A file that is changed before it is added.
    pub(crate) fn with(mut self, path: &str, mode: u32, change: impl FnOnce(&mut TestFile)) -> Self {
        let mut file = TestFile {
            path: path.to_owned(),
            mode,
            content: Vec::new(),
            target: String::new(),
            ghost: false,
            inode: self.files.len() as u32 + 1,
            named: None,
            digest: None,
            size: None,
        };
        change(&mut file);
        self.files.push(file);
        self
    }

    /// The whole package file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let payload = compressed(self.compression, &self.payload());
        let mut bytes = vec![0xed, 0xab, 0xee, 0xdb, 3, 0];
        bytes.resize(96, 0);
        // A signature header whose length is no multiple of eight.
        let mut values = vec![(1000, INT32, 1, vec![0, 0, 0, 1])];
        if let Some(armored) = &self.signature {
            // Between the empty line and the end or the checksum: base64.
            let lines = armored.lines().skip_while(|line| !line.is_empty()).take_while(|line| !line.starts_with(['-', '=']));
            values.push((278, STRING_ARRAY, 1, [lines.collect::<String>().as_bytes(), b"\0"].concat()));
        }
        let signature = header(&values);
        bytes.extend(&signature);
        bytes.resize(bytes.len() + signature.len().wrapping_neg() % 8, 0);
        bytes.extend(self.header());
        bytes.extend(payload);
        bytes
    }

    pub(crate) fn header(&self) -> Vec<u8> {
        let text = |tag, text: &str| (tag, STRING, 1, [text.as_bytes(), b"\0"].concat());
        let texts = |tag, texts: Vec<String>| {
            (tag, STRING_ARRAY, texts.len() as u32, texts.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect())
        };
        let numbers = |tag, numbers: Vec<u32>| (tag, INT32, numbers.len() as u32, numbers.iter().flat_map(|number| number.to_be_bytes()).collect());
        let shorts =
            |tag, numbers: Vec<u32>| (tag, INT16, numbers.len() as u32, numbers.iter().flat_map(|number| (*number as u16).to_be_bytes()).collect());
        let files = || self.files.iter();
        let split = |file: &TestFile| {
            file.path.rsplit_once('/').map_or((String::new(), file.path.clone()), |(folder, name)| (format!("{folder}/"), name.to_owned()))
        };
        let mut values: Vec<(u32, u32, u32, Vec<u8>)> = vec![
            text(1000, &self.name),
            text(1001, &self.version),
            text(1002, &self.release),
            text(1022, "noarch"),
            texts(1047, self.provides.clone()),
            texts(1049, self.requires.clone()),
            text(1124, "cpio"),
            numbers(
                1028,
                files().map(|file| file.size.unwrap_or(if file.target.is_empty() { file.content.len() } else { file.target.len() } as u32)).collect(),
            ),
            shorts(1030, files().map(|file| file.mode).collect()),
            texts(
                1035,
                files()
                    .map(|file| {
                        file.digest.clone().unwrap_or_else(|| if file.mode & 0o170_000 == 0o100_000 { sha256(&file.content) } else { String::new() })
                    })
                    .collect(),
            ),
            texts(1036, files().map(|file| file.target.clone()).collect()),
            numbers(1037, files().map(|file| if file.ghost { 1 << 6 } else { 0 }).collect()),
            numbers(1095, files().map(|_| 1).collect()),
            numbers(1096, files().map(|file| file.inode).collect()),
            numbers(1116, (0..self.files.len() as u32).map(|number| if self.one_folder.is_some() { 0 } else { number }).collect()),
            texts(1117, files().map(|file| split(file).1).collect()),
            texts(1118, self.one_folder.clone().map_or_else(|| files().map(|file| split(file).0).collect(), |folder| vec![folder])),
            numbers(5011, vec![self.algorithm]),
        ];
        values.extend(self.licence.iter().map(|licence| text(1014, licence)));
        if !self.compression.is_empty() {
            values.push(text(1125, self.compression));
        }
        if self.promised {
            let digest = sha256(&compressed(self.compression, &self.payload()));
            values.push(texts(5092, vec![digest]));
        }
        header(&values)
    }

    fn payload(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, file) in self.files.iter().enumerate().filter(|(_, file)| !file.ghost) {
            let is_last = !self.files[number + 1..].iter().any(|other| other.inode == file.inode && !other.ghost);
            let content: &[u8] = if !file.target.is_empty() {
                file.target.as_bytes()
            } else if is_last {
                &file.content
            } else {
                b""
            };
            if self.stripped {
                bytes.extend(format!("07070X{number:08x}").as_bytes());
                align(&mut bytes);
            } else {
                entry(&mut bytes, file.named.as_deref().unwrap_or(&format!(".{}", file.path)), file.mode, content.len());
            }
            bytes.extend(content);
            align(&mut bytes);
        }
        entry(&mut bytes, "TRAILER!!!", 0, 0);
        align(&mut bytes);
        bytes
    }
}

fn entry(bytes: &mut Vec<u8>, name: &str, mode: u32, size: usize) {
    let fields = [0, mode as usize, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() + 1, 0];
    bytes.extend(b"070701");
    bytes.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
    bytes.extend(name.as_bytes());
    bytes.push(0);
    align(bytes);
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn header(values: &[(u32, u32, u32, Vec<u8>)]) -> Vec<u8> {
    let (mut index, mut data): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    for (tag, kind, count, value) in values {
        index.extend([*tag, *kind, data.len() as u32, *count].iter().flat_map(|number| number.to_be_bytes()));
        data.extend(value);
    }
    let mut bytes = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    bytes.extend((values.len() as u32).to_be_bytes());
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(index);
    bytes.extend(data);
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    crate::digest::Sha256::of(bytes).to_string()
}

fn compressed(compression: &str, bytes: &[u8]) -> Vec<u8> {
    match compression {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        "zstd" => zstd::encode_all(bytes, 1).expect("memory"),
        _ => bytes.to_owned(),
    }
}
