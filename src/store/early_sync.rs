//! Makes a long file durable while it is still being written: the device works beside the processors, and the last sync has little left to do.

use std::fs::File;
use std::io;
use std::thread::JoinHandle;

/// Bytes between two syncs. Each costs about a millisecond beside the writing itself.
const STEP: u64 = 64 << 20;

/// The syncs of one file. An error of the device is told once: whoever syncs the file itself must have called [`EarlySync::finish`] before.
#[derive(Debug)]
pub(super) struct EarlySync {
    file: File,
    unsynced: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl EarlySync {
    pub(super) fn new(file: &File) -> io::Result<Self> {
        Ok(Self { file: file.try_clone()?, unsynced: 0, running: None })
    }

    /// Takes note of bytes that were written, and begins a sync where enough have come together and none is under way.
    pub(super) fn wrote(&mut self, len: u64) -> io::Result<()> {
        self.unsynced += len;
        if self.unsynced < STEP || self.running.as_ref().is_some_and(|sync| !sync.is_finished()) {
            return Ok(());
        }
        self.finish()?;
        let file = self.file.try_clone()?;
        self.running = Some(std::thread::Builder::new().name("early sync".to_owned()).spawn(move || file.sync_data())?);
        self.unsynced = 0;
        Ok(())
    }

    /// Waits for the sync that is under way, and tells its error.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some(sync) = self.running.take() else { return Ok(()) };
        sync.join().unwrap_or_else(|_| Err(io::Error::other("the thread of the sync panicked")))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_error_of_an_early_sync_is_told_at_the_end() {
        // A pipe cannot be synced, which is told as an error.
        let (_reader, writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut sync = EarlySync::new(&file).unwrap();
        sync.wrote(STEP - 1).unwrap();
        sync.finish().unwrap();
        sync.wrote(1).unwrap();
        assert!(sync.finish().is_err());
    }

    #[test]
    fn a_file_is_synced_beside_its_writing() {
        let mut file = tempfile::tempfile().unwrap();
        let mut sync = EarlySync::new(&file).unwrap();
        for _ in 0..3 {
            file.write_all(b"x").unwrap();
            sync.wrote(STEP).unwrap();
        }
        sync.finish().unwrap();
    }
}
