//! What the tree says of itself (`os-release(5)`).

use super::{Error, Tree};

/// The parts of `os-release` that boot loaders show and name things by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OsRelease {
    /// `ID`: lower-case letters, digits, `.`, `_` and `-`; `linux` if the tree does not say.
    pub(super) id: String,
    /// `PRETTY_NAME`, one line; `Linux` if the tree does not say.
    pub(super) title: String,
}

impl OsRelease {
    pub(super) fn read(tree: &Tree) -> Result<Self, Error> {
        let bytes = match tree.read("etc/os-release")? {
            Some(bytes) => Some(bytes),
            None => tree.read("usr/lib/os-release")?,
        };
        Ok(Self::parse(&String::from_utf8_lossy(&bytes.unwrap_or_default())))
    }

    fn parse(text: &str) -> Self {
        let value = |key: &str| text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(unquoted).next_back();
        let is_id = |id: &String| {
            let allowed = id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
            allowed && (1..=64).contains(&id.len()) && !id.starts_with('.') && !id.ends_with('.')
        };
        let is_title = |title: &String| !title.is_empty() && title.len() <= 200 && super::text::is_one_line(title);
        Self {
            id: value("ID").filter(is_id).unwrap_or_else(|| "linux".to_owned()),
            title: value("PRETTY_NAME").filter(is_title).unwrap_or_else(|| "Linux".to_owned()),
        }
    }
}

/// A value without its quotes and the backslashes that escape in them.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value);
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_distributions_write() {
        let os = OsRelease::parse("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n");
        assert_eq!(os, OsRelease { id: "debian".to_owned(), title: "Debian GNU/Linux 12 (bookworm)".to_owned() });
        assert_eq!(OsRelease::parse("ID='x y'\nPRETTY_NAME=\"a \\\"b\\\"\"").title, "a \"b\"");
    }

    #[test]
    fn does_not_believe_what_would_become_a_path() {
        for text in ["", "ID=", "ID=../../etc", "ID=a/b", "ID=\"a b\"", "ID=é", "ID", "PRETTY_NAME=\u{7}"] {
            assert_eq!(OsRelease::parse(text), OsRelease { id: "linux".to_owned(), title: "Linux".to_owned() }, "{text}");
        }
    }
}
