//! Files as text, bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most bytes that a spec or configuration may have: 1 MiB, a hundred times what a long one has.
pub const MAX_FILE: u64 = 1 << 20;

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
}
