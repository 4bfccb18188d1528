//! `repomd.xml`: which files of metadata a repository has, and what they are.

use super::xml::{Step, Steps, XmlError};
use crate::digest::Sha256;

/// What is read of a `repomd.xml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repomd {
    /// The newest time of its files, in seconds since the epoch.
    pub date: u64,
    /// The list of packages.
    pub primary: MetadataFile,
    /// Whether some of its packages belong to modules, which decide whether they may be chosen.
    pub has_modules: bool,
}

/// A file of metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataFile {
    /// Where it lies beneath the repository's address, as `repodata/….xml.gz`; checked to be relative and without `..`.
    pub path: String,
    /// The digest of the file as it is.
    pub sha256: Sha256,
    /// Its length in bytes, where that is said.
    pub size: Option<u64>,
    /// Its length when it is decompressed, where that is said.
    pub open_size: Option<u64>,
}

/// Reads a `repomd.xml`.
///
/// # Errors
/// What is no such file, and one without a primary list that has a SHA-256 digest.
pub fn parse(text: &[u8]) -> Result<Repomd, XmlError> {
    let mut steps = Steps::new(text);
    let (mut date, mut primary, mut is_repomd, mut has_modules) = (0, None, false, false);
    loop {
        match steps.next()? {
            Step::Open(element) if element.name == "repomd" => is_repomd = true,
            Step::Open(element) if element.name == "data" && is_repomd => {
                let is_primary = element.attribute("type") == Some("primary");
                has_modules |= element.attribute("type") == Some("modules");
                let (file, timestamp) = data(&mut steps, is_primary)?;
                date = date.max(timestamp);
                if let Some(file) = file
                    && primary.replace(file).is_some()
                {
                    return Err(steps.error("it has two primary lists"));
                }
            }
            Step::End => break,
            Step::Open(_) | Step::Close(_) | Step::Text(_) => {}
        }
    }
    match primary {
        Some(primary) => Ok(Repomd { date, primary, has_modules }),
        None => Err(steps.error("it has no primary list of packages")),
    }
}

/// One file, if it is wanted, and its time.
fn data(steps: &mut Steps<&[u8]>, wanted: bool) -> Result<(Option<MetadataFile>, u64), XmlError> {
    let (mut path, mut sha256, mut size, mut open_size, mut timestamp) = (None, None, None, None, 0);
    let (mut name, mut kind, mut text) = (String::new(), None, String::new());
    loop {
        match steps.next()? {
            Step::Open(element) => {
                if element.name == "location" && wanted {
                    let href = element.attribute("href").unwrap_or_default();
                    path = Some(super::primary::checked_path(href).ok_or_else(|| steps.error(format!("“{href}” leads out of the repository")))?);
                }
                kind = element.attribute("type").map(str::to_owned);
                name = element.name;
                text.clear();
            }
            Step::Text(more) => text.push_str(&more),
            Step::Close(end) if end == "data" => break,
            Step::Close(end) => {
                let value = text.trim();
                let number = || value.split('.').next().unwrap_or_default().parse::<u64>().ok();
                match end.as_str() {
                    "checksum" if end == name && wanted => {
                        if kind.as_deref() != Some("sha256") {
                            let kind = kind.as_deref().unwrap_or("no");
                            return Err(steps.error(format!("the primary list has a {kind} digest, and only SHA-256 proves it")));
                        }
                        sha256 = Some(value.parse().map_err(|_| steps.error("the digest of the primary list is none"))?);
                    }
                    "size" => size = number(),
                    "open-size" => open_size = number(),
                    "timestamp" => timestamp = number().unwrap_or_default(),
                    _ => {}
                }
                text.clear();
            }
            Step::End => break,
        }
    }
    if !wanted {
        return Ok((None, timestamp));
    }
    let path = path.ok_or_else(|| steps.error("the primary list has no location"))?;
    let sha256 = sha256.ok_or_else(|| steps.error("the primary list has no digest"))?;
    Ok((Some(MetadataFile { path, sha256, size, open_size }), timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repomd(data: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\" xmlns:rpm=\"x\"><revision>9</revision>{data}</repomd>"
        )
    }

    #[test]
    fn names_the_primary_list() {
        let digest = Sha256::of(b"x");
        let text = repomd(&format!(
            "<data type=\"filelists\"><checksum type=\"md5\">1</checksum><timestamp>7</timestamp></data>\
             <data type=\"primary\"><checksum type=\"sha256\">{digest}</checksum><open-checksum type=\"sha256\">00</open-checksum>\
             <location href=\"repodata/a-primary.xml.gz\"/><timestamp>5.5</timestamp><size>3</size><open-size>9</open-size></data>"
        ));
        let primary = MetadataFile { path: "repodata/a-primary.xml.gz".to_owned(), sha256: digest, size: Some(3), open_size: Some(9) };
        assert_eq!(parse(text.as_bytes()).unwrap(), Repomd { date: 7, primary, has_modules: false });
        assert!(parse(text.replace("\"filelists\"", "\"modules\"").as_bytes()).unwrap().has_modules);
    }

    #[test]
    fn refuses_what_proves_nothing_or_leads_out() {
        let with = |checksum: &str, href: &str| repomd(&format!("<data type=\"primary\">{checksum}<location href=\"{href}\"/></data>"));
        let good = format!("<checksum type=\"sha256\">{}</checksum>", Sha256::of(b""));
        for (text, reason) in [
            (repomd(""), "no primary list"),
            (with("<checksum type=\"sha\">da39a3ee5e6b4b0d3255bfef95601890afd80709</checksum>", "a.gz"), "only SHA-256"),
            (with("<checksum type=\"sha256\">zz</checksum>", "a.gz"), "is none"),
            (with("", "a.gz"), "no digest"),
            (with(&good, "../a.gz"), "leads out"),
            (with(&good, "http://elsewhere/a.gz"), "leads out"),
            (with(&good, "a.gz").replace("</data></repomd>", ""), "in the middle"),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]>".to_owned() + &with(&good, "a.gz"), "document type"),
            ("<a>".repeat(100), "too deep"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
