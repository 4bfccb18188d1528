//! Relations between packages: `Depends: a (>= 1) | b:any, c [amd64]` (Debian Policy §7.1, `deb-control(5)`).
//!
//! As lenient as apt where real archives are odd: empty entries, missing spaces, and the operators `<` and `>` of the time before dpkg 1.4.

use std::fmt;

use crate::repo::record::{AnyOf, Comparison, Provide, Requirement};

/// The most entries that a field may have. Debian's longest (a meta package's `Depends`) is below 3,000.
const ENTRIES_LIMIT: usize = 20_000;

/// A relation field that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// An entry is not of the form `name[:arch] [(operator version)] [[architectures]] [<profiles>]`.
    #[error("“{0}” is no relation")]
    Malformed(String),
    /// There are alternatives where the field has none (`Conflicts`, `Provides` and the like).
    #[error("“{0}” has alternatives, which this field cannot have")]
    Alternatives(String),
    /// A package provides something in a range of versions.
    #[error("“{0}” provides no exact version")]
    Range(String),
    /// More than 20,000 entries.
    #[error("there are more than {ENTRIES_LIMIT} entries")]
    TooMany,
}

/// A requirement as it is written.
struct Stated<'a> {
    name: &'a str,
    arch: Option<&'a str>,
    version: Option<(Comparison, &'a str)>,
}

impl Stated<'_> {
    fn to_requirement(&self) -> Requirement {
        let version = self.version.map(|(comparison, version)| (comparison, version.to_owned()));
        Requirement { name: self.name.to_owned(), arch: self.arch.map(str::to_owned), version, with: Vec::new(), without: Vec::new() }
    }
}

/// Reads `Depends`, `Pre-Depends` or `Recommends` for a package that is installed on `arch`.
///
/// Entries that are restricted to other architectures are left out.
pub fn any_ofs(text: &str, arch: &str) -> Result<Vec<AnyOf>, RelationError> {
    let mut all: Vec<AnyOf> = Vec::with_capacity(text.bytes().filter(|byte| *byte == b',').count().min(ENTRIES_LIMIT) + 1);
    walk(text, arch, true, |is_alternative, stated| match all.last_mut() {
        Some(any_of) if is_alternative => any_of.0.push(stated.to_requirement()),
        _ => all.push(AnyOf(vec![stated.to_requirement()])),
    })?;
    Ok(all)
}

/// Reads `Conflicts`, `Breaks` or `Replaces` for a package that is installed on `arch`.
pub fn requirements(text: &str, arch: &str) -> Result<Vec<Requirement>, RelationError> {
    let mut all = Vec::new();
    walk(text, arch, false, |_, stated| all.push(stated.to_requirement()))?;
    Ok(all)
}

/// Reads `Provides` for a package that is installed on `arch`.
pub fn provides(text: &str, arch: &str) -> Result<Vec<Provide>, RelationError> {
    let (mut all, mut range) = (Vec::new(), None);
    walk(text, arch, false, |_, stated| {
        // What is provided for another architecture (`name:i386`) stands for nothing here.
        if stated.arch.is_some_and(|provided| provided != arch && provided != "any") {
            return;
        }
        if stated.version.is_some_and(|(comparison, _)| comparison != Comparison::Equal) {
            range.get_or_insert_with(|| shorten(&stated.to_requirement().to_string()));
        }
        let version = stated.version.map(|(comparison, version)| (comparison, version.to_owned()));
        all.push(Provide { name: stated.name.to_owned(), version });
    })?;
    range.map_or(Ok(all), |entry| Err(RelationError::Range(entry)))
}

/// Whether `text` can be read by [`any_ofs`] or, without alternatives, by [`requirements`]: their errors, and nothing kept.
pub(super) fn check(text: &str, arch: &str, alternatives: bool) -> Result<(), RelationError> {
    walk(text, arch, alternatives, |_, _| {})
}

/// Shows all requirements of a field to `take`, in their order, each with whether it is an alternative to the one before it.
fn walk<'a>(text: &'a str, arch: &str, alternatives: bool, mut take: impl FnMut(bool, Stated<'a>)) -> Result<(), RelationError> {
    let mut entries = 0;
    for entry in text.split(',').map(str::trim_ascii).filter(|entry| !entry.is_empty()) {
        if !alternatives && entry.contains('|') {
            return Err(RelationError::Alternatives(shorten(entry)));
        }
        let mut is_alternative = false;
        for alternative in entry.split('|') {
            let Some(stated) = requirement(alternative, arch)? else { continue };
            if !is_alternative {
                entries += 1;
                if entries > ENTRIES_LIMIT {
                    return Err(RelationError::TooMany);
                }
            }
            take(is_alternative, stated);
            is_alternative = true;
        }
    }
    Ok(())
}

/// One requirement, or none if it is restricted to other architectures or to build profiles.
fn requirement<'a>(text: &'a str, arch: &str) -> Result<Option<Stated<'a>>, RelationError> {
    let text = text.trim_ascii();
    let malformed = || RelationError::Malformed(shorten(text));
    let name_end = text.bytes().position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'(' | b'[' | b'<')).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(name_end);
    let (name, qualifier) = match name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (name, None),
    };
    if !is_name(name) || qualifier.is_some_and(|qualifier| !is_name(qualifier)) {
        return Err(malformed());
    }
    let (mut version, mut applies) = (None, true);
    loop {
        rest = rest.trim_ascii_start();
        let Some(opening) = rest.bytes().next() else { break };
        let closing = match opening {
            b'(' => ')',
            b'[' => ']',
            b'<' => '>',
            _ => return Err(malformed()),
        };
        let (inside, after) = rest[1..].split_once(closing).ok_or_else(malformed)?;
        rest = after;
        match opening {
            b'(' if version.is_none() => version = Some(version_of(inside).ok_or_else(malformed)?),
            b'[' => applies &= covers(inside, arch),
            // Build profiles: binary packages are not built here, so none is active, and only what says “not this one” (`<!nocheck>`) holds.
            b'<' => applies &= inside.split_ascii_whitespace().all(|profile| profile.starts_with('!')),
            _ => return Err(malformed()),
        }
    }
    Ok(applies.then_some(Stated { name, arch: qualifier, version }))
}

/// What stands in the parentheses: `>= 1.0`.
fn version_of(text: &str) -> Option<(Comparison, &str)> {
    let text = text.trim_ascii();
    let (operator, version) = text.split_at(text.bytes().take_while(|byte| matches!(byte, b'<' | b'=' | b'>')).count());
    let comparison = match operator {
        "<<" => Comparison::Earlier,
        // Before dpkg 1.4 `<` and `>` meant “or equal”, and they still do.
        "<=" | "<" => Comparison::EarlierOrEqual,
        "=" | "" => Comparison::Equal,
        ">=" | ">" => Comparison::LaterOrEqual,
        ">>" => Comparison::Later,
        _ => return None,
    };
    let version = version.trim_ascii();
    (!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_graphic())).then_some((comparison, version))
}

/// Whether a restriction such as `amd64 arm64`, `!i386` or `linux-any` covers `arch` (Debian Policy §7.1 and §11.1).
fn covers(restriction: &str, arch: &str) -> bool {
    let mut negated = false;
    for pattern in restriction.split_ascii_whitespace() {
        let (inner, not) = pattern.strip_prefix('!').map_or((pattern, false), |inner| (inner, true));
        let matches =
            inner == arch || matches!(inner, "any" | "linux-any") || inner.strip_prefix("any-").or(inner.strip_prefix("linux-")) == Some(arch);
        if matches {
            return !not;
        }
        negated |= not;
    }
    negated
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b'~'))
}

fn shorten(text: &str) -> String {
    text.chars().take(80).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

impl Comparison {
    /// The operator as control files write it.
    pub fn operator(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(arch) = &self.arch {
            write!(f, ":{arch}")?;
        }
        if let Some((comparison, version)) = &self.version {
            write!(f, " ({} {version})", comparison.operator())?;
        }
        Ok(())
    }
}

impl fmt::Display for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, requirement) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" | ")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Provide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.version.as_ref().map_or(Ok(()), |(comparison, version)| write!(f, " ({} {version})", comparison.operator()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        any_ofs(text, "amd64").unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn reads_what_archives_write() {
        for (text, expected) in [
            ("libc6 (>= 2.36), default-mta | mail-transport-agent", "libc6 (>= 2.36), default-mta | mail-transport-agent"),
            ("a(>=1)|b:any(<<2~)", "a (>= 1) | b:any (<< 2~)"),
            (" a ,, b, ", "a, b"),
            ("a (< 1), b (> 2), c (= 1:2-3)", "a (<= 1), b (>= 2), c (= 1:2-3)"),
            ("a,\n b\n | c", "a, b | c"),
            ("a [amd64], b [arm64], c [!amd64], d [!i386], e [linux-any], f [hurd-any] | g", "a, d, e, g"),
            ("a <!nocheck>, b <cross>", "a"),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_relation() {
        for text in ["a b", "a (>= 1", "a (>= )", "a (~ 1)", "(>= 1)", "a (>= 1) (<< 2)", "a:", ":any", "a | | b", "ä", "a (>= 1 2)", "a ]"] {
            assert!(matches!(any_ofs(text, "amd64"), Err(RelationError::Malformed(_))), "{text}");
        }
        assert!(matches!(requirements("a | b", "amd64"), Err(RelationError::Alternatives(_))));
        assert!(matches!(provides("a (>= 1)", "amd64"), Err(RelationError::Range(_))));
        assert!(matches!(any_ofs(&"a,".repeat(ENTRIES_LIMIT + 1), "amd64"), Err(RelationError::TooMany)));
    }

    #[test]
    fn provides_for_other_architectures_are_left_out() {
        let provided = provides("a (= 1), b:amd64, c:i386, d:any", "amd64").unwrap();
        assert_eq!(provided.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a (= 1)", "b", "d"]);
    }

    prop_compose! {
        fn any_requirement()(
            name in "[a-z0-9][a-z0-9+.-]{0,12}",
            arch in proptest::option::of(prop_oneof![Just("any".to_owned()), Just("native".to_owned()), Just("arm64".to_owned())]),
            version in proptest::option::of((0..5_usize, "[0-9][A-Za-z0-9.+:~-]{0,10}")),
        ) -> Requirement {
            let comparisons = [Comparison::Earlier, Comparison::EarlierOrEqual, Comparison::Equal, Comparison::LaterOrEqual, Comparison::Later];
            Requirement { name, arch, version: version.map(|(comparison, version)| (comparisons[comparison], version)), with: Vec::new(), without: Vec::new() }
        }
    }

    proptest! {
        #[test]
        fn round_trips(relations in proptest::collection::vec(proptest::collection::vec(any_requirement(), 1..4).prop_map(AnyOf), 0..6)) {
            let text = relations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(any_ofs(&text, "amd64").unwrap(), relations);
        }

        #[test]
        fn never_panics(text in "[a-b:()<>=|,\\[\\] !é\n]{0,40}") {
            let (any_ofs, requirements) = (any_ofs(&text, "amd64").map(|_| ()), requirements(&text, "amd64").map(|_| ()));
            prop_assert_eq!(check(&text, "amd64", true), any_ofs);
            prop_assert_eq!(check(&text, "amd64", false), requirements);
            let _ = provides(&text, "amd64");
        }
    }
}
