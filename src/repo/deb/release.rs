//! Release files: the signed table of contents of a suite (Debian repository format, “Release files”).

use std::collections::BTreeMap;

use super::control::{Field, Item, Scanner, SyntaxError};
use crate::digest::Sha256;
use crate::repo::utc;

/// How far into the future a Release may be dated, in seconds: a day, for clocks that are in the wrong time zone.
const FUTURE_TOLERANCE: u64 = 86_400;

/// The most files that the table may have. Debian's largest have about 3,000.
const FILES_LIMIT: usize = 200_000;

/// What a Release file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// `stable`, `oldstable-security`: changes its meaning with time.
    pub suite: Option<String>,
    /// `bookworm`, `bookworm-security`: does not.
    pub codename: Option<String>,
    /// When it was made, in seconds since the epoch.
    pub date: u64,
    /// From when on it must not be trusted, in seconds since the epoch.
    pub valid_until: Option<u64>,
    /// Whether indexes can be had by their digest, so that they always fit to this file.
    pub by_hash: bool,
    /// The architectures that are offered; empty if it does not say.
    pub architectures: Vec<String>,
    /// The components that are offered; empty if it does not say.
    pub components: Vec<String>,
    /// Whether the Packages file of each architecture has the packages of `all`, too (`No-Support-for-Architecture-all`).
    pub all_is_included: bool,
    /// Whether packages are to be taken from the suite that nobody has asked for.
    pub automatic: Automatic,
    /// The files beneath `dists/<suite>/`, by their paths.
    pub files: BTreeMap<String, IndexFile>,
}

/// Whether packages are to be taken from a suite that nobody has asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Automatic {
    /// None are (`NotAutomatic`), as from Debian's `experimental`.
    pub no: bool,
    /// In spite of that, what was taken from it is updated from it (`ButAutomaticUpgrades`), as from backports.
    pub but_upgrades: bool,
}

impl Automatic {
    /// The rank of its packages where the user has said none (`apt_preferences(5)`), if that is another than usual.
    pub fn pin(self) -> Option<i32> {
        self.no.then_some(if self.but_upgrades { 100 } else { 1 })
    }
}

/// A file that a Release vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFile {
    /// Its digest.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
}

/// A Release file that cannot be read, or must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// A line is no field.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A field is there twice.
    #[error("the field {0} is there twice")]
    Twice(&'static str),
    /// A field that every Release must have is not there.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field has a value that it cannot have.
    #[error("“{value}” is no value of the field {field}")]
    Value {
        /// Which field.
        field: &'static str,
        /// The refused value, cut to 80 characters.
        value: String,
    },
    /// A path is there twice with different digests, or there are more than 200,000.
    #[error("the table of files is not consistent at “{0}”")]
    Table(String),
    /// It is of another suite than asked for.
    #[error("it is the Release of {found}, not of {wanted}")]
    OtherSuite {
        /// The suite that was asked for.
        wanted: String,
        /// What the file says about itself.
        found: String,
    },
    /// It does not offer the architecture.
    #[error("there is nothing for the architecture {wanted}, only for {}", offered.join(", "))]
    Architecture {
        /// The architecture that was asked for.
        wanted: String,
        /// What it offers.
        offered: Vec<String>,
    },
    /// It does not offer the component.
    #[error("there is no component {wanted}, only {}", offered.join(", "))]
    Component {
        /// The component that was asked for.
        wanted: String,
        /// What it offers.
        offered: Vec<String>,
    },
    /// It was good until then (`Valid-Until`), in seconds since the epoch.
    #[error("it was valid until {}", utc(*.0))]
    Expired(u64),
    /// It was made before the one that the store has kept of the same suite. Both in seconds since the epoch.
    #[error("it is of {}, and the store has the one of {}", utc(*.found), utc(*.kept))]
    Older {
        /// When it was made.
        found: u64,
        /// When the kept one was made.
        kept: u64,
    },
    /// It is dated more than a day ahead, in seconds since the epoch.
    #[error("it is from the future ({})", utc(*.0))]
    FromTheFuture(u64),
}

impl ReleaseError {
    /// A way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Expired(_) => Some(
                "the mirror is out of date, or someone withholds updates: try another mirror; for an archived suite that is never updated any more, \
                 add --allow-expired"
                    .to_owned(),
            ),
            Self::Older { .. } => Some(
                "the mirror lags behind, or someone withholds updates: try another mirror, or again later; to go back on purpose, add --allow-expired"
                    .to_owned(),
            ),
            Self::FromTheFuture(_) => Some("check this machine's clock".to_owned()),
            Self::OtherSuite { found, .. } => Some(format!("ask for {found}, or try another mirror")),
            _ => None,
        }
    }
}

impl Release {
    /// Reads a Release file: the text that was signed, never more.
    ///
    /// # Errors
    /// Text that is no Release file, or that says contradictory things.
    pub fn parse(text: &[u8]) -> Result<Self, ReleaseError> {
        let mut release = Self::default();
        let mut seen: Vec<&'static str> = Vec::new();
        for item in Scanner::new(text) {
            // There is one paragraph; what follows it is not ours.
            let Item::Field(field) = item? else { break };
            let Some(name) = FIELDS.into_iter().find(|name| field.is(name)) else { continue };
            if seen.contains(&name) {
                return Err(ReleaseError::Twice(name));
            }
            seen.push(name);
            release.take(name, &field)?;
        }
        for required in ["Date", "SHA256"] {
            if !seen.contains(&required) {
                return Err(ReleaseError::Missing(required));
            }
        }
        Ok(release)
    }

    fn take(&mut self, name: &'static str, field: &Field<'_>) -> Result<(), ReleaseError> {
        let text = || field.text().ok_or_else(|| refused(name, field.value));
        let yes = || field.value.eq_ignore_ascii_case(b"yes");
        let words = || text().map(|text| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>());
        match name {
            "Suite" => self.suite = Some(text()?.to_owned()),
            "Codename" => self.codename = Some(text()?.to_owned()),
            "Date" => self.date = date(text()?).ok_or_else(|| refused(name, field.value))?,
            "Valid-Until" => self.valid_until = Some(date(text()?).ok_or_else(|| refused(name, field.value))?),
            "Acquire-By-Hash" => self.by_hash = yes(),
            "Architectures" => self.architectures = words()?,
            "Components" => self.components = words()?,
            "NotAutomatic" => self.automatic.no = yes(),
            "ButAutomaticUpgrades" => self.automatic.but_upgrades = yes(),
            "No-Support-for-Architecture-all" => self.all_is_included = words()?.iter().any(|word| word == "Packages"),
            _ => self.files = table(field)?,
        }
        Ok(())
    }

    /// Checks that this is the Release of `suite` (by its suite name or its codename; of any without one), and not dated into the future of `now`.
    ///
    /// # Errors
    /// [`ReleaseError::OtherSuite`], [`ReleaseError::FromTheFuture`].
    pub fn check(&self, suite: Option<&str>, now: u64) -> Result<(), ReleaseError> {
        let names: Vec<&str> = [self.codename.as_deref(), self.suite.as_deref()].into_iter().flatten().collect();
        // A Release that names neither (small repositories) contradicts nobody.
        if let Some(suite) = suite
            && !names.is_empty()
            && !names.contains(&suite)
        {
            return Err(ReleaseError::OtherSuite { wanted: suite.to_owned(), found: names.join(" or ") });
        }
        if self.date > now.saturating_add(FUTURE_TOLERANCE) { Err(ReleaseError::FromTheFuture(self.date)) } else { Ok(()) }
    }

    /// Checks that it may still be used at `now`.
    ///
    /// # Errors
    /// [`ReleaseError::Expired`].
    pub fn check_valid_until(&self, now: u64) -> Result<(), ReleaseError> {
        match self.valid_until.filter(|end| *end <= now) {
            Some(end) => Err(ReleaseError::Expired(end)),
            None => Ok(()),
        }
    }

    /// Checks that it was not made before `kept`, the date of another Release of the same suite.
    ///
    /// # Errors
    /// [`ReleaseError::Older`].
    pub fn check_not_older(&self, kept: u64) -> Result<(), ReleaseError> {
        if self.date < kept { Err(ReleaseError::Older { found: self.date, kept }) } else { Ok(()) }
    }

    /// Checks that it offers this component and architecture.
    ///
    /// # Errors
    /// [`ReleaseError::Component`], [`ReleaseError::Architecture`].
    pub fn check_offer(&self, component: &str, arch: &str) -> Result<(), ReleaseError> {
        // The security archive calls its components “updates/main”, and has them at “main”: as apt does, the last part counts.
        let names = |one: &String, wanted: &str| one == wanted || one.rsplit('/').next() == Some(wanted);
        let lacks = |offered: &[String], wanted: &str| !offered.is_empty() && !offered.iter().any(|one| names(one, wanted));
        if lacks(&self.components, component) {
            return Err(ReleaseError::Component { wanted: component.to_owned(), offered: self.components.clone() });
        }
        // A repository that has only packages for all architectures serves every one of them.
        if lacks(&self.architectures, arch) && lacks(&self.architectures, "all") {
            return Err(ReleaseError::Architecture { wanted: arch.to_owned(), offered: self.architectures.clone() });
        }
        Ok(())
    }
}

const FIELDS: [&str; 11] = [
    "Suite",
    "Codename",
    "Date",
    "Valid-Until",
    "Acquire-By-Hash",
    "Architectures",
    "Components",
    "NotAutomatic",
    "ButAutomaticUpgrades",
    "No-Support-for-Architecture-all",
    "SHA256",
];

/// Lines of digest, size and path.
fn table(field: &Field<'_>) -> Result<BTreeMap<String, IndexFile>, ReleaseError> {
    let mut files = BTreeMap::new();
    for line in field.lines() {
        let read = || {
            let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
            let (sha256, size, path) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
            let size = size.bytes().all(|byte| byte.is_ascii_digit()).then(|| size.parse().ok())??;
            words.next().is_none().then(|| (path.to_owned(), IndexFile { sha256, size }))
        };
        let (path, file) = read().ok_or_else(|| refused("SHA256", line))?;
        if files.len() >= FILES_LIMIT || files.insert(path.clone(), file).is_some_and(|other| other != file) {
            return Err(ReleaseError::Table(path));
        }
    }
    Ok(files)
}

/// A date as RFC 2822 writes it, or with the zone names of HTTP: `Sat, 11 Jul 2026 10:16:37 UTC`.
fn date(text: &str) -> Option<u64> {
    let text = text.trim();
    let utc = ["UTC", "GMT", "Z"].iter().find_map(|zone| text.strip_suffix(zone)).map(|time| format!("{} +0000", time.trim_end()));
    let time = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(utc.as_deref().unwrap_or(text)).ok()?;
    time.as_second().try_into().ok()
}

fn refused(field: &'static str, value: &[u8]) -> ReleaseError {
    ReleaseError::Value { field, value: String::from_utf8_lossy(value).chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const DATE: u64 = 1_783_764_997;

    fn text(more: &str) -> String {
        format!(
            "Origin: Debian\nSuite: oldstable\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\n\
             Architectures: all amd64 arm64\nComponents: main contrib\n{more}MD5Sum:\n 0 1 x\nSHA256:\n {DIGEST}  10 main/binary-amd64/Packages\n\
             {DIGEST} 5 main/binary-amd64/Packages.xz\n"
        )
        .replace(&format!("\n{DIGEST}"), &format!("\n {DIGEST}"))
    }

    fn read(more: &str) -> Result<Release, ReleaseError> {
        Release::parse(text(more).as_bytes())
    }

    #[test]
    fn reads_what_it_says() {
        let release = read("No-Support-for-Architecture-all: Packages\nValid-Until: Sat, 18 Jul 2026 10:16:37 UTC\n").unwrap();
        assert_eq!((release.suite.as_deref(), release.codename.as_deref()), (Some("oldstable"), Some("bookworm")));
        assert_eq!((release.date, release.valid_until), (DATE, Some(DATE + 7 * 86_400)));
        assert!(release.by_hash && release.all_is_included);
        assert_eq!(release.architectures, ["all", "amd64", "arm64"]);
        let file = release.files["main/binary-amd64/Packages.xz"];
        assert_eq!((file.size, file.sha256.to_string().as_str()), (5, DIGEST));
        assert_eq!(release.files.len(), 2);
        let plain = read("").unwrap();
        assert!(!plain.all_is_included && plain.valid_until.is_none());
        let pins = ["", "NotAutomatic: yes\n", "NotAutomatic: yes\nButAutomaticUpgrades: yes\n", "ButAutomaticUpgrades: yes\n", "NotAutomatic: no\n"];
        assert_eq!(pins.map(|fields| read(fields).unwrap().automatic.pin()), [None, Some(1), Some(100), None, None]);
    }

    #[test]
    fn reads_dates_as_archives_write_them() {
        for text in [
            "Sat, 11 Jul 2026 10:16:37 UTC",
            "Sat, 11 Jul 2026 10:16:37 GMT",
            "Sat, 11 Jul 2026 10:16:37 +0000",
            "Sat, 11 Jul 2026 12:16:37 +0200",
            "11 Jul 2026 10:16:37 Z",
        ] {
            assert_eq!(date(text), Some(DATE), "{text}");
        }
        assert_eq!(date("Sat,  4 Jul 2026 10:16:37 UTC"), Some(DATE - 7 * 86_400));
        for text in ["", "yesterday", "2026-07-11", "Sat, 11 Jul 1926 10:16:37 UTC", "Sat, 31 Feb 2026 10:16:37 UTC"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_release() {
        assert!(matches!(read("Date: Sat, 11 Jul 2026 10:16:37 UTC\n"), Err(ReleaseError::Twice("Date"))));
        assert!(matches!(read("Valid-Until: soon\n"), Err(ReleaseError::Value { field: "Valid-Until", .. })));
        assert!(matches!(Release::parse(b"Date: Sat, 11 Jul 2026 10:16:37 UTC\n"), Err(ReleaseError::Missing("SHA256"))));
        assert!(matches!(Release::parse(b"SHA256:\n"), Err(ReleaseError::Missing("Date"))));
        assert!(matches!(Release::parse(b"<html>"), Err(ReleaseError::Syntax(_))));
        let broken = |from: &str, to: &str| Release::parse(text("").replace(from, to).as_bytes());
        assert!(matches!(broken(" 5 main", " -5 main"), Err(ReleaseError::Value { field: "SHA256", .. })));
        assert!(matches!(broken(DIGEST, "abc"), Err(ReleaseError::Value { field: "SHA256", .. })));
        assert_eq!(broken("Packages.xz", "Packages"), Err(ReleaseError::Table("main/binary-amd64/Packages".to_owned())));
    }

    #[test]
    fn is_checked_against_what_was_asked_for() {
        let release = read("").unwrap();
        for suite in ["bookworm", "oldstable"] {
            assert_eq!(release.check(Some(suite), DATE), Ok(()));
        }
        let other = release.check(Some("trixie"), DATE).unwrap_err();
        assert_eq!(other.to_string(), "it is the Release of bookworm or oldstable, not of trixie");
        assert_eq!(release.check(Some("bookworm"), DATE - 2 * 86_400), Err(ReleaseError::FromTheFuture(DATE)));
        assert_eq!(release.check_offer("main", "amd64"), Ok(()));
        assert!(matches!(release.check_offer("games", "amd64"), Err(ReleaseError::Component { .. })));
        let security = Release { components: vec!["updates/main".to_owned()], ..release.clone() };
        assert_eq!(security.check_offer("main", "amd64"), Ok(()));
        assert!(matches!(security.check_offer("updates", "amd64"), Err(ReleaseError::Component { .. })));
        let no_all = Release { architectures: vec!["arm64".to_owned()], ..release };
        assert!(matches!(no_all.check_offer("main", "amd64"), Err(ReleaseError::Architecture { .. })));
    }

    #[test]
    fn ends_when_it_says() {
        let release = read("Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\n").unwrap();
        let end = release.valid_until.unwrap();
        assert_eq!(release.check_valid_until(end - 1), Ok(()));
        let error = release.check_valid_until(end).unwrap_err();
        assert_eq!(error.to_string(), "it was valid until 2026-07-18 10:16 UTC");
        assert!(error.hint().is_some());
    }
}
