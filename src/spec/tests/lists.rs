//! Repositories by lists of their mirrors.

use std::fs;

use crate::repo::MirrorListKind;
use crate::spec::{LoadError, Loaded, load};

fn load_with(repositories: &str) -> Result<Loaded, LoadError> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key"), "key").unwrap();
    let text = format!("image: {{name: a, version: '1'}}\ntarget: {{dist: fedora43, arch: x86_64}}\npackageRepositories: [{repositories}]\n");
    fs::write(dir.path().join("spec.yml"), text).unwrap();
    load(&dir.path().join("spec.yml"))
}

#[test]
fn a_list_of_mirrors_takes_the_place_of_the_address() {
    let metalink = "{id: updates, codename: x, metalink: 'https://h/metalink?repo=updates&arch=x86_64', pkey: key}";
    let mirrorlist = metalink.replace("metalink: ", "mirrorlist: ");
    let spec = |text: &str| load_with(text).unwrap_or_else(|error| panic!("{error}"));
    let [first, second] = [metalink, &mirrorlist].map(spec);
    let repository = &first.spec.repositories[0];
    assert_eq!((repository.url.as_str(), repository.list), ("https://h/metalink?repo=updates&arch=x86_64", Some(MirrorListKind::Metalink)));
    assert_eq!(second.spec.repositories[0].list, Some(MirrorListKind::Mirrorlist));
    assert_ne!(first.hash(None), second.hash(None));
}

#[test]
fn what_no_list_can_be_is_told() {
    for (repository, reason) in [
        ("{codename: x, metalink: 'https://h/m', pkey: key}", "packageRepositories[0].id is missing"),
        ("{id: a, codename: x, metalink: 'https://h/m', url: 'https://h', pkey: key}", "packageRepositories[0].url cannot be given beside a list"),
        ("{id: a, codename: x, metalink: 'https://h/m', mirrorlist: 'https://h', pkey: key}", "mirrorlist cannot be given beside a list"),
        ("{id: a, codename: x, metalink: 'https://h/m?a b', pkey: key}", "metalink is not the address"),
        ("{id: a, codename: x, mirrorlist: 'https://me:secret@h/m', pkey: key}", "mirrorlist has a user or password"),
        ("{path: ., metalink: 'https://h/m'}", "metalink cannot be given beside path"),
    ] {
        let error = load_with(repository).unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains("secret"), "{error}");
    }
}
