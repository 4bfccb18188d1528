//! What tests build the world from: packages, repositories that are signed, and servers that fail as told.
//!
//! Everything is made in memory and the same on every run. A [`repository::Repository`] becomes a [`Tree`] of files; a test spoils what it wants in the
//! tree, and writes it to a directory (`file://`) or gives it to a [`server::Server`] (`http://`).

// Every test uses what it needs of this; the modules that use the rest come with their rooms.
#![allow(dead_code, reason = "shared by test modules that need different parts")]

pub(crate) mod deb;
pub(crate) mod keys;
pub(crate) mod program;
pub(crate) mod repository;
pub(crate) mod server;
pub(crate) mod tls;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

/// Files by their paths, relative and with slashes.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

/// Writes a tree beneath a directory.
pub(crate) fn write_tree(tree: &Tree, directory: &Path) {
    for (path, bytes) in tree {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Compression {
    Zstd,
    Xz,
    Gzip,
    None,
}

impl Compression {
    /// The end of a file's name.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Xz => ".xz",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }

    /// The compressed bytes; quick, not small.
    pub(crate) fn compress(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Zstd => zstd::encode_all(bytes, 1).unwrap(),
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::None => bytes.to_vec(),
        }
    }
}
