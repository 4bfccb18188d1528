//! `packageRepositories`.

use std::collections::{BTreeMap, BTreeSet};

use super::{checked, checked_list, local};
use crate::distro::Profile;
use crate::spec::model::{PackageRepository, RepositoryKey};
use crate::spec::names;
use crate::yaml::{Field, Fields, web_address};

/// apt's default pin priority.
const DEFAULT_PRIORITY: i32 = 500;

/// `profile` is none if the target is wrong: what depends on it is not checked then.
pub(super) fn read(field: &Field<'_>, profile: Option<&Profile>) -> Vec<PackageRepository> {
    let mut repositories: Vec<PackageRepository> = Vec::new();
    let mut seen = BTreeMap::new();
    for item in field.list().unwrap_or_default() {
        let Some(repository) = read_repository(&item) else { continue };
        if let Some(profile) = profile
            && profile.archive(&repository.id).is_some()
        {
            item.error_with_hint(&format!("has the id of an archive of {}: “{}”", profile.name, repository.id), "give it another id");
        }
        if let Some(first) = seen.insert((repository.id.clone(), repository.codename.clone()), item.place()) {
            item.error(&format!("is a second repository “{}” with that codename; the first is in line {}", repository.id, first.line));
        }
        if let Some(other) = repositories.iter().find(|other| other.id == repository.id && other.url != repository.url) {
            item.error(&format!("has the id of the repository at {}", other.url));
        }
        repositories.push(repository);
    }
    repositories
}

fn read_repository(item: &Field<'_>) -> Option<PackageRepository> {
    let mut fields = item.fields()?;
    fields.refuse("path", "make a signed repository of the folder, and name it as url: file:///…");
    fields.refuse("packages", "make a signed repository of them, and name it in url");
    fields.refuse("insecureSkipVerify", "repositories are always verified: leave it out");
    let id = fields.optional("id").map(|field| checked(&field, names::repository_part));
    let codename = fields.required("codename").and_then(|field| checked(&field, names::codename));
    // One name for one folder.
    let codename = codename.map(|codename| codename.strip_prefix("./").filter(|folder| !folder.is_empty()).map_or(codename.clone(), str::to_owned));
    let is_flat = codename.as_ref().is_some_and(|codename| codename.ends_with('/'));
    let url = fields.required("url").and_then(|field| web_address(&field));
    let components = fields.optional("component").map(|field| {
        if is_flat {
            field.error_with_hint("cannot be given: a codename with a slash at its end is a flat repository, which has none", "leave it out");
        }
        components(&field)
    });
    let keys = keys(&mut fields);
    // Both ways of writing are in use.
    let lists = [fields.optional("allowPackages"), fields.optional("AllowPackages")];
    let allow: BTreeSet<String> = lists.iter().flatten().flat_map(|field| checked_list(field, names::package_or_pattern)).collect();
    let priority = fields.optional("priority").map(|field| field.integer(-9999, 9999));
    fields.finish();

    let url = url?;
    let id = id.unwrap_or_else(|| url.split_once("://").map(|(_, rest)| rest.to_owned()))?;
    let components = if is_flat { Vec::new() } else { components.unwrap_or_else(|| Some(vec!["main".to_owned()]))? };
    let priority = priority.map_or(Some(DEFAULT_PRIORITY), |written| written.and_then(|located| i32::try_from(located.value).ok()))?;
    Some(PackageRepository { id, url, codename: codename?, components, keys: keys?, allow_packages: allow.into_iter().collect(), priority })
}

/// The keys of `pkey` and `pkeys`.
fn keys(fields: &mut Fields<'_>) -> Option<Vec<RepositoryKey>> {
    let list = fields.optional("pkeys").map(|field| field.list().unwrap_or_default());
    let one = if list.as_ref().is_some_and(|list| !list.is_empty()) { fields.optional("pkey") } else { fields.required("pkey") };
    let keys: Vec<_> = one.into_iter().chain(list.into_iter().flatten()).map(|field| key(&field)).collect();
    let keys: Option<Vec<_>> = keys.into_iter().collect();
    let keys = keys?.into_iter().map(|file| RepositoryKey { path: file.path, digest: file.digest }).collect::<Vec<_>>();
    (!keys.is_empty()).then_some(keys)
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
        field.error_with_hint("cannot be left unchecked: repositories are always verified", "name the file with the repository's public key");
        return None;
    }
    local::file(field)
}
