//! Packages for tests: real `.deb` files, also such as no honest packager would make.

use crate::cache::Coordinates;
use crate::digest::Digest;
use crate::root::plan::{Package, Source};

/// A package that is only a name.
pub(crate) fn package(name: &str) -> Package {
    Package {
        coordinates: Coordinates::new(name, "1", "all", "test").expect("valid"),
        supply: Some(Source::Blob { path: "/nonexistent".into(), digest: Digest::of(b"") }).into(),
        size: 1,
        stage: 0,
        essential: false,
        multi_arch_same: false,
        pre_depends: Vec::new(),
        depends: Vec::new(),
        replaces: Vec::new(),
    }
}

/// An `ar` archive of these members.
pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).as_bytes());
        bytes.extend(*content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Builds a `.deb`.
pub(crate) struct DebBuilder {
    control: String,
    compression: &'static str,
    control_files: Vec<(String, Vec<u8>)>,
    data: tar::Builder<Vec<u8>>,
}

impl DebBuilder {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        let control = format!("Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: test\n");
        Self { control, compression: ".xz", control_files: Vec::new(), data: tar::Builder::new(Vec::new()) }
    }

    /// With more lines at the end of the control file.
    pub(crate) fn with_field(mut self, lines: &str) -> Self {
        self.control.push_str(lines);
        self.control.push('\n');
        self
    }

    pub(crate) fn architecture(mut self, arch: &str) -> Self {
        self.control = self.control.replace("Architecture: all", &format!("Architecture: {arch}"));
        self
    }

    pub(crate) fn compression(mut self, ending: &'static str) -> Self {
        self.compression = ending;
        self
    }

    pub(crate) fn control_file(mut self, name: &str, content: &[u8]) -> Self {
        self.control_files.push((name.to_owned(), content.to_owned()));
        self
    }

    pub(crate) fn file(self, path: &str, content: &[u8], mode: u32) -> Self {
        self.entry(tar::EntryType::Regular, path, "", content, mode)
    }

    pub(crate) fn dir(self, path: &str, mode: u32) -> Self {
        self.entry(tar::EntryType::Directory, path, "", b"", mode)
    }

    /// Any entry; the names are written as they are, checked by nobody.
    pub(crate) fn entry(mut self, kind: tar::EntryType, path: &str, target: &str, content: &[u8], mode: u32) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        // The tests run as whoever runs them: files can only be given to that user.
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mtime(1_000_000_000);
        header.set_cksum();
        self.data.append(&header, content).expect("memory");
        self
    }

    /// Gives the next entry extended attributes.
    pub(crate) fn xattrs(mut self, attributes: &[(&str, &[u8])]) -> Self {
        let keys: Vec<String> = attributes.iter().map(|(name, _)| format!("SCHILY.xattr.{name}")).collect();
        let extensions = keys.iter().zip(attributes).map(|(key, (_, value))| (key.as_str(), *value));
        self.data.append_pax_extensions(extensions).expect("memory");
        self
    }

    pub(crate) fn data(self) -> Vec<u8> {
        self.data.into_inner().expect("memory")
    }

    pub(crate) fn build(self) -> Vec<u8> {
        let mut control = tar::Builder::new(Vec::new());
        let files = std::iter::once(("control".to_owned(), self.control.clone().into_bytes())).chain(self.control_files.clone());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            control.append_data(&mut header, format!("./{name}"), &content[..]).expect("memory");
        }
        let control = compress(self.compression, &control.into_inner().expect("memory"));
        let (control_name, data_name) = (format!("control.tar{}", self.compression), format!("data.tar{}", self.compression));
        let data = compress(self.compression, &self.data());
        ar(&[("debian-binary", b"2.0\n"), (&control_name, &control), (&data_name, &data)])
    }
}

fn compress(ending: &str, bytes: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut compressed = Vec::new();
    match ending {
        ".gz" => flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut compressed).map(drop),
        ".xz" => liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut compressed).map(drop),
        ".zst" => zstd::stream::copy_encode(bytes, &mut compressed, 1),
        _ => std::io::Write::write_all(&mut compressed, bytes),
    }
    .expect("memory");
    compressed
}
