//! Names over the store: which blob is which package, which manifest is which image, and the policy of keeping them.

mod coordinates;
mod keys;

pub use coordinates::{Coordinates, CoordinatesError};
pub use keys::SpecHash;
