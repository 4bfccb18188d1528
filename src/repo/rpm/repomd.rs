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
    /// The list of all their files, where there is one that is proven.
    pub filelists: Option<MetadataFile>,
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
    let (mut date, mut primary, mut filelists, mut is_repomd, mut has_modules) = (0, None, None, false, false);
    loop {
        match steps.next()? {
            Step::Open(element) if element.name == "repomd" => is_repomd = true,
            Step::Open(element) if element.name == "data" && is_repomd => {
                let draft = draft(&mut steps)?;
                date = date.max(draft.timestamp);
                match element.attribute("type") {
                    Some("primary") => {
                        let file = draft.finish("primary list").map_err(|problem| steps.error(problem))?;
                        if primary.replace(file).is_some() {
                            return Err(steps.error("it has two primary lists"));
                        }
                    }
                    // Few builds need it, so one that proves nothing is as good as none.
                    Some("filelists") => filelists = draft.finish("list of files").ok(),
                    Some("modules") => has_modules = true,
                    _ => {}
                }
            }
            Step::End => break,
            Step::Open(_) | Step::Close(_) | Step::Text(_) => {}
        }
    }
    match primary {
        Some(primary) => Ok(Repomd { date, primary, filelists, has_modules }),
        None => Err(steps.error("it has no primary list of packages")),
    }
}

/// A file while it is read.
#[derive(Debug, Default)]
struct Draft {
    href: Option<String>,
    /// The kind of the digest, and the digest.
    checksum: Option<(Option<String>, String)>,
    size: Option<u64>,
    open_size: Option<u64>,
    timestamp: u64,
}

impl Draft {
    fn finish(self, what: &str) -> Result<MetadataFile, String> {
        let href = self.href.ok_or_else(|| format!("the {what} has no location"))?;
        let path = super::primary::checked_path(&href).ok_or_else(|| format!("“{href}” leads out of the repository"))?;
        let (kind, digest) = self.checksum.ok_or_else(|| format!("the {what} has no digest"))?;
        if kind.as_deref() != Some("sha256") {
            return Err(format!("the {what} has a {} digest, and only SHA-256 proves it", kind.as_deref().unwrap_or("no")));
        }
        let sha256 = digest.parse().map_err(|_| format!("the digest of the {what} is none"))?;
        Ok(MetadataFile { path, sha256, size: self.size, open_size: self.open_size })
    }
}

/// What stands in one `data` element.
fn draft(steps: &mut Steps<&[u8]>) -> Result<Draft, XmlError> {
    let mut draft = Draft::default();
    let (mut name, mut kind, mut text) = (String::new(), None, String::new());
    loop {
        match steps.next()? {
            Step::Open(element) => {
                if element.name == "location" {
                    draft.href = element.attribute("href").map(str::to_owned);
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
                    "checksum" if end == name => draft.checksum = Some((kind.take(), value.to_owned())),
                    "size" => draft.size = number(),
                    "open-size" => draft.open_size = number(),
                    "timestamp" => draft.timestamp = number().unwrap_or_default(),
                    _ => {}
                }
                text.clear();
            }
            Step::End => break,
        }
    }
    Ok(draft)
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
        assert_eq!(parse(text.as_bytes()).unwrap(), Repomd { date: 7, primary: primary.clone(), filelists: None, has_modules: false });
        let both = text.replace(
            "<checksum type=\"md5\">1</checksum>",
            &format!("<checksum type=\"sha256\">{digest}</checksum><location href=\"repodata/f.xml.zst\"/>"),
        );
        let filelists = MetadataFile { path: "repodata/f.xml.zst".to_owned(), sha256: digest, size: None, open_size: None };
        assert_eq!(parse(both.as_bytes()).unwrap(), Repomd { date: 7, primary, filelists: Some(filelists), has_modules: false });
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
