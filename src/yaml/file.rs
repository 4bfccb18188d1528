//! Files as text, bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most bytes that a spec or configuration may have: 1 MiB, a hundred times what a long one has.
pub const MAX_FILE: u64 = 1 << 20;

/// How many names of a folder are looked at for one that was perhaps meant.
const MOST_LOOKED_AT: usize = 10_000;

/// A file that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there, or may not be read.
    #[error("cannot read {path}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory, a device, a pipe.
    #[error("{path} is not a regular file", path = path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// Longer than [`MAX_FILE`].
    #[error("{path} is longer than 1 MiB, so it is refused unread", path = path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// Not UTF-8.
    #[error("{path} is not UTF-8: line {line} has a byte that is no text", path = path.display())]
    NotText {
        /// Which.
        path: PathBuf,
        /// The line of the first wrong byte, from 1.
        line: usize,
    },
}

impl ReadError {
    /// The way out, where there is one: a file beside it that was perhaps meant.
    pub fn hint(&self) -> Option<String> {
        let Self::Io { path, .. } = self else { return None };
        if !self.is_not_found() {
            return None;
        }
        // Endings are alike: they say nothing of what was meant.
        let stem = path.file_stem()?.to_str()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let there = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MOST_LOOKED_AT);
        let is_file = |entry: &std::fs::DirEntry| std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
        let mut there: Vec<String> = there.filter(is_file).filter_map(|entry| entry.file_name().into_string().ok()).collect();
        there.sort();
        let stem_of = |name: &String| Path::new(name).file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        let stems: Vec<String> = there.iter().filter_map(stem_of).collect();
        let near =
            super::nearest(stem, stems.iter().map(String::as_str)).and_then(|near| there.iter().find(|name| stem_of(name).as_deref() == Some(near)));
        Some(match near {
            Some(near) => format!("did you mean {}?", path.with_file_name(near).display()),
            None => "name a file that is there; a relative path is meant from the current folder".to_owned(),
        })
    }

    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The text of the file. A byte order mark is skipped.
///
/// # Errors
/// What is not there, no regular file, longer than [`MAX_FILE`], or not UTF-8. Nothing is read of a file that says that it is too long.
pub fn read(path: &Path) -> Result<String, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    // Looked at before it is opened: opening a pipe would wait for a writer. The length is checked again while reading.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile { path: path.to_owned() });
    }
    if metadata.len() > MAX_FILE {
        return Err(ReadError::TooLong { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ReadError::TooLong { path: path.to_owned() });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        ReadError::NotText { path: path.to_owned(), line: before.split(|byte| *byte == b'\n').count() }
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_megabytes_are_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.yml");
        // Sparse: if it were read, the test would still pass, but slowly.
        File::create(&path).unwrap().set_len(100 << 20).unwrap();
        assert!(matches!(read(&path), Err(ReadError::TooLong { .. })));
    }

    #[test]
    fn only_text_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yml");
        std::fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
        assert!(matches!(read(&path), Err(ReadError::NotText { line: 2, .. })));
        std::fs::write(&path, "\u{feff}a: 1\n").unwrap();
        assert_eq!(read(&path).unwrap(), "a: 1\n");
        assert!(matches!(read(folder.path()), Err(ReadError::NotAFile { .. })));
        assert!(read(&folder.path().join("none")).is_err_and(|error| error.is_not_found()));
    }

    #[test]
    fn a_file_that_was_perhaps_meant_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("edge.yml"), "").unwrap();
        let hint = |name: &str| read(&folder.path().join(name)).unwrap_err().hint().unwrap();
        assert_eq!(hint("edge.yaml"), format!("did you mean {}?", folder.path().join("edge.yml").display()));
        std::fs::create_dir(folder.path().join("home")).unwrap();
        assert!(hint("none.json").starts_with("name a file that is there"));
        assert!(hint("hone.yml").starts_with("name a file that is there"), "a folder is none");
        assert_eq!(read(folder.path()).unwrap_err().hint(), None);
    }
}
