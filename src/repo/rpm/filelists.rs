//! `filelists.xml`: all files of all packages, read as a stream.
//!
//! `primary.xml` names the files of `/etc` and of the folders of programs alone. A list of all is ten times as long, so it is asked for only where a package
//! needs another file, and nothing of it is kept in memory but who has the files that were asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::xml::{Step, Steps, XmlError};
use crate::digest::Sha256;

/// The packages that have some of the `wanted` files (absolute paths), by the digests of their own files, each with those.
///
/// # Errors
/// What is no such list.
pub fn owners(input: impl BufRead, wanted: &BTreeSet<String>) -> Result<BTreeMap<Sha256, Vec<String>>, XmlError> {
    let mut steps = Steps::new(input);
    let mut owners: BTreeMap<Sha256, Vec<String>> = BTreeMap::new();
    let mut is_list = false;
    let mut package: Option<Sha256> = None;
    let mut path = String::new();
    loop {
        match steps.next()? {
            Step::Open(element) => match element.name.as_str() {
                "filelists" => is_list = true,
                // What has another digest is not in the list of packages either.
                "package" => package = element.attribute("pkgid").and_then(|digest| digest.parse().ok()),
                _ => path.clear(),
            },
            Step::Text(text) => path.push_str(&text),
            Step::Close(name) if name == "file" => {
                if let Some(package) = package.filter(|_| wanted.contains(&path)) {
                    let files = owners.entry(package).or_default();
                    if !files.contains(&path) {
                        files.push(path.clone());
                    }
                }
            }
            Step::Close(name) if name == "package" => package = None,
            Step::Close(_) => {}
            Step::End => break,
        }
    }
    if is_list { Ok(owners) } else { Err(steps.error("it is no list of files")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_who_has_a_file() {
        let (a, b) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let text = format!(
            "<?xml version=\"1.0\"?>\n<filelists xmlns=\"http://linux.duke.edu/metadata/filelists\" packages=\"3\">\
             <package pkgid=\"{a}\" name=\"a\" arch=\"noarch\"><version epoch=\"0\" ver=\"1\" rel=\"1\"/>\
             <file>/usr/lib/x &amp; y</file><file type=\"dir\">/srv/z</file><file>/usr/lib/x &amp; y</file></package>\
             <package pkgid=\"{b}\" name=\"b\" arch=\"noarch\"><file type=\"ghost\">/srv/z</file><file>/other</file></package>\
             <package pkgid=\"md5\" name=\"c\" arch=\"noarch\"><file>/srv/z</file></package></filelists>"
        );
        let wanted = ["/usr/lib/x & y", "/srv/z", "/none"].map(str::to_owned).into();
        let expected = BTreeMap::from([(a, vec!["/usr/lib/x & y".to_owned(), "/srv/z".to_owned()]), (b, vec!["/srv/z".to_owned()])]);
        assert_eq!(owners(text.as_bytes(), &wanted).unwrap(), expected);
        assert!(owners(&b"<html/>"[..], &wanted).unwrap_err().to_string().contains("no list of files"));
        assert!(owners(&text.as_bytes()[..text.len() - 20], &wanted).is_err());
    }
}
