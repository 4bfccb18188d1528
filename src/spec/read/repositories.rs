//! `packageRepositories`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::{checked, checked_list, local};
use crate::distro::{Architecture, Packaging, Profile};
use crate::repo::folder::{self, FolderError};
use crate::repo::{DEFAULT_PIN, MirrorListKind};
use crate::spec::model::{PackageFile, PackageFolder, PackageRepository, RepositoryKey, Unverified};
use crate::spec::names;
use crate::yaml::{Field, Fields, Place, file_address, web_address};

/// The value of `pkey` that stands for no key at all, as in apt's sources.
const TRUSTED: &str = "[trusted=yes]";

/// The repositories with an address, and those that are folders. `profile` and `arch` are none if the target is wrong: what depends on it is not checked
/// then.
pub(super) fn read(field: &Field<'_>, profile: Option<&Profile>, arch: Option<Architecture>) -> (Vec<PackageRepository>, Vec<PackageFolder>) {
    let packaging = profile.map_or(Packaging::Deb, |profile| profile.packaging);
    let (mut repositories, mut folders) = (Vec::new(), Vec::new());
    // What each identity stands for.
    let mut known: BTreeMap<String, (Option<Place>, String)> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for item in field.list().unwrap_or_default() {
        let Some(mut fields) = item.fields() else { continue };
        let (id, what, is_folder) = if let Some(path) = fields.optional("path") {
            let Some(folder) = read_folder(fields, &path, arch, packaging) else { continue };
            let id = folder.id.clone();
            folders.push(folder);
            (id, (Some(item.place()), "the folder".to_owned()), true)
        } else {
            let Some(repository) = read_repository(fields, packaging) else { continue };
            let (id, codename, url) = (repository.id.clone(), repository.codename.clone(), repository.url.clone());
            repositories.push(repository);
            if let Some(first) = seen.insert((id.clone(), codename), item.place()) {
                item.error(&format!("is a second repository “{id}” with that codename; the first is in {}", item.line_of(first)));
            }
            (id, (None, format!("the repository at {url}")), false)
        };
        if let Some(profile) = profile
            && profile.archive(&id).is_some()
        {
            item.error_with_hint(&format!("has the id of an archive of {}: “{id}”", profile.name), "give it another id");
        }
        if let Some(other) = known.get(&id).filter(|other| is_folder || **other != what) {
            let place = other.0.map_or_else(String::new, |place| format!(" in {}", item.line_of(place)));
            item.error_with_hint(&format!("has the id of {}{place}: “{id}”", other.1), "give it another id");
        }
        known.entry(id).or_insert(what);
    }
    (repositories, folders)
}

fn read_repository(mut fields: Fields<'_>, packaging: Packaging) -> Option<PackageRepository> {
    fields.refuse("packages", "put them into a folder, and name it in path");
    let lists = lists(&mut fields, packaging);
    // The address of a list, with its query, can be no identity.
    let id = if lists.is_empty() { fields.optional("id") } else { fields.required("id") };
    let id = id.map(|field| checked(&field, names::repository_part));
    let codename = fields.required("codename").and_then(|field| checked(&field, names::codename));
    // One name for one folder.
    let codename = codename.map(|codename| match codename.strip_prefix("./").unwrap_or(&codename) {
        "" | "/" => "./".to_owned(),
        folder => folder.to_owned(),
    });
    let is_flat = codename.as_ref().is_some_and(|codename| codename.ends_with('/'));
    let (list, url) = match &lists[..] {
        [] => (None, fields.required("url").and_then(|field| web_address(&field))),
        [(kind, field), more @ ..] => {
            for other in more.iter().map(|(_, field)| field).chain(&fields.optional("url")) {
                other.error_with_hint("cannot be given beside a list of mirrors: one of them says where the repository is", "leave one of them out");
            }
            (Some(*kind), file_address(field))
        }
    };
    let components = fields.optional("component").map(|field| {
        if is_flat {
            field.error_with_hint("cannot be given: a codename with a slash at its end is a flat repository, which has none", "leave it out");
        }
        components(&field)
    });
    let proof = proof(&mut fields);
    let Choice { allow_packages, exclude_packages, priority } = choice(&mut fields, packaging);
    fields.finish();

    let url = url?;
    let id = id.unwrap_or_else(|| url.split_once("://").map(|(_, rest)| rest.to_owned()))?;
    let components = if is_flat { Vec::new() } else { components.unwrap_or_else(|| Some(vec!["main".to_owned()]))? };
    let (keys, unverified) = proof?;
    Some(PackageRepository {
        id,
        url,
        list,
        codename: codename?,
        components,
        keys,
        unverified,
        allow_packages,
        exclude_packages,
        priority: priority?,
    })
}

/// `metalink` and `mirrorlist`, where one is given.
fn lists<'n>(fields: &mut Fields<'n>, packaging: Packaging) -> Vec<(MirrorListKind, Field<'n>)> {
    let both = [("metalink", MirrorListKind::Metalink), ("mirrorlist", MirrorListKind::Mirrorlist)];
    let given = both.into_iter().filter_map(|(key, kind)| Some((kind, fields.optional(key)?)));
    let holds = |(_, field): &(_, Field<'_>)| {
        if packaging == Packaging::Deb {
            field
                .error_with_hint("cannot be given: only repositories of RPM packages have lists of mirrors", "name the address of one mirror in url");
        }
        packaging == Packaging::Rpm
    };
    given.filter(holds).collect()
}

/// `path`: a folder of packages.
fn read_folder(mut fields: Fields<'_>, path: &Field<'_>, arch: Option<Architecture>, packaging: Packaging) -> Option<PackageFolder> {
    for url in ["url", "metalink", "mirrorlist"].into_iter().filter_map(|key| fields.optional(key)) {
        url.error_with_hint("cannot be given beside path: a repository is at one place", "leave one of them out");
    }
    fields.refuse("packages", "put them into the folder");
    // Templates say of a folder that it is trusted, and has the component main.
    let says = |field: &Field<'_>, words: &[&str]| field.node().text().is_some_and(|text| words.contains(&text));
    let component = fields.optional("component").filter(|field| !says(field, &["main", ""]));
    let key = fields.optional("pkey").filter(|field| !says(field, &[TRUSTED]));
    let switch = fields.optional("insecureSkipVerify").filter(is_true);
    for field in [component, key, fields.optional("pkeys"), switch].into_iter().flatten() {
        field.error_with_hint("cannot be given beside path: the packages of a folder are taken as they are in it", "leave it out");
    }
    let codename = fields.optional("codename");
    let id = fields.optional("id").or(codename).map(|field| checked(&field, names::repository_part));
    let Choice { allow_packages, exclude_packages, priority } = choice(&mut fields, packaging);
    fields.finish();

    let id = id.unwrap_or_else(|| id_of_folder(path));
    let found = local::packages(path, packaging);
    let (id, (folder, files), priority) = (id?, found?, priority?);
    let packages = read_packages(path, &id, &folder, files, packaging, arch, priority)?;
    Some(PackageFolder { id, path: folder, packages, allow_packages, exclude_packages, priority })
}

/// What a folder is called that has no id: as its last part is written, wherever the spec lies.
fn id_of_folder(path: &Field<'_>) -> Option<String> {
    let written = path.text()?.value;
    let name = Path::new(&written).file_name().and_then(|name| name.to_str()).filter(|name| names::repository_part(name).is_ok());
    if name.is_none() {
        path.error_with_hint("has no name that could be the repository's id", "give it one, as in id: local");
    }
    name.map(str::to_owned)
}

/// Reads the packages of a folder, side by side. All mistakes in them are reported.
fn read_packages(
    field: &Field<'_>,
    id: &str,
    folder: &Path,
    files: Vec<String>,
    packaging: Packaging,
    arch: Option<Architecture>,
    priority: i32,
) -> Option<Vec<PackageFile>> {
    let Some(archive) = folder::archive(id, folder, priority).map(Arc::new) else {
        field.error("has no address of its own");
        return None;
    };
    // Where the target is wrong, only what fits every machine is looked at.
    let arch = match packaging {
        Packaging::Deb => arch.map_or("all", Architecture::debian),
        Packaging::Rpm => arch.map_or("noarch", Architecture::name),
    };
    let read: Vec<_> = files.into_par_iter().map(|file| (folder::read(folder, &file, &archive, packaging, arch), file)).collect();
    let mut packages: Vec<PackageFile> = Vec::new();
    let mut first: HashMap<_, usize> = HashMap::new();
    let mut holds = true;
    for (result, file) in read {
        let (digest, mut package) = match result {
            Ok(found) => found,
            Err(error) => {
                let hint = "take the file out of the folder, or put a good one in its place";
                field.error_with_hint(&format!("has a file that cannot be used: {file}: {}", in_words(&error)), hint);
                holds = false;
                continue;
            }
        };
        if let Some(record) = &package {
            let other = *first.entry(record.coordinates.clone()).or_insert(packages.len());
            if let Some(other) = packages.get(other) {
                if other.digest != digest {
                    let (name, version, arch) = (record.coordinates.name(), record.coordinates.version(), record.coordinates.arch());
                    let problem = format!("has two different files of {name} {version} ({arch}): {} and {file}", other.file);
                    field.error_with_hint(&problem, "take one of them out of the folder, or give the newer one another version");
                    holds = false;
                }
                package = None;
            }
        }
        packages.push(PackageFile { file, digest, package });
    }
    holds.then_some(packages)
}

/// An error and its causes; the name of the package in front is known.
fn in_words(error: &FolderError) -> String {
    let mut text = match error {
        FolderError::Package(crate::root::Error::BadPackage { problem, .. }) => problem.clone(),
        FolderError::Package(crate::root::Error::Unreadable { .. }) => "it cannot be read as a package".to_owned(),
        other => other.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What is taken from a repository, and in which order.
struct Choice {
    allow_packages: Vec<String>,
    exclude_packages: Vec<String>,
    /// None where it is wrong.
    priority: Option<i32>,
}

fn choice(fields: &mut Fields<'_>, packaging: Packaging) -> Choice {
    // Both ways of writing are in use.
    let allow = ["allowPackages", "AllowPackages"].map(|key| fields.optional(key));
    let exclude = fields.optional("excludePackages");
    let sorted = |lists: &[Option<Field<'_>>]| {
        let names = lists.iter().flatten().flat_map(|field| checked_list(field, |text| names::package_or_pattern(text, packaging)));
        names.collect::<BTreeSet<String>>().into_iter().collect()
    };
    let priority = fields.optional("priority").map(|field| field.integer(-9999, 9999));
    let priority = priority.map_or(Some(DEFAULT_PIN), |written| written.and_then(|located| i32::try_from(located.value).ok()));
    Choice { allow_packages: sorted(&allow), exclude_packages: sorted(&[exclude]), priority }
}

/// The keys of `pkey` and `pkeys`, or that there need be none: `insecureSkipVerify: true` or `pkey: "[trusted=yes]"`.
fn proof(fields: &mut Fields<'_>) -> Option<(Vec<RepositoryKey>, Option<Unverified>)> {
    let skips = fields.optional("insecureSkipVerify").filter(is_true);
    let list: Vec<_> = fields.optional("pkeys").and_then(|field| field.list()).unwrap_or_default();
    let one = if skips.is_none() && list.is_empty() { fields.required("pkey") } else { fields.optional("pkey") };
    let (trusts, one) = if one.as_ref().is_some_and(|field| field.node().text() == Some(TRUSTED)) { (one, None) } else { (None, one) };
    let is_given = one.is_some() || !list.is_empty();
    let keys: Vec<_> = one.into_iter().chain(list).map(|field| key(&field)).collect();
    let switches = [(skips, "insecureSkipVerify: true"), (trusts, "pkey: \"[trusted=yes]\"")];
    if let Some((field, switch)) = switches.into_iter().find_map(|(field, switch)| Some((field?, switch))) {
        if is_given {
            let hint = "leave it out, so that the key proves the repository, or leave the key out";
            field.error_with_hint("cannot be given beside a key: it says that no key is looked at", hint);
            return None;
        }
        let unverified = Unverified { switch, file: field.report().path_of(field.place()), line: field.place().line };
        return Some((Vec::new(), Some(unverified)));
    }
    let keys = keys.into_iter().collect::<Option<Vec<_>>>()?;
    let keys: Vec<_> = keys.into_iter().map(|file| RepositoryKey { path: file.path, digest: file.digest }).collect();
    (!keys.is_empty()).then_some((keys, None))
}

/// Whether a switch is on; what is neither on nor off is reported.
fn is_true(field: &Field<'_>) -> bool {
    field.boolean().is_some_and(|switch| switch.value)
}

/// `main contrib`: one or more, in the order of the spec.
fn components(field: &Field<'_>) -> Option<Vec<String>> {
    let text = checked(field, |text| {
        if text.trim().is_empty() {
            return Err("one or more components that spaces separate");
        }
        text.split_ascii_whitespace().try_for_each(names::repository_part)
    })?;
    let mut components: Vec<String> = Vec::new();
    for component in text.split_ascii_whitespace() {
        if !components.iter().any(|other| other == component) {
            components.push(component.to_owned());
        }
    }
    Some(components)
}

fn key(field: &Field<'_>) -> Option<local::LocalFile> {
    let text = field.text()?.value;
    if text.starts_with("http://") || text.starts_with("https://") {
        let hint = "download it, check its fingerprint, and name the file";
        field.error_with_hint("is an address, and a key that comes over the network proves nothing", hint);
        return None;
    }
    if text.starts_with('[') {
        let hint = "name the file with the repository's public key; only pkey: \"[trusted=yes]\" does without";
        field.error_with_hint("is no file with a key", hint);
        return None;
    }
    local::file(field)
}
