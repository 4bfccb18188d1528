//! Reads a store with code that knows only `store-format.md`: if this breaks, other programs break.
//!
//! The store is made through the library; everything after that is done by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod formats {
    mod bundle;
    mod by_hand;
    mod dump;
    mod index;
    mod page;
    mod released;
    mod store;
    mod world;
}
