//! Which package each path of the tree belongs to, while packages are unpacked side by side.
//!
//! The outcome never depends on which thread comes first: who may overwrite whom is decided by the packages' Replaces, and where two replace each other
//! by their order in the plan. The same decides where one says `/lib` and the other `/usr/lib` of the same file: dpkg takes these for two, and lets the later
//! package have it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType};

use super::order::Stage;
use super::plan::Package;
use super::{Error, dpkg};
use crate::tree::Tree;

/// All claims of one root tree. Directories are shared and never claimed.
pub(super) struct Claims<'p> {
    packages: &'p [Package],
    state: Mutex<State>,
}

/// What a package claims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'c> {
    /// Its place in the plan.
    pub(super) package: usize,
    /// As the package lists it.
    pub(super) path: &'c Path,
    /// Where it goes: another path if it is diverted.
    pub(super) place: &'c Path,
    /// Whether the package itself has diverted the path: who had it before has it elsewhere now.
    pub(super) diverter: bool,
}

#[derive(Default)]
struct State {
    /// By the places as they are without links.
    owners: HashMap<PathBuf, Owner>,
    /// Paths that a package ships and another one has taken.
    lost: Vec<(usize, PathBuf)>,
}

#[derive(Debug, Clone, Copy)]
struct Owner {
    package: usize,
    /// Whether the package names the place by a link.
    by_link: bool,
}

/// What is a link to the same name in `/usr` in every tree, and has files by either name. (`lib64` has the dynamic linker alone.)
const MERGED: [&str; 3] = ["bin", "lib", "sbin"];

/// A place without the links of a merged `/usr`.
fn without_links(place: &Path) -> Cow<'_, Path> {
    let is_below = |name: &str| place.starts_with(name) && place != Path::new(name);
    if MERGED.iter().any(|name| is_below(name)) { Path::new("usr").join(place).into() } else { place.into() }
}

impl<'p> Claims<'p> {
    /// Those of an empty tree.
    #[cfg(test)]
    pub(super) fn new(packages: &'p [Package]) -> Self {
        Self { packages, state: Mutex::default() }
    }

    /// Those of a tree that has the packages of the stages before this one, as dpkg's lists know them.
    pub(super) fn before(stage: Stage, packages: &'p [Package], tree: &Tree) -> Result<Self, Error> {
        let diversions = dpkg::Diversions::load(tree)?;
        let mut state = State::default();
        for (number, package) in packages.iter().enumerate().filter(|(_, package)| stage.follows(package)) {
            for path in dpkg::list(tree, package)? {
                let place = diversions.place(&path, package.coordinates.name());
                if !is_directory(tree, &place) {
                    let real = without_links(&place);
                    let by_link = matches!(real, Cow::Owned(_));
                    state.owners.insert(real.into_owned(), Owner { package: number, by_link });
                }
            }
        }
        Ok(Self { packages, state: Mutex::new(state) })
    }

    /// Makes something at a place for a package, or leaves the place (and returns none) because a package that replaces this one has it.
    ///
    /// `make` runs under the lock, so that the file of the rightful owner is the last one made; what is written into it later needs no lock.
    ///
    /// # Errors
    /// [`Error::FileConflict`] where another package has the place and neither replaces the other; and those of `make`.
    pub(super) fn make<T>(&self, claim: Claim<'_>, make: impl FnOnce() -> Result<T, Error>) -> Result<Option<T>, Error> {
        let Claim { package, path, place, diverter } = claim;
        let real = without_links(place);
        let by_link = matches!(real, Cow::Owned(_));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&Owner { package: owner, by_link: owner_by_link }) = state.owners.get(&*real)
            && owner != package
            && !diverter
        {
            let replaces = |a: usize, b: usize| self.packages[a].replaces.contains(&b);
            let (replaces, is_replaced) = (replaces(package, owner), replaces(owner, package));
            let wins = if replaces == is_replaced { package > owner } else { replaces };
            if by_link == owner_by_link {
                if !replaces && !is_replaced {
                    let name = |number: usize| self.packages[number].coordinates.name().to_owned();
                    let (first, second) = (name(owner.min(package)), name(owner.max(package)));
                    return Err(Error::FileConflict { first, second, path: format!("/{}", path.display()) });
                }
                state.lost.push((if wins { owner } else { package }, path.to_owned()));
            }
            if !wins {
                return Ok(None);
            }
        }
        let made = make()?;
        state.owners.insert(real.into_owned(), Owner { package, by_link });
        Ok(Some(made))
    }

    /// The paths that each package ships and has lost to another.
    pub(super) fn lost(&self) -> HashMap<usize, Vec<PathBuf>> {
        let mut lost: HashMap<usize, Vec<PathBuf>> = HashMap::new();
        for (package, path) in &self.state.lock().unwrap_or_else(PoisonError::into_inner).lost {
            lost.entry(*package).or_default().push(path.clone());
        }
        lost
    }
}

/// Whether a name stands for a directory, and not for a link to one.
fn is_directory(tree: &Tree, path: &Path) -> bool {
    let stat = tree.parent(path).ok().and_then(|(dir, name)| rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).ok());
    stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::testing::package;

    #[test]
    fn what_earlier_stages_have_is_known_from_their_lists() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        let mut packages = vec![package("base"), package("new"), package("stranger")];
        (packages[1].stage, packages[2].stage) = (1, 1);
        packages[1].replaces = vec![0];
        tree.write("usr/bin/tool", b"", 0o755).unwrap();
        tree.write("usr/bin/tool.distrib", b"", 0o755).unwrap();
        dpkg::create(&tree, "amd64").unwrap();
        tree.write("var/lib/dpkg/info/base.list", b"/.\n/usr\n/usr/bin\n/usr/bin/tool\n/usr/bin/other\n", 0o644).unwrap();
        tree.write("var/lib/dpkg/diversions", b"/usr/bin/other\n/usr/bin/other.distrib\nlocal\n", 0o644).unwrap();
        let claims = Claims::before(Stage(1), &packages, &tree).unwrap();
        let claim = |package, path| Claim { package, path: Path::new(path), place: Path::new(path), diverter: false };
        assert!(claims.make(claim(2, "usr/bin/tool"), || Ok(())).is_err(), "it is the base's");
        assert!(claims.make(claim(2, "usr/bin/other"), || Ok(())).is_ok(), "what was there is elsewhere");
        assert!(claims.make(claim(2, "usr/bin"), || Ok(())).is_ok(), "directories are nobody's");
        claims.make(claim(1, "usr/bin/tool"), || Ok(())).unwrap();
        assert_eq!(claims.lost()[&0], [Path::new("usr/bin/tool")]);
        dpkg::forget(&tree, &packages[0], &claims.lost()[&0]).unwrap();
        assert_eq!(tree.read_text("var/lib/dpkg/info/base.list").unwrap(), "/.\n/usr\n/usr/bin\n/usr/bin/other\n");
    }

    #[test]
    fn a_file_by_two_names_is_that_of_the_later_package_whoever_comes_first() {
        let mut packages = vec![package("first"), package("second"), package("third")];
        packages[0].replaces = vec![2];
        let places = ["lib/tool", "usr/lib/tool", "lib/tool"].map(Path::new);
        let claim = |package: usize| Claim { package, path: places[package], place: places[package], diverter: false };
        for (order, expected) in [([0, 1], 1), ([1, 0], 1), ([1, 2], 2), ([2, 1], 2), ([0, 2], 0), ([2, 0], 0)] {
            let claims = Claims::new(&packages);
            let mut owner = None;
            for number in order {
                let made = claims.make(claim(number), || Ok(number)).unwrap();
                owner = made.or(owner);
            }
            assert_eq!(owner, Some(expected), "{order:?}");
            assert_eq!(claims.lost().is_empty(), order.contains(&1), "dpkg takes the two names for two files");
        }
    }

    #[test]
    fn the_replacing_package_has_the_file_whoever_comes_first() {
        let mut packages = vec![package("old"), package("new"), package("stranger")];
        packages[1].replaces = vec![0];
        let path = Path::new("usr/bin/tool");
        let claim = |package| Claim { package, path, place: path, diverter: false };
        for order in [[0, 1], [1, 0]] {
            let claims = Claims::new(&packages);
            let mut owner = None;
            for number in order {
                claims
                    .make(claim(number), || {
                        owner = Some(number);
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(owner, Some(1), "{order:?}");
            assert_eq!(claims.lost()[&0], [path]);
            let error = claims.make(claim(2), || Ok(())).unwrap_err();
            assert!(matches!(error, Error::FileConflict { first, second, .. } if first == "new" && second == "stranger"));
        }
    }
}
