//! Builds at the same moment that want the same: one makes it, the others wait, and find it in the store.
//!
//! No two builds wait for each other: an image is claimed before the trees that it is made of, and who waits for a tree gives up its claims on other trees.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::digest::Digest;
use crate::progress::{Cancel, Cancelled, Event, Phase, Progress};
use crate::store::{Claim, Store};

/// How often it is looked whether a build is over that another one waits for.
const PAUSE: Duration = Duration::from_millis(50);

/// The trees that a build makes, by their stages.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<BTreeMap<usize, Claim>>);

impl Claims {
    pub(super) fn new(claims: BTreeMap<usize, Claim>) -> Self {
        Self(Mutex::new(claims))
    }

    /// The tree after a stage is made, or nobody should wait for it any more.
    pub(super) fn release(&self, stage: usize) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stage));
    }

    pub(super) fn release_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Waits until nobody makes what has this key any more. `claimant` does; `what` says what that is.
///
/// # Errors
/// The user's wish to stop.
pub(super) fn await_other(
    store: &Store,
    key: &Digest,
    (claimant, what): (&str, &str),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), Cancelled> {
    if store.claimant(key).is_none() {
        return Ok(());
    }
    progress.report(Event::Talk(&format!("{claimant} {what} at the moment")));
    progress.report(Event::Start { phase: Phase::Wait, total: None });
    while store.claimant(key).is_some() {
        cancel.check()?;
        std::thread::sleep(PAUSE);
    }
    progress.report(Event::Finish { phase: Phase::Wait });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes what is told.
    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl Progress for Told {
        fn report(&self, event: Event<'_>) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }

    #[test]
    fn a_wait_ends_with_the_claim_or_with_the_wish_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let (store, key) = (Store::open(dir.path()).unwrap(), Digest::of(b"a"));
        let claims = Claims::new(BTreeMap::from([(0, store.claim(&Digest::of(b"b")).unwrap()), (1, store.claim(&key).unwrap())]));
        let (told, cancel) = (Told::default(), Cancel::default());
        claims.release(0);
        let claimant = store.claim(&key).unwrap_err();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| await_other(&store, &key, (&claimant, "installs the same packages"), &told, &cancel));
            let begins = || told.0.lock().unwrap().len() == 2;
            assert!((0..2000).any(|_| begins() || {
                std::thread::sleep(Duration::from_millis(5));
                false
            }));
            std::thread::sleep(3 * PAUSE);
            assert!(!waits.is_finished());
            claims.release_all();
            assert_eq!(waits.join().unwrap(), Ok(()));
        });
        let told = told.0.into_inner().unwrap();
        assert_eq!(told.len(), 3);
        assert!(told[0].contains(&format!("{claimant} installs the same packages at the moment")), "{told:?}");
        assert!(told[2].starts_with("Finish"), "{told:?}");

        let _claim = store.claim(&key).unwrap();
        cancel.cancel();
        assert_eq!(await_other(&store, &key, (&claimant, "builds the same image"), &Told::default(), &cancel), Err(Cancelled));
    }
}
