//! Which files of an archive belong together: a suite of a Debian archive, a flat repository, or an RPM repository.
//!
//! The last two are named by the path of their folder with a slash at its end; `./` is the archive's own.

/// Whether a file of an archive belongs to a suite: it lies beneath `dists/` there, and of a repository that is named by its folder, in that folder or in its
/// `repodata`.
pub(super) fn has(suite: &str, path: &str) -> bool {
    if !suite.ends_with('/') {
        return path.strip_prefix("dists/").and_then(|rest| rest.strip_prefix(suite)).is_some_and(|rest| rest.starts_with('/'));
    }
    let Some(file) = path.strip_prefix(suite.strip_prefix("./").unwrap_or(suite)) else { return false };
    !file.strip_prefix("repodata/").unwrap_or(file).contains('/')
}

/// The suite of which this file says the state: what all its other files are proven by.
pub(super) fn of_state(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let repository = |folder: &str| if folder.is_empty() { "./".to_owned() } else { format!("{folder}/") };
    match name {
        "InRelease" | "Release" => Some(folder.strip_prefix("dists/").map_or_else(|| repository(folder), str::to_owned)),
        "repomd.xml" if folder == "repodata" => Some(repository("")),
        "repomd.xml" => Some(repository(folder.strip_suffix("/repodata")?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_has_its_own_files() {
        for (suite, path) in [
            ("stable", "dists/stable/InRelease"),
            ("./", "InRelease"),
            ("a/b/", "a/b/Packages"),
            ("base/x86_64/", "base/x86_64/repodata/repomd.xml"),
            ("base/x86_64/", "base/x86_64/repodata/primary.xml.gz"),
            ("./", "repodata/repomd.xml.asc"),
        ] {
            assert!(has(suite, path), "{suite} {path}");
        }
        for (suite, path) in [
            ("stable", "dists/stable-updates/InRelease"),
            ("./", "dists/stable/InRelease"),
            ("a/", "a/b/Packages"),
            ("a/", "InRelease"),
            ("base/", "base/x86_64/repodata/repomd.xml"),
            ("./", "base/repodata/repomd.xml"),
        ] {
            assert!(!has(suite, path), "{suite} {path}");
        }
    }

    #[test]
    fn a_state_belongs_to_its_suite() {
        for (path, suite) in [
            ("dists/stable/InRelease", Some("stable")),
            ("dists/bookworm/updates/Release", Some("bookworm/updates")),
            ("InRelease", Some("./")),
            ("a/b/Release", Some("a/b/")),
            ("repodata/repomd.xml", Some("./")),
            ("base/x86_64/repodata/repomd.xml", Some("base/x86_64/")),
            ("base/x86_64/repomd.xml", None),
            ("dists/stable/main/binary-amd64/Packages.xz", None),
        ] {
            assert_eq!(of_state(path).as_deref(), suite, "{path}");
            assert!(suite.is_none_or(|suite| has(suite, path)), "{path}");
        }
    }
}
