//! Claims: a process that makes what others may want at the same moment says so. They wait for it, and find it in the store.
//!
//! A claim is a file that is locked as long as its process makes what has that key. It ends with the process, however that ends, and nothing depends on it:
//! what two have made is kept once.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::{Store, lease};
use crate::digest::Digest;
use crate::locked;

/// How often, and how long apart, it is tried to take a claim that somebody only looks at.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(1);

/// The making of something by this process; ends when dropped.
#[derive(Debug)]
#[must_use = "the claim ends when this is dropped"]
pub struct Claim {
    path: PathBuf,
    /// None where it cannot be written down.
    file: Option<File>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(file) = &self.file
            && locked::is_at(file, &self.path).unwrap_or(false)
        {
            // Still locked, so that nobody can take it in between. What stays is a leftover like those of dead processes.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// Says that this process makes what has this key, unless another one does.
    ///
    /// # Errors
    /// Who does, as in “process 1234 (image-composer build spec.yml)”.
    pub fn claim(&self, key: &Digest) -> Result<Claim, String> {
        let path = self.layout.claim(key);
        if !self.is_writable() {
            return Ok(Claim { path, file: None });
        }
        for _ in 0..TRIES {
            let opened = locked::open(&path);
            if let Ok(Some(mut file)) = opened {
                // For messages alone.
                let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", lease::this_process()));
                return Ok(Claim { path, file: Some(file) });
            }
            match self.claimant(key) {
                Some(claimant) => return Err(claimant),
                // No room, or the file of another user who is gone: then nobody waits.
                None if opened.is_err() => return Ok(Claim { path, file: None }),
                None => std::thread::sleep(PAUSE),
            }
        }
        Err(lease::somebody())
    }

    /// Who makes what has this key at the moment.
    pub fn claimant(&self, key: &Digest) -> Option<String> {
        let path = self.layout.claim(key);
        locked::is_taken(&path).unwrap_or(false).then(|| lease::first_line(&path).unwrap_or_else(lease::somebody))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_is_made_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let (store, other) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
        let (key, another) = (Digest::of(b"a"), Digest::of(b"b"));
        let claim = store.claim(&key).unwrap();
        assert_eq!(other.claim(&key).unwrap_err(), lease::this_process());
        assert_eq!(other.claimant(&key), Some(lease::this_process()));
        let _another = other.claim(&another).unwrap();
        // Who opens the store now removes what dead processes left.
        let third = Store::open(dir.path()).unwrap();
        assert!(third.claim(&key).is_err());
        assert_eq!(store.holders().unwrap().len(), 3, "a claim is no process");
        drop(claim);
        assert_eq!(other.claimant(&key), None);
        assert!(!store.layout.claim(&key).exists());
        let _claim = other.claim(&key).unwrap();
        assert!(store.claim(&key).is_err());
    }

    #[test]
    fn the_claim_of_a_dead_process_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"a");
        // As after SIGKILL: the file is there, the lock is not.
        let path = store.layout.claim(&key);
        fs::write(&path, "process 1 (x)\n").unwrap();
        assert_eq!(store.claimant(&key), None);
        drop(store.claim(&key).unwrap());
        fs::write(&path, "process 1 (x)\n").unwrap();
        let _other = Store::open(dir.path()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_cannot_be_written_down_is_made_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"a");
        fs::create_dir(store.layout.claim(&key)).unwrap();
        drop((store.claim(&key).unwrap(), store.claim(&key).unwrap()));
        assert!(store.layout.claim(&key).is_dir());
    }
}
