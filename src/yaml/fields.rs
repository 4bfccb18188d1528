//! Walking a tree: fields of mappings, and their values as types.
//!
//! A walk asks a mapping for every field that it knows, and ends with [`Fields::finish`], which reports the fields that nobody asked for: the names
//! are said only once, and none can be forgotten.

use std::collections::BTreeMap;

use super::diagnostic::nearest;
#[cfg(test)]
use super::explore::note;
use super::scalar::cut;
use super::{Entry, Kind, Node, Place, Report, Scalar};
use crate::units::ByteSize;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it begins.
    pub place: Place,
}

impl<T> Located<T> {
    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), place: self.place }
    }
}

/// The fields of one mapping.
#[must_use = "unknown keys are reported by finish()"]
pub struct Fields<'n> {
    report: &'n Report,
    /// What the mapping is called: `disk.partitions[0]`; empty for the document.
    name: String,
    place: Place,
    entries: BTreeMap<&'n str, &'n Entry>,
    known: Vec<&'static str>,
}

/// One value of a mapping or list, with its name.
#[derive(Clone)]
pub struct Field<'n> {
    report: &'n Report,
    name: String,
    node: &'n Node,
}

impl<'n> Fields<'n> {
    /// The fields of a document; a document with nothing in it has none.
    pub fn of_document(root: &'n Node, report: &'n Report) -> Option<Self> {
        match &root.kind {
            Kind::Scalar(Scalar::Null) => Some(Self::new(String::new(), root.place, &[], report)),
            Kind::Mapping(entries) => Some(Self::new(String::new(), root.place, entries, report)),
            _ => {
                report.wrong_type("the document", "a mapping (key: value)", root, None);
                None
            }
        }
    }

    fn new(name: String, place: Place, entries: &'n [Entry], report: &'n Report) -> Self {
        Self { report, name, place, entries: entries.iter().map(|entry| (entry.key.as_str(), entry)).collect(), known: Vec::new() }
    }

    /// Where the mapping begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The field, unless it is absent or null.
    pub fn optional(&mut self, name: &'static str) -> Option<Field<'n>> {
        self.known.push(name);
        #[cfg(test)]
        note(|asked| asked.keys.entry(self.name.clone()).or_default().extend([name.to_owned()]));
        let entry = self.entries.remove(name)?;
        let field = Field { report: self.report, name: self.name_of(name), node: &entry.value };
        (!field.is_null()).then_some(field)
    }

    /// The field; that it is missing is reported.
    pub fn required(&mut self, name: &'static str) -> Option<Field<'n>> {
        let field = self.optional(name);
        if field.is_none() {
            self.missing(name);
        }
        field
    }

    /// Reports that a field is missing.
    pub fn missing(&self, name: &str) {
        #[cfg(test)]
        note(|asked| asked.missing.entry(self.name.clone()).or_default().extend([name.to_owned()]));
        self.report.error(self.place, format!("{} is missing", self.name_of(name)));
    }

    /// Reports the field if it is there: the language has it, and this program does not do it. `instead` says what to use.
    pub fn refuse(&mut self, name: &'static str, instead: &str) {
        self.known.push(name);
        #[cfg(test)]
        note(|asked| asked.refused.entry(self.name.clone()).or_default().extend([name.to_owned()]));
        if let Some(entry) = self.entries.remove(name) {
            self.report.error_with_hint(entry.place, format!("{} is not supported", self.name_of(name)), instead);
        }
    }

    /// The fields that are left, whatever they are called.
    pub fn rest(&mut self) -> Vec<(Located<&'n str>, Field<'n>)> {
        let rest = std::mem::take(&mut self.entries);
        rest.into_values()
            .map(|entry| {
                let field = Field { report: self.report, name: self.name_of(&entry.key), node: &entry.value };
                (Located { value: entry.key.as_str(), place: entry.place }, field)
            })
            .collect()
    }

    /// Reports the fields that nobody asked for.
    pub fn finish(self) {
        for (key, entry) in &self.entries {
            let whole = if self.name.is_empty() { "the document" } else { &self.name };
            let message = format!("{whole} has no key “{}”", cut(key));
            if *key == "<<" {
                self.report.error_with_hint(entry.place, message, "merge keys are not part of YAML 1.2: write the keys out");
            } else if let Some(near) = nearest(key, self.known.iter().copied()) {
                self.report.error_with_hint(entry.place, message, format!("did you mean “{near}”?"));
            } else {
                let mut known = self.known.clone();
                known.sort_unstable();
                self.report.error_with_hint(entry.place, message, format!("it can have {}", known.join(", ")));
            }
        }
    }

    fn name_of(&self, field: &str) -> String {
        let field = cut(field);
        if self.name.is_empty() { field } else { format!("{}.{field}", self.name) }
    }
}

impl<'n> Field<'n> {
    /// What it is called in the document: `disk.partitions[0].start`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its value begins.
    pub fn place(&self) -> Place {
        self.node.place
    }

    /// Where something else is, seen from here: `line 5`, with the file if it is another one.
    pub fn line_of(&self, place: Place) -> String {
        self.report.line_of(place, self.place())
    }

    /// Its value as it was written.
    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// The report that it belongs to.
    pub fn report(&self) -> &'n Report {
        self.report
    }

    /// Reports that the value is wrong: `problem` follows the field's name.
    pub fn error(&self, problem: &str) {
        self.report.error(self.node.place, format!("{} {problem}", self.name));
    }

    /// Reports that the value is wrong, and the way out.
    pub fn error_with_hint(&self, problem: &str, hint: impl Into<String>) {
        self.report.error_with_hint(self.node.place, format!("{} {problem}", self.name), hint);
    }

    /// The value, if it is a scalar.
    pub fn scalar(&self) -> Option<&'n Scalar> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar(Scalar::Null))
    }

    /// Reports that the value is not what was `expected`, and is no value.
    pub fn wrong_type<T>(&self, expected: &str, hint: Option<String>) -> Option<T> {
        self.report.wrong_type(&self.name, expected, self.node, hint);
        None
    }

    /// A text.
    pub fn text(&self) -> Option<Located<String>> {
        let quoted = |text: &str| Some(format!("write \"{}\", in quotes", cut(text)));
        match &self.node.kind {
            Kind::Scalar(Scalar::Text(text)) => Some(self.located(text.clone())),
            Kind::Scalar(Scalar::Integer(text) | Scalar::Float(text)) => self.wrong_type("a text", quoted(text)),
            Kind::Scalar(Scalar::Boolean(value)) => self.wrong_type("a text", quoted(&value.to_string())),
            _ => self.wrong_type("a text", None),
        }
    }

    /// A text that no message may show.
    pub fn secret(&self) -> Option<Located<String>> {
        if let Kind::Scalar(Scalar::Text(text)) = &self.node.kind {
            return Some(self.located(text.clone()));
        }
        self.error_with_hint(&format!("must be a text, but is {}", self.node.describe_type()), "put it in quotes");
        None
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<Located<bool>> {
        let word = match &self.node.kind {
            Kind::Scalar(Scalar::Boolean(value)) => return Some(self.located(*value)),
            Kind::Scalar(Scalar::Text(text) | Scalar::Integer(text)) => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        let meant = match word.as_str() {
            "yes" | "on" | "y" | "1" | "true" => Some("write true".to_owned()),
            "no" | "off" | "n" | "0" | "false" => Some("write false".to_owned()),
            _ => None,
        };
        self.wrong_type("true or false", meant)
    }

    /// A whole number between two bounds.
    pub fn integer(&self, least: i64, most: i64) -> Option<Located<i64>> {
        #[cfg(test)]
        note(|asked| asked.bounds.extend([(self.name.clone(), (least, most))]));
        let number = match &self.node.kind {
            Kind::Scalar(scalar) => scalar.as_integer().filter(|number| (least..=most).contains(number)),
            _ => None,
        };
        match number {
            Some(number) => Some(self.located(number)),
            None => self.wrong_type(&format!("a whole number from {least} to {most}"), None),
        }
    }

    /// A size: `4GiB`, or a number of bytes.
    pub fn size(&self) -> Option<Located<ByteSize>> {
        let size = match &self.node.kind {
            Kind::Scalar(Scalar::Text(text) | Scalar::Integer(text)) => text.parse().ok(),
            _ => None,
        };
        match size {
            Some(size) => Some(self.located(size)),
            None => self.wrong_type("a size, such as 512MiB or 4GiB", None),
        }
    }

    /// One of these names. Those of `refused` are known to the language, and not done by this program.
    pub fn one_of<T: Copy>(&self, names: &[(&str, T)], refused: &[&str]) -> Option<Located<T>> {
        #[cfg(test)]
        note(|asked| asked.words.entry(self.name.clone()).or_default().extend(names.iter().map(|(name, _)| (*name).to_owned())));
        let list = names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let Kind::Scalar(Scalar::Text(text)) = &self.node.kind else {
            return self.wrong_type(&format!("one of: {list}"), None);
        };
        if let Some((_, value)) = names.iter().find(|(name, _)| name == text) {
            return Some(self.located(*value));
        }
        if refused.contains(&text.as_str()) {
            self.error_with_hint(&format!("“{text}” is not supported"), format!("use one of: {list}"));
        } else if let Some(near) = nearest(text, names.iter().map(|(name, _)| *name)) {
            self.error_with_hint(&format!("cannot be “{}”", cut(text)), format!("did you mean “{near}”?"));
        } else {
            self.error_with_hint(&format!("cannot be “{}”", cut(text)), format!("use one of: {list}"));
        }
        None
    }

    /// The items of a list; a value that is no list is reported.
    pub fn list(&self) -> Option<Vec<Field<'n>>> {
        let Kind::Sequence(items) = &self.node.kind else {
            return self.wrong_type("a list (- …)", None);
        };
        let field = |(index, node)| Field { report: self.report, name: format!("{}[{index}]", self.name), node };
        Some(items.iter().enumerate().map(field).collect())
    }

    /// The fields of a mapping; a value that is no mapping is reported.
    pub fn fields(&self) -> Option<Fields<'n>> {
        let Kind::Mapping(entries) = &self.node.kind else {
            return self.wrong_type("a mapping (key: value)", None);
        };
        Some(Fields::new(self.name.clone(), self.node.place, entries, self.report))
    }

    fn located<T>(&self, value: T) -> Located<T> {
        Located { value, place: self.node.place }
    }
}
