//! Where the packages of a spec come from: the profile's archives at the host's own mirrors, and the spec's own repositories.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Error, Request};
use crate::distro::{Packaging, Profile, ProfileArchive};
use crate::progress::{Event, Progress};
use crate::repo::deb::sources::{self, AptSource, SourcesError};
use crate::repo::{ArchiveConfig, DEFAULT_PIN, Keyring, MirrorList, PackageRecord, SuiteConfig, Trust, pattern};
use crate::spec::Spec;
use crate::spec::model::{PackageRepository, RepositoryKey, Unverified};

/// The archives of a build, those of the profile first.
pub(super) fn configure(request: &Request) -> Result<Vec<ArchiveConfig>, Error> {
    let profile = request.spec.profile;
    // A build without a network needs no addresses.
    let host = if request.offline { Vec::new() } else { host_sources(profile, &request.mirrors, Path::new("/"))? };
    let arch = profile.arch(request.spec.spec.target.arch);
    let mut archives = Vec::new();
    for archive in profile.archives {
        let mirrors = mirrors(request, archive, &host);
        if mirrors.is_empty() && !request.offline {
            return Err(Error::NoMirror { archive: archive.id.to_owned(), profile: profile.name.to_owned() });
        }
        archives.push(ArchiveConfig {
            id: archive.id.to_owned(),
            mirrors,
            list: None,
            packaging: profile.packaging,
            suites: archive.suites.iter().map(|name| suite(&name.replace("{arch}", arch), archive.components)).collect(),
            pin: DEFAULT_PIN,
            trust: profile_trust(request, archive)?,
            allow: Vec::new(),
            exclude: Vec::new(),
        });
    }
    for repository in &request.spec.spec.repositories {
        archives.push(ArchiveConfig {
            id: repository.id.clone(),
            mirrors: if repository.list.is_none() { vec![repository.url.clone()] } else { Vec::new() },
            list: repository.list.map(|kind| MirrorList { url: repository.url.clone(), kind }),
            packaging: profile.packaging,
            suites: match profile.packaging {
                Packaging::Deb => vec![suite(&repository.codename, &repository.components)],
                // The address is that of the repository itself; what the spec calls it is for people.
                Packaging::Rpm => vec![suite::<&str>("./", &[])],
            },
            pin: repository.priority,
            trust: own_trust(repository, profile.packaging)?,
            allow: repository.allow_packages.clone(),
            exclude: repository.exclude_packages.clone(),
        });
    }
    Ok(archives)
}

/// What proves the lists of each archive of a build: as [`configure`] has it, without asking where the archives are.
pub(super) fn trusts(request: &Request) -> Result<Vec<(String, Trust)>, Error> {
    let of_profile = request.spec.profile.archives.iter().map(|archive| Ok((archive.id.to_owned(), profile_trust(request, archive)?)));
    let packaging = request.spec.profile.packaging;
    let own = request.spec.spec.repositories.iter().map(|repository| Ok((repository.id.clone(), own_trust(repository, packaging)?)));
    of_profile.chain(own).collect()
}

fn profile_trust(request: &Request, archive: &ProfileArchive) -> Result<Trust, Error> {
    let configured = request.keyrings.get(archive.id);
    let path = configured.map_or(Path::new(archive.keyring.path), |path| path.as_path());
    let package = configured.is_none().then_some((request.spec.profile.packaging, archive.keyring.package));
    let keys = keyring(archive.id, path, package)?;
    Ok(if archive.unsigned_lists { Trust::Packages(keys) } else { Trust::Keys(keys) })
}

fn own_trust(repository: &PackageRepository, packaging: Packaging) -> Result<Trust, Error> {
    Ok(match packaging {
        _ if repository.unverified.is_some() => Trust::Unverified,
        Packaging::Deb => Trust::Keys(keys(repository)?),
        // Few sign more than their packages.
        Packaging::Rpm => Trust::Packages(keys(repository)?),
    })
}

/// Ends what asks a repository that nothing proves, unless the user allows it: then there is a warning of each.
pub(super) fn check_trust(request: &Request, progress: &dyn Progress) -> Result<(), Error> {
    let unverified = request.spec.spec.repositories.iter().filter_map(|repository| Some((repository, repository.unverified.as_ref()?)));
    let told = unverified.map(|(PackageRepository { id, .. }, Unverified { switch, file, line })| {
        format!("{}:{line}: the repository “{id}” is not verified ({switch})", file.display())
    });
    let told: Vec<String> = told.collect();
    if !request.allow_untrusted && !told.is_empty() {
        return Err(Error::Untrusted(told));
    }
    for told in told {
        progress.report(Event::Warning(&format!("{told}: whoever answers for it decides what is in the image")));
    }
    Ok(())
}

/// All keys that a repository of the spec may be signed with.
fn keys(repository: &PackageRepository) -> Result<Keyring, Error> {
    let read = |keys: Keyring, key: &RepositoryKey| Ok(keys.with(keyring(&repository.id, &key.path, None)?));
    repository.keys.iter().try_fold(Keyring::default(), read)
}

/// The packages of the spec's folders.
pub(super) fn of_folders(spec: &Spec) -> impl Iterator<Item = &PackageRecord> {
    spec.folders.iter().flat_map(|folder| {
        let packages = folder.packages.iter().filter_map(|file| file.package.as_ref());
        packages.filter(|package| pattern::takes(&folder.allow_packages, &folder.exclude_packages, package.coordinates.name()))
    })
}

fn suite<S: AsRef<str>>(name: &str, components: &[S]) -> SuiteConfig {
    SuiteConfig { name: name.to_owned(), components: components.iter().map(|component| component.as_ref().to_owned()).collect() }
}

/// The apt sources of the host at `root`; not read where all addresses are configured, so that a host whose sources cannot be read can be helped.
fn host_sources(profile: &Profile, configured: &BTreeMap<String, Vec<String>>, root: &Path) -> Result<Vec<AptSource>, SourcesError> {
    if profile.archives.iter().all(|archive| configured.contains_key(archive.id) || !archive.published.is_empty()) {
        Ok(Vec::new())
    } else {
        sources::read(root)
    }
}

fn mirrors(request: &Request, archive: &crate::distro::ProfileArchive, host: &[AptSource]) -> Vec<String> {
    match request.mirrors.get(archive.id) {
        Some(configured) => configured.clone(),
        None if !archive.published.is_empty() => archive.published.iter().map(|address| (*address).to_owned()).collect(),
        None => sources::mirrors_for(host, archive.mirror_suffix, archive.suites, archive.components),
    }
}

/// Also offline: what the store keeps is proven each time it is used.
fn keyring(archive: &str, path: &Path, package: Option<(Packaging, &'static str)>) -> Result<Keyring, Error> {
    Keyring::read(path).map_err(|source| Error::Keyring { archive: archive.to_owned(), package, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_addresses_help_where_the_hosts_sources_are_broken() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/apt")).unwrap();
        std::fs::write(root.path().join("etc/apt/sources.list"), "deb\n").unwrap();
        let profile = crate::distro::find("debian12").unwrap();
        let mut configured = BTreeMap::from([("debian".to_owned(), vec!["http://host/debian".to_owned()])]);
        assert!(host_sources(profile, &configured, root.path()).is_err());
        configured.insert("debian-security".to_owned(), vec!["http://host/debian-security".to_owned()]);
        assert_eq!(host_sources(profile, &configured, root.path()).unwrap(), []);
    }
}
