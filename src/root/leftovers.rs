//! Trees that killed builds have left on the disk.
//!
//! Their files belong to users of the image, and some of their directories let nobody else in: outside of a user namespace an ordinary user cannot remove them.
//! So a worker does, which is root of those users and does nothing else.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::Error;
use super::sandbox::{self, Mapping, Pipes, SandboxError, Worker};
use crate::progress::Cancel;

/// How long nobody looks whether the user has asked to stop.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Removes directories with all that is in them, through a user namespace. Nothing is started where there are none.
///
/// # Errors
/// A host that lacks what a worker needs, a directory that is still there, the user's wish to stop. Whatever could be removed is gone then.
pub fn remove_leftovers(directories: &[PathBuf], cancel: &Cancel) -> Result<(), Error> {
    if directories.is_empty() {
        return Ok(());
    }
    let mapping = Mapping::of_this_process()?;
    let (mut worker, Pipes { mut stdin, stdout, .. }) = Worker::start(&mapping, sandbox::REMOVER)?;
    let names: Vec<u8> = directories.iter().flat_map(|directory| [directory.as_os_str().as_bytes(), b"\0"].concat()).collect();
    // One that has died does not read: what it leaves is seen below.
    let _ = stdin.write_all(&names);
    drop(stdin);
    // It writes nothing; its end closes the pipe.
    loop {
        cancel.check()?;
        match rustix::event::poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&PATIENCE)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => break,
            Err(errno) => return Err(SandboxError::Refused { step: "hear from the worker".to_owned(), source: errno.into() }.into()),
        }
    }
    worker.wait()?;
    for directory in directories {
        if let Err(error) = std::fs::remove_dir_all(directory)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(Error::io("remove", directory)(error));
        }
    }
    Ok(())
}

/// The worker's side: removes what is named on its standard input, each name with a zero byte after it. Returns the process's exit status.
pub(super) fn remover() -> u8 {
    let mut names = Vec::new();
    if sandbox::settle_worker().is_err() || std::io::stdin().read_to_end(&mut names).is_err() {
        return 1;
    }
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // The program sees for itself what is still there.
        let _ = std::fs::remove_dir_all(OsStr::from_bytes(name));
    }
    0
}
