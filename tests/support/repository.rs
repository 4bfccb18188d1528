//! An apt repository: packages, their indexes in several compressions, and signed Release files.

use std::fmt::Write as _;

use image_composer::digest::Sha256;

use super::deb::Deb;
use super::keys::{KEY_BIRTH, SignOptions, TestKey};
use super::{Compression, Tree};

/// When test repositories are made, in seconds since the epoch: 2020-01-01T12:00:00Z.
pub(crate) const RELEASE_DATE: u64 = KEY_BIRTH as u64 + 43_200;

/// A time at which test repositories are valid: a day later.
pub(crate) const NOW: u64 = RELEASE_DATE + 86_400;

/// A suite to be built, and what is special about it.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// Beneath `dists/`.
    pub(crate) suite: String,
    /// Fields of the Release file in their order; a test may change, add and remove them.
    pub(crate) fields: Vec<(String, String)>,
    /// Which files of an index there are, and are listed.
    pub(crate) compressions: Vec<Compression>,
    /// Whether the Release lists the decompressed index, as archives do, although it is not there.
    pub(crate) lists_plain: bool,
    /// Whether indexes lie beneath `by-hash`, too.
    pub(crate) by_hash: bool,
    /// Whether indexes lie under their names, too.
    pub(crate) by_name: bool,
    /// Text at the end of every Packages file.
    pub(crate) more_packages: String,
    /// Each with its component.
    pub(crate) packages: Vec<(String, Deb)>,
}

/// Which signed files a repository has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    /// `InRelease`.
    Inline,
    /// `Release` and `Release.gpg`.
    Detached,
    /// `Release` alone.
    Not,
}

impl Repository {
    /// An empty suite with the component `main` for `amd64`.
    pub(crate) fn new(suite: &str) -> Self {
        let fields = [
            ("Origin", "Test"),
            ("Suite", suite),
            ("Codename", suite),
            ("Date", "Wed, 01 Jan 2020 12:00:00 UTC"),
            ("Valid-Until", "Wed, 08 Jan 2020 12:00:00 UTC"),
            ("Acquire-By-Hash", "yes"),
            ("No-Support-for-Architecture-all", "Packages"),
            ("Architectures", "all amd64"),
            ("Components", "main"),
        ];
        Self {
            suite: suite.to_owned(),
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            compressions: vec![Compression::Xz],
            lists_plain: true,
            by_hash: true,
            by_name: true,
            more_packages: String::new(),
            packages: Vec::new(),
        }
    }

    /// With a package in `main`.
    pub(crate) fn with(self, deb: Deb) -> Self {
        self.with_in("main", deb)
    }

    /// With a package in a component.
    pub(crate) fn with_in(mut self, component: &str, deb: Deb) -> Self {
        self.packages.push((component.to_owned(), deb));
        self
    }

    /// With a field of the Release file set, or removed by `None`.
    pub(crate) fn set(mut self, name: &str, value: Option<&str>) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self.fields.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    /// Made at this time (seconds since the epoch), and valid for so many days.
    pub(crate) fn dated(self, date: u64, days: u64) -> Self {
        let text = |seconds: u64| jiff::Timestamp::from_second(seconds.cast_signed()).unwrap().strftime("%a, %d %b %Y %H:%M:%S UTC").to_string();
        self.set("Date", Some(&text(date))).set("Valid-Until", Some(&text(date + days * 86_400)))
    }

    /// All files of the repository, `InRelease` signed by `key`.
    pub(crate) fn build(&self, key: &TestKey) -> Tree {
        self.build_signed(key, &SignOptions { created: RELEASE_DATE as u32, ..SignOptions::default() }, Signed::Inline)
    }

    /// All files of the repository, signed as told.
    pub(crate) fn build_signed(&self, key: &TestKey, how: &SignOptions, signed: Signed) -> Tree {
        let mut tree = Tree::new();
        let release = self.release(&mut tree);
        let dists = format!("dists/{}", self.suite);
        match signed {
            Signed::Inline => {
                tree.insert(format!("{dists}/InRelease"), key.sign_cleartext(&release, how).into_bytes());
            }
            Signed::Detached => {
                tree.insert(format!("{dists}/Release.gpg"), key.sign_detached(release.as_bytes(), how).into_bytes());
                tree.insert(format!("{dists}/Release"), release.into_bytes());
            }
            Signed::Not => {
                tree.insert(format!("{dists}/Release"), release.into_bytes());
            }
        }
        tree
    }

    /// Adds the packages and indexes to the tree, and gives the text of the Release file.
    fn release(&self, tree: &mut Tree) -> String {
        let field = |name: &str| self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
        let all_is_included = field("No-Support-for-Architecture-all") == "Packages";
        let mut table = String::new();
        for component in field("Components").split_whitespace() {
            for arch in field("Architectures").split_whitespace() {
                let mut text = String::new();
                for (_, deb) in self.packages.iter().filter(|(of, _)| of == component) {
                    if deb.arch == arch || (deb.arch == "all" && all_is_included) {
                        text += &stanza(deb, tree);
                    }
                }
                text += &self.more_packages;
                self.index(&format!("{component}/binary-{arch}"), &text, &mut table, tree);
            }
        }
        let mut release = String::new();
        for (name, value) in &self.fields {
            writeln!(release, "{name}: {value}").unwrap();
        }
        release + "SHA256:\n" + &table
    }

    fn index(&self, directory: &str, text: &str, table: &mut String, tree: &mut Tree) {
        if self.lists_plain && !self.compressions.contains(&Compression::None) {
            writeln!(table, " {} {} {directory}/Packages", Sha256::of(text.as_bytes()), text.len()).unwrap();
        }
        for compression in &self.compressions {
            let bytes = compression.compress(text.as_bytes());
            let digest = Sha256::of(&bytes);
            writeln!(table, " {digest} {} {directory}/Packages{}", bytes.len(), compression.suffix()).unwrap();
            if self.by_hash {
                tree.insert(format!("dists/{}/{directory}/by-hash/SHA256/{digest}", self.suite), bytes.clone());
            }
            if self.by_name {
                tree.insert(format!("dists/{}/{directory}/Packages{}", self.suite, compression.suffix()), bytes);
            }
        }
    }
}

/// The paragraph of a package in an index; the package goes into the tree.
fn stanza(deb: &Deb, tree: &mut Tree) -> String {
    let (path, bytes) = (deb.pool_path(), deb.build());
    let text = format!("{}Filename: {path}\nSize: {}\nSHA256: {}\n\n", deb.control(), bytes.len(), Sha256::of(&bytes));
    tree.insert(path, bytes);
    text
}
