//! The exit statuses of the program. Scripts rely on them.

/// Done.
pub(super) const DONE: u8 = 0;
/// Failed.
pub(super) const FAILED: u8 = 1;
/// Wrong usage, configuration or spec.
pub(super) const USAGE: u8 = 2;
/// Not found, or not available offline.
pub(super) const NOT_FOUND: u8 = 3;
/// Bytes that are not what they should be.
pub(super) const INTEGRITY: u8 = 4;
/// Another process holds the store for too long.
pub(super) const BUSY: u8 = 5;
/// Ended by the user: 128 and the number of SIGINT.
pub(super) const INTERRUPTED: u8 = 130;
