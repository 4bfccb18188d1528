//! The deb822 format of `.sources` files (`sources.list(5)`).

use super::{AptSource, Fault, SignedBy, normal_uri, signed_by};
use crate::repo::deb::control::{Field, Item, Scanner, line_of};

/// Apt's words for no.
const DISABLED: [&str; 6] = ["no", "false", "without", "off", "disable", "0"];

/// The enabled sources of binary packages in a `.sources` file.
pub(super) fn parse(text: &str, path: &str) -> Result<Vec<AptSource>, Fault> {
    let mut sources = Vec::new();
    let mut entry = Entry::default();
    for item in Scanner::new(text.as_bytes()) {
        match item.map_err(|error| Fault::new(error.line, "this is no field (“Name: value”)"))? {
            Item::Field(field) => entry.take(&field, text),
            Item::End => sources.extend(std::mem::take(&mut entry).finish(path)?),
        }
    }
    Ok(sources)
}

/// A paragraph while it is read.
#[derive(Default)]
struct Entry {
    line: usize,
    types: Vec<String>,
    disabled: bool,
    source: AptSource,
}

impl Entry {
    fn take(&mut self, field: &Field<'_>, text: &str) {
        if self.line == 0 {
            self.line = line_of(text.as_bytes(), field.offset);
        }
        let words = || -> Vec<String> {
            let text = field.lines().map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
            text.split_ascii_whitespace().map(str::to_owned).collect()
        };
        match field.name.to_ascii_lowercase().as_slice() {
            b"types" => self.types = words(),
            b"uris" => self.source.uris = words().iter().map(|uri| normal_uri(uri)).collect(),
            b"suites" => self.source.suites = words(),
            b"components" => self.source.components = words(),
            b"architectures" => self.source.architectures = words(),
            b"enabled" => self.disabled = DISABLED.iter().any(|word| field.value.eq_ignore_ascii_case(word.as_bytes())),
            b"signed-by" => self.source.signed_by = keys(field),
            _ => {}
        }
    }

    fn finish(self, path: &str) -> Result<Option<AptSource>, Fault> {
        let Self { line, types, disabled, source } = self;
        if disabled || !types.iter().any(|kind| kind == "deb") {
            return Ok(None);
        }
        for (field, values) in [("URIs", &source.uris), ("Suites", &source.suites)] {
            if values.is_empty() {
                return Err(Fault::new(line, format!("the source has no field {field}")));
            }
        }
        if source.components.is_empty() && source.suites.iter().any(|suite| !suite.ends_with('/')) {
            return Err(Fault::new(line, "the source has no field Components"));
        }
        Ok(Some(AptSource { origin: format!("{path}:{line}"), ..source }))
    }
}

/// Paths and fingerprints, or an armored key whose lines are indented by one blank, with a dot for each empty one.
fn keys(field: &Field<'_>) -> Vec<SignedBy> {
    let text = String::from_utf8_lossy(field.value);
    if !text.contains("-----BEGIN") {
        return signed_by(&text);
    }
    let lines = text.lines().map(|line| if line.trim() == "." { "" } else { line.trim() });
    vec![SignedBy::Inline(lines.fold(String::new(), |armor, line| armor + line + "\n"))]
}
