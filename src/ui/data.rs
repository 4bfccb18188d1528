//! Data on standard output.

use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::Serialize;

/// Text, as it is.
pub(crate) fn text(text: &str) -> io::Result<()> {
    write(text.as_bytes())
}

/// One value, indented, with a newline at the end.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    text.push(b'\n');
    write(&text)
}

/// A path: its bytes as the system has them, and a newline.
pub(super) fn path(path: &Path) -> io::Result<()> {
    let mut line = path.as_os_str().as_bytes().to_vec();
    line.push(b'\n');
    write(&line)
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // The reader has seen enough, as with “| head”: what the command found out stays as it is.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
