//! For `benches/`: one package by itself, which an installation never has. No part of the program.

use std::path::Path;

use super::archive::Origin;
use super::deb::Deb;
use super::plan::{Package, Source};
use super::{Error, bounded};
use crate::cache::Coordinates;

/// Reads all that a `.deb` unpacks, and says how many paths it has. (Nothing is written: valgrind, under which this runs, does not know `openat2`.)
///
/// # Errors
/// A package that cannot be read.
///
/// # Panics
/// Never: the package has coordinates.
pub fn read(deb: &Path) -> Result<usize, Error> {
    let size = std::fs::metadata(deb).map_err(Error::io("read", deb))?.len();
    let package = Package {
        coordinates: Coordinates::new("benched", "1", "all", "bench").expect("coordinates as a package has them"),
        supply: Some(Source::File(deb.to_owned())).into(),
        size,
        stage: 0,
        essential: false,
        multi_arch_same: false,
        pre_depends: Vec::new(),
        depends: Vec::new(),
        replaces: Vec::new(),
    };
    let origin = Origin::of(&package);
    let mut deb = Deb::open(&package)?;
    deb.control()?;
    let mut paths = 0;
    bounded::entries(
        deb.data()?,
        |source| origin.unreadable(source),
        |_| {
            paths += 1;
            Ok(())
        },
    )?;
    deb.finish()?;
    Ok(paths)
}
