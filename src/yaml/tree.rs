//! Nodes and their places.

use super::Scalar;

/// Where something stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which of the files of the [`super::Report`], from 0.
    pub file: u16,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Place {
    /// The first character of the first file.
    pub const START: Self = Self { file: 0, line: 1, column: 1 };
}

/// A value in a document.
///
/// It has no `Debug` form: a document may hold a password in plain text.
#[derive(Clone)]
pub struct Node {
    /// Where it begins. What came by an alias stands where its anchor is.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone)]
pub enum Kind {
    /// One value.
    Scalar(Scalar),
    /// `- …` or `[…]`.
    Sequence(Vec<Node>),
    /// `key: …` or `{…}`. No key occurs twice.
    Mapping(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Clone)]
pub struct Entry {
    /// The key, a text.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The entries of a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key, if it is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// What it says, if it is a text.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The same as JSON, keys sorted; numbers that no `i64` holds are texts as they were written.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Scalar(Scalar::Null) => Value::Null,
            Kind::Scalar(Scalar::Boolean(value)) => Value::Bool(*value),
            Kind::Scalar(Scalar::Text(text) | Scalar::Float(text)) => Value::String(text.clone()),
            Kind::Scalar(scalar @ Scalar::Integer(text)) => scalar.as_integer().map_or_else(|| Value::String(text.clone()), Value::from),
            Kind::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Kind::Mapping(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
        }
    }

    /// What it is in words, for messages: `a list`, `the number 5`.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.describe(),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// What it is in words, without its value.
    pub fn describe_type(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.describe_type(),
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }

    /// How many nodes it is made of, itself included.
    pub(super) fn count(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) => 1,
            Kind::Sequence(items) => items.iter().map(Self::count).sum::<usize>() + 1,
            Kind::Mapping(entries) => entries.iter().map(|entry| entry.value.count() + 1).sum::<usize>() + 1,
        }
    }
}
