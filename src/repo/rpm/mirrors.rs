//! Where the mirrors of a repository are: a metalink (`metalink` of `dnf.conf(5)`; the format is that of metalinker.org, version 3, with the elements that
//! Fedora's `MirrorManager` adds), or a plain list of addresses (`mirrorlist`).

use super::xml::{Step, Steps, XmlError};
use crate::digest::Sha256;

/// The most mirrors that are taken of a list: who has asked so many has no network.
const MIRROR_LIMIT: usize = 32;

/// The file that a metalink says something of.
const FILE: &str = "repomd.xml";

/// Where each mirror has that file.
const PLACE: &str = "/repodata/repomd.xml";

/// The mirrors of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Their base addresses (`http` or `https`, without a slash at the end), best first.
    pub addresses: Vec<String>,
    /// The digests that its `repomd.xml` may have; empty where the list says nothing of them. (Mirrors are not renewed at one time, so a metalink knows the
    /// last few.)
    pub repomd: Vec<Sha256>,
}

/// Reads a metalink.
///
/// # Errors
/// What is no metalink, and one that names no `repomd.xml` with a SHA-256 digest, or no mirror that could be asked.
pub fn metalink(text: &[u8]) -> Result<Mirrors, XmlError> {
    let mut steps = Steps::new(text);
    let (mut is_metalink, mut is_file) = (false, false);
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut repomd = Vec::new();
    let (mut kind, mut preference, mut value) = (None, 0, String::new());
    loop {
        match steps.next()? {
            Step::Open(element) => {
                is_metalink |= element.name == "metalink";
                if element.name == "file" {
                    is_file = element.attribute("name") == Some(FILE);
                }
                kind = element.attribute("type").map(str::to_owned);
                preference = element.attribute("preference").and_then(|text| text.parse().ok()).unwrap_or_default();
                value.clear();
            }
            Step::Text(more) => value.push_str(&more),
            Step::Close(name) => {
                match name.as_str() {
                    "hash" if is_file && kind.as_deref() == Some("sha256") => {
                        repomd.push(value.trim().parse().map_err(|_| steps.error("the digest of repomd.xml is none"))?);
                    }
                    "url" if is_file => found.extend(value.trim().strip_suffix(PLACE).and_then(address).map(|address| (preference, address))),
                    "file" => is_file = false,
                    _ => {}
                }
                value.clear();
            }
            Step::End => break,
        }
    }
    if !is_metalink {
        return Err(steps.error("it is no metalink"));
    }
    if repomd.is_empty() {
        return Err(steps.error("it has no SHA-256 digest of a repomd.xml"));
    }
    found.sort_by_key(|(preference, _)| std::cmp::Reverse(*preference));
    let addresses = first(found.into_iter().map(|(_, address)| address));
    if addresses.is_empty() { Err(steps.error("it names no mirror with an http or https address")) } else { Ok(Mirrors { addresses, repomd }) }
}

/// Reads a list of base addresses, one a line; lines that begin with `#`, and what is no address, are passed over.
///
/// # Errors
/// A list without any.
pub fn mirrorlist(text: &[u8]) -> Result<Mirrors, XmlError> {
    let text = String::from_utf8_lossy(text);
    let addresses = first(text.lines().filter_map(|line| address(line.trim())));
    if addresses.is_empty() {
        return Err(XmlError { offset: 0, package: None, problem: "it has no line with an http or https address".to_owned() });
    }
    Ok(Mirrors { addresses, repomd: Vec::new() })
}

/// A base address that may be asked: never one of this machine's own files, and none with variables, which only dnf knows.
fn address(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let (scheme, rest) = text.split_once("://")?;
    let holds = ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) && !rest.is_empty() && text.len() <= 1024;
    let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>$@".contains(&byte));
    (holds && is_plain).then(|| text.to_owned())
}

fn first(addresses: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for address in addresses {
        if all.len() < MIRROR_LIMIT && !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" xmlns:mm0=\"x\"><files>{files}</files></metalink>"
        )
    }

    fn hash(bytes: &[u8]) -> String {
        format!("<verification><hash type=\"md5\">00</hash><hash type=\"sha256\">{}</hash></verification>", Sha256::of(bytes))
    }

    fn url(address: &str, preference: u32) -> String {
        format!("<url protocol=\"https\" type=\"https\" location=\"DE\" preference=\"{preference}\">{address}</url>")
    }

    #[test]
    fn a_metalink_names_mirrors_and_what_they_may_have() {
        let urls = [
            url("http://a/os/repodata/repomd.xml", 98),
            url("https://b/os/repodata/repomd.xml", 100),
            url("rsync://c/os/repodata/repomd.xml", 99),
            url("file:///etc/repodata/repomd.xml", 99),
            url("https://d/$releasever/repodata/repomd.xml", 99),
            url("https://e/other.xml", 99),
            url("https://b/os/repodata/repomd.xml", 1),
        ]
        .concat();
        let older = format!("<mm0:alternates><mm0:alternate><mm0:timestamp>4</mm0:timestamp>{}</mm0:alternate></mm0:alternates>", hash(b"old"));
        let other = format!("<file name=\"other\">{}<resources>{}</resources></file>", hash(b"other"), url("https://f/repodata/repomd.xml", 100));
        let text = of(&format!("{other}<file name=\"repomd.xml\">{}{older}<resources>{urls}</resources></file>", hash(b"new")));
        let expected =
            Mirrors { addresses: vec!["https://b/os".to_owned(), "http://a/os".to_owned()], repomd: vec![Sha256::of(b"new"), Sha256::of(b"old")] };
        assert_eq!(metalink(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_proves_nothing_or_leads_nowhere_is_no_metalink() {
        let file = |inside: &str| of(&format!("<file name=\"repomd.xml\">{inside}</file>"));
        let mirror = url("https://b/os/repodata/repomd.xml", 1);
        for (text, reason) in [
            ("<html/>".to_owned(), "no metalink"),
            (of(""), "no SHA-256"),
            (file(&mirror), "no SHA-256"),
            (file(&hash(b"x")), "names no mirror"),
            (file("<hash type=\"sha256\">zz</hash>"), "is none"),
        ] {
            let error = metalink(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_mirrorlist_is_one_address_a_line() {
        let text = b"# a list\nhttp://a/os/\n\nfile:///etc\nhttps://b/os\r\nhttp://a/os\n\xff\n";
        assert_eq!(mirrorlist(text).unwrap().addresses, ["http://a/os", "https://b/os"]);
        assert!(mirrorlist(b"<html>no mirrors</html>").unwrap_err().to_string().contains("no line"));
        let many = (0..100).fold(String::new(), |many, number| many + &format!("http://h{number}/\n"));
        assert_eq!(mirrorlist(many.as_bytes()).unwrap().addresses.len(), MIRROR_LIMIT);
    }
}
