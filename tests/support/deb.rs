//! Real .deb files: an `ar` archive of `debian-binary`, `control.tar` and `data.tar` (`deb(5)`), with any entries, hostile ones as well.

use std::fmt::Write as _;

use tar::{EntryType, Header};

use super::Compression;

/// When all files of test packages were changed last: 2020-01-01T00:00:00Z.
pub(crate) const MTIME: u64 = 1_577_836_800;

/// A package to be built.
#[derive(Debug, Clone)]
pub(crate) struct Deb {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) arch: String,
    fields: Vec<(String, String)>,
    control: Vec<Entry>,
    data: Vec<Entry>,
    compression: Compression,
}

/// An entry of a tar archive. The names go into the archive as they are: `../x`, absolute, whatever the test wants.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// As the archive has it; packages have `./usr/bin/x`, with a slash at the end for directories.
    pub(crate) path: String,
    pub(crate) kind: EntryType,
    /// The target of a symbolic or hard link, as the archive has it.
    pub(crate) link: String,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) device: (u32, u32),
    pub(crate) contents: Vec<u8>,
    /// Extended attributes, kept as PAX headers (`SCHILY.xattr.…`).
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// An entry of this kind, owned by root.
    pub(crate) fn new(path: &str, kind: EntryType, mode: u32) -> Self {
        Self { path: path.to_owned(), kind, link: String::new(), mode, owner: (0, 0), device: (0, 0), contents: Vec::new(), xattrs: Vec::new() }
    }

    /// A regular file.
    pub(crate) fn file(path: &str, contents: impl AsRef<[u8]>, mode: u32) -> Self {
        Self { contents: contents.as_ref().to_vec(), ..Self::new(path, EntryType::Regular, mode) }
    }

    /// A directory.
    pub(crate) fn directory(path: &str, mode: u32) -> Self {
        Self::new(path, EntryType::Directory, mode)
    }

    /// A symbolic link.
    pub(crate) fn symlink(path: &str, target: &str) -> Self {
        Self { link: target.to_owned(), ..Self::new(path, EntryType::Symlink, 0o777) }
    }

    /// A hard link to another entry.
    pub(crate) fn hardlink(path: &str, target: &str) -> Self {
        Self { link: target.to_owned(), ..Self::new(path, EntryType::Link, 0o644) }
    }
}

impl Deb {
    /// A package of `amd64` without files.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            arch: "amd64".to_owned(),
            fields: Vec::new(),
            control: Vec::new(),
            data: Vec::new(),
            compression: Compression::Xz,
        }
    }

    /// Of another architecture, or of `all`.
    pub(crate) fn arch(mut self, arch: &str) -> Self {
        arch.clone_into(&mut self.arch);
        self
    }

    /// With a field of the control file (`Depends`).
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a file at an absolute path, and the directories above it that no entry has brought yet.
    pub(crate) fn file(mut self, path: &str, contents: impl AsRef<[u8]>, mode: u32) -> Self {
        for (end, _) in path.match_indices('/').skip(1) {
            let directory = format!(".{}/", &path[..end]);
            if !self.data.iter().any(|entry| entry.path == directory) {
                self.data.push(Entry::directory(&directory, 0o755));
            }
        }
        self.data.push(Entry::file(&format!(".{path}"), contents, mode));
        self
    }

    /// With an entry as it is.
    pub(crate) fn entry(mut self, entry: Entry) -> Self {
        self.data.push(entry);
        self
    }

    /// With a maintainer script (`postinst`) or another member of `control.tar`.
    pub(crate) fn script(mut self, name: &str, text: &str) -> Self {
        self.control.push(Entry::file(&format!("./{name}"), text, 0o755));
        self
    }

    /// With a configuration file.
    pub(crate) fn conffile(self, path: &str, contents: &str) -> Self {
        let mut deb = self.file(path, contents, 0o644);
        let line = format!("{path}\n");
        match deb.control.iter_mut().find(|entry| entry.path == "./conffiles") {
            Some(entry) => entry.contents.extend_from_slice(line.as_bytes()),
            None => deb.control.push(Entry::file("./conffiles", line, 0o644)),
        }
        deb
    }

    /// Compressed in this way.
    pub(crate) fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The fields of the control file.
    pub(crate) fn control(&self) -> String {
        let mut text = format!("Package: {}\nVersion: {}\nArchitecture: {}\n", self.name, self.version, self.arch);
        for (name, value) in [("Maintainer", "Test <test@example.org>"), ("Description", "a package for tests")] {
            if !self.fields.iter().any(|(field, _)| field == name) {
                writeln!(text, "{name}: {value}").unwrap();
            }
        }
        for (name, value) in &self.fields {
            writeln!(text, "{name}: {value}").unwrap();
        }
        text
    }

    /// Where an archive would put it.
    pub(crate) fn pool_path(&self) -> String {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, version)| version);
        format!("pool/main/{}/{}/{}_{version}_{}.deb", &self.name[..1], self.name, self.name, self.arch)
    }

    /// The package file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let control = [vec![Entry::directory("./", 0o755), Entry::file("./control", self.control(), 0o644)], self.control.clone()].concat();
        let data = [vec![Entry::directory("./", 0o755)], self.data.clone()].concat();
        let member =
            |name: &str, entries: &[Entry]| (format!("{name}.tar{}", self.compression.suffix()), self.compression.compress(&tar_of(entries)));
        ar_of(&[("debian-binary".to_owned(), b"2.0\n".to_vec()), member("control", &control), member("data", &data)])
    }
}

/// An `ar` archive of these members.
pub(crate) fn ar_of(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        archive.extend_from_slice(format!("{name:<16}{MTIME:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, "100644", bytes.len()).as_bytes());
        archive.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

/// A tar archive of these entries, unchecked.
pub(crate) fn tar_of(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        if !entry.xattrs.is_empty() {
            let names: Vec<String> = entry.xattrs.iter().map(|(name, _)| format!("SCHILY.xattr.{name}")).collect();
            let values = names.iter().map(String::as_str).zip(entry.xattrs.iter().map(|(_, value)| value.as_slice()));
            builder.append_pax_extensions(values).unwrap();
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(entry.owner.0);
        header.set_gid(entry.owner.1);
        header.set_mtime(MTIME);
        header.set_device_major(entry.device.0).unwrap();
        header.set_device_minor(entry.device.1).unwrap();
        header.set_size(entry.contents.len() as u64);
        // Names that are too long for the header come before it, as GNU tar writes them.
        for (kind, name) in [(EntryType::GNULongName, &entry.path), (EntryType::GNULongLink, &entry.link)] {
            if name.len() > 100 {
                let mut long = Header::new_gnu();
                long.set_entry_type(kind);
                long.set_size(name.len() as u64 + 1);
                set(&mut long.as_gnu_mut().unwrap().name, "././@LongLink");
                long.set_cksum();
                builder.append(&long, format!("{name}\0").as_bytes()).unwrap();
            }
        }
        let fields = header.as_gnu_mut().unwrap();
        set(&mut fields.name, &entry.path);
        set(&mut fields.linkname, &entry.link);
        header.set_cksum();
        builder.append(&header, entry.contents.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Writes a name into a header without the checks that the `tar` crate makes, cut to the field.
fn set(field: &mut [u8; 100], name: &str) {
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
}
