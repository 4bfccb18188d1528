//! Bundles: what one store has, under its names, for another one.
//!
//! What a bundle vouches for is its maker's word, and this room takes as little of it as can be:
//!
//! - a **package** is proven by the SHA-256 in its name, which a build compares with the one in the signed index;
//! - **metadata** is bytes and a time. A build verifies the signature of a Release file each time it reads it, against this machine's keyrings, and every
//!   index against the Release, so nothing that a bundle says makes unsigned metadata signed. The time says as of when the signature and
//!   `Valid-Until` are judged offline; a time in the future is taken for now, and what this store fetched later stays. What a server or a signature is
//!   said to have said is forgotten;
//! - the **header** in the file of each blob is made anew from the names in the bundle's table, so that an index that is made from the files alone has
//!   nothing that the table did not show;
//! - an **image** is under the hash of its spec what its maker says that it is. One that is there under that hash stays, unless it is to be replaced.

mod arriving;
mod export;
mod import;
mod publish;
mod suites;

pub use export::{Selection, plan, write};
pub use import::{Counts, ImportedBundle, ImportedImage, Outcome, import};

#[cfg(test)]
mod tests;
