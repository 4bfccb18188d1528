//! Names over the store: which blob is which package, which manifest is which image, and the policy of keeping them.

pub mod coordinates;

pub use coordinates::{Coordinates, CoordinatesError};
