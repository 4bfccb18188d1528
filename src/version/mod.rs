//! The orders of versions: Debian's and rpm's are not the same.

mod deb;
pub mod rpm;

use std::cmp::Ordering;

pub use deb::compare;

use crate::root::Packaging;

/// Compares two versions as the tools of a distribution with these packages do.
pub fn compare_as(packaging: Packaging, a: &str, b: &str) -> Ordering {
    match packaging {
        Packaging::Deb => deb::compare(a, b),
        Packaging::Rpm => rpm::compare(a, b),
    }
}
