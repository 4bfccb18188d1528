//! What an image shall be: the YAML spec, checked, completed by its distribution's profile, and hashed.

pub mod model;

pub use model::Spec;
