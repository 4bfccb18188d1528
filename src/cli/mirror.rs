//! `--mirror ARCHIVE=URL`.

use std::collections::BTreeMap;

use image_composer::distro::{PROFILES, Profile};
use image_composer::spec::Loaded;
use image_composer::yaml::archive_address;

use super::{Error, Result};

/// An address to use for an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    archive: String,
    url: String,
}

impl Mirror {
    /// Reads the value of one flag. Not left to the parser of the command line, because that would show an address that has a password in it.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let form = || Error::usage("--mirror has a value without “=”", "write ARCHIVE=URL, such as debian=https://host/debian");
        let (archive, url) = text.split_once('=').ok_or_else(form)?;
        if PROFILES.iter().all(|profile| profile.archive(archive).is_none()) {
            return Err(Error::usage(format!("--mirror: there is no archive “{archive}”"), format!("the archives are {}", names(PROFILES))));
        }
        let url = archive_address(url).map_err(|error| Error::usage(format!("--mirror {archive}=…: the address {error}"), error.hint()))?;
        Ok(Self { archive: archive.to_owned(), url })
    }

    /// Those that a profile uses.
    pub(super) fn of_profile(mirrors: &[Self], profile: &Profile) -> Vec<Self> {
        mirrors.iter().filter(|mirror| profile.archive(&mirror.archive).is_some()).cloned().collect()
    }

    /// Refuses a mirror that none of the specs can use.
    pub(super) fn check_used(mirrors: &[Self], specs: &[&Loaded]) -> Result {
        let unused = |mirror: &&Self| !specs.is_empty() && specs.iter().all(|spec| spec.profile.archive(&mirror.archive).is_none());
        let Some(mirror) = mirrors.iter().find(unused) else { return Ok(()) };
        let message = format!("--mirror {}=…: no spec uses the archive “{}”", mirror.archive, mirror.archive);
        Err(Error::usage(message, format!("the archives of the specs are {}", names(specs.iter().map(|spec| spec.profile)))))
    }
}

/// Puts the flags' mirrors in the place of the configuration's: an archive that is named here has these addresses only, in their order.
///
/// # Errors
/// A mirror of an archive that the profile does not use: it would have no effect.
pub(super) fn apply(flags: Vec<Mirror>, profile: &Profile, mirrors: &mut BTreeMap<String, Vec<String>>) -> Result {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Mirror { archive, url } in flags {
        if profile.archive(&archive).is_none() {
            let known = names(std::slice::from_ref(profile));
            return Err(Error::usage(
                format!("--mirror {archive}=…: {} has no archive “{archive}”", profile.name),
                format!("its archives are {known}"),
            ));
        }
        named.entry(archive).or_default().push(url);
    }
    mirrors.extend(named);
    Ok(())
}

/// The identities of the profiles' archives, sorted.
fn names<'p>(profiles: impl IntoIterator<Item = &'p Profile>) -> String {
    let mut ids: Vec<_> = profiles.into_iter().flat_map(|profile| profile.archives).map(|archive| archive.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.join(", ")
}

#[cfg(test)]
mod tests {
    use image_composer::distro;

    use super::*;

    fn mirror(text: &str) -> Mirror {
        Mirror::parse(text).unwrap()
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        for (text, expected) in [
            ("http://me:secret@h/debian", "--mirror has a value without “=”"),
            ("debain=http://h/debian", "there is no archive “debain”"),
            ("debian=h/debian", "is not the address of an archive"),
            ("debian=http://me:secret@h/debian", "has a user or password in it"),
        ] {
            let error = Mirror::parse(text).unwrap_err();
            assert!(error.to_string().contains(expected) && !format!("{error:?}").contains("secret"), "{error:?}");
        }
        let debian = distro::find("debian12").unwrap();
        let error = apply(vec![mirror("ubuntu=http://h/ubuntu")], debian, &mut BTreeMap::new()).unwrap_err();
        assert_eq!(error.to_string(), "--mirror ubuntu=…: debian12 has no archive “ubuntu”");
    }

    #[test]
    fn flags_replace_the_configuration_archive_by_archive() {
        let list = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let mut mirrors = BTreeMap::from([("debian".to_owned(), list(&["http://c/d"])), ("debian-security".to_owned(), list(&["http://c/s"]))]);
        let flags = vec![mirror("debian=http://b/d/"), mirror("debian=http://a/d")];
        apply(flags, distro::find("debian12").unwrap(), &mut mirrors).unwrap();
        assert_eq!(mirrors["debian"], ["http://b/d", "http://a/d"]);
        assert_eq!(mirrors["debian-security"], ["http://c/s"]);
    }
}
