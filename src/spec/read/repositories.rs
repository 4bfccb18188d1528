//! `packageRepositories`.

use std::collections::BTreeMap;
use std::path::Path;

use super::{checked, local};
use crate::distro::Profile;
use crate::spec::model::PackageRepository;
use crate::spec::names;
use crate::yaml::{Field, web_address};

/// apt's default pin priority.
const DEFAULT_PRIORITY: i32 = 500;

/// `profile` is none if the target is wrong: what depends on it is not checked then.
pub(super) fn read(field: &Field<'_>, folder: &Path, profile: Option<&Profile>) -> Vec<PackageRepository> {
    let mut repositories: Vec<PackageRepository> = Vec::new();
    let mut seen = BTreeMap::new();
    for item in field.list().unwrap_or_default() {
        let Some(repository) = read_repository(&item, folder) else { continue };
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

fn read_repository(item: &Field<'_>, folder: &Path) -> Option<PackageRepository> {
    let mut fields = item.fields()?;
    fields.refuse("path", "make a signed repository of the folder, and name it as url: file:///…");
    fields.refuse("packages", "make a signed repository of them, and name it in url");
    fields.refuse("pkeys", "put the keys into one file and name it in pkey");
    fields.refuse("allowPackages", "rank the repository with priority");
    fields.refuse("insecureSkipVerify", "repositories are always verified: leave it out");
    let id = fields.optional("id").map(|field| checked(&field, names::repository_part));
    let codename = fields.required("codename").and_then(|field| checked(&field, names::repository_part));
    let url = fields.required("url").and_then(|field| web_address(&field));
    let components = fields.optional("component").map(|field| components(&field));
    let key = fields.required("pkey").and_then(|field| key(&field, folder));
    let priority = fields.optional("priority").map(|field| field.integer(-9999, 9999));
    fields.finish();

    let url = url?;
    let id = id.unwrap_or_else(|| url.split_once("://").map(|(_, rest)| rest.to_owned()))?;
    let components = components.unwrap_or_else(|| Some(vec!["main".to_owned()]))?;
    let priority = priority.map_or(Some(DEFAULT_PRIORITY), |written| written.and_then(|located| i32::try_from(located.value).ok()))?;
    let key = key?;
    Some(PackageRepository { id, url, codename: codename?, components, key: key.path, key_digest: key.digest, priority })
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

fn key(field: &Field<'_>, folder: &Path) -> Option<local::LocalFile> {
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
    if text.starts_with("file://") {
        field.error_with_hint("is an address", "write the path alone");
        return None;
    }
    local::file(field, folder)
}
