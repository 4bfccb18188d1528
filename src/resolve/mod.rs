//! Wanted names become exact packages, each with the reason why it is there.

mod lock;

pub use lock::{Lock, LockedPackage, Reason};
