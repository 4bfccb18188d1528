//! An index with damaged pages: of much of that its database, redb, gives no error, but panics. Here that becomes the error that a user can do something with.

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::{Error, Result};

/// What the database said when it panicked, in any thread.
static SAID: Mutex<Option<String>> = Mutex::new(None);

/// Runs a command; a panic of the database, whose file is at `index`, is its error. Other panics go on.
pub(super) fn guard(index: impl FnOnce() -> Option<PathBuf>, command: impl FnOnce() -> Result) -> Result {
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|location| is_of_database(location.file())) {
            let payload = panic.payload();
            let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            SAID.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| text.unwrap_or("no reason").to_owned());
        } else {
            shown(panic);
        }
    }));
    // What a command has begun is given up with it: only the view is used afterwards, which holds nothing between two events.
    let outcome = panic::catch_unwind(AssertUnwindSafe(command));
    let said = SAID.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (outcome, said) {
        (Ok(outcome), _) => outcome,
        (Err(_), Some(reason)) => Err(Error::BrokenIndex { path: index().unwrap_or_else(|| "index.redb".into()), reason }),
        (Err(payload), None) => panic::resume_unwind(payload),
    }
}

/// Whether a file of source text is of the crate, as cargo keeps it or as others have it beside the program.
fn is_of_database(file: &str) -> bool {
    let is_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    file.split(['/', '\\']).any(|part| part == "redb" || part.strip_prefix("redb-").is_some_and(is_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_known_by_its_files() {
        assert!(is_of_database("/home/a/.cargo/registry/src/index/redb-4.6.0/src/tree_store/btree.rs"));
        assert!(is_of_database("/build/vendor/redb/src/tree_store/btree.rs"));
        assert!(!is_of_database("src/store/redb.rs") && !is_of_database("/a/redb-derive-1/src/lib.rs"));
    }
}
