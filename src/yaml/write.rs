//! Tree → text: block style, every text in quotes that would be read as something else.

use super::{Entry, Kind, Node, Scalar};

/// A line of a document, and the value that ends it.
pub struct Line<'n> {
    /// Without a newline.
    pub text: String,
    /// The scalar, or the empty list or mapping, that the line ends with; none where others follow.
    pub value: Option<&'n Node>,
}

/// The lines of a document with this tree, which is a mapping.
pub fn lines(root: &Node) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    if let Kind::Mapping(entries) = &root.kind {
        mapping(entries, "", 0, &mut lines);
    }
    lines
}

/// The entries of a mapping; the first line begins with `lead` instead of the indent.
fn mapping<'n>(entries: &'n [Entry], lead: &str, indent: usize, lines: &mut Vec<Line<'n>>) {
    for (at, Entry { key, value, .. }) in entries.iter().enumerate() {
        let begin = if at == 0 && !lead.is_empty() { lead.to_owned() } else { " ".repeat(indent) };
        value_of(format!("{begin}{}:", quoted(key)), value, indent, lines);
    }
}

/// `head` and the value after it.
fn value_of<'n>(head: String, value: &'n Node, indent: usize, lines: &mut Vec<Line<'n>>) {
    let mut line = |text: String, value: Option<&'n Node>| lines.push(Line { text, value });
    match &value.kind {
        Kind::Scalar(scalar) => line(format!("{head} {}", text_of(scalar)), Some(value)),
        Kind::Sequence(items) if items.is_empty() => line(format!("{head} []"), Some(value)),
        Kind::Mapping(entries) if entries.is_empty() => line(format!("{head} {{}}"), Some(value)),
        Kind::Mapping(entries) => {
            line(head, None);
            mapping(entries, "", indent + 2, lines);
        }
        Kind::Sequence(items) => {
            line(head, None);
            let lead = format!("{}- ", " ".repeat(indent + 2));
            for item in items {
                match &item.kind {
                    Kind::Mapping(entries) if !entries.is_empty() => mapping(entries, &lead, indent + 4, lines),
                    // A list in a list begins on the next line.
                    _ => value_of(lead.trim_end().to_owned(), item, indent + 2, lines),
                }
            }
        }
    }
}

fn text_of(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Integer(text) | Scalar::Float(text) => text.clone(),
        Scalar::Text(text) => quoted(text),
    }
}

/// A text as it stands for itself: in double quotes, whose escapes are JSON's (YAML 1.2.2, §5.7), where it is not a plain word.
fn quoted(text: &str) -> String {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_./+@=~^,$-".contains(&byte);
    let first = text.as_bytes().first().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"/_.$".contains(byte));
    let plain = first && text.bytes().all(word) && matches!(Scalar::plain(text), Scalar::Text(_));
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use serde_json::Value;

    use super::*;
    use crate::yaml::{Place, Report, parse};

    fn written(root: &Node) -> String {
        lines(root).into_iter().map(|line| line.text + "\n").collect()
    }

    fn read(text: &str) -> Node {
        let report = Report::new(Path::new("a.yml"));
        let root = parse(text, &report);
        assert!(report.is_empty(), "{text}\n{:?}", report.into_diagnostics());
        root.unwrap()
    }

    #[test]
    fn what_is_written_looks_like_this() {
        let text = "a: {b: [1, x, [y, {}], {c: d, e: [f]}, []], 'g h': \"no\\nyes\", i: 'true', j: true, k: , l: 1.5, '1': \"# no\"}\n";
        let expected = "\
a:
  b:
    - 1
    - x
    -
      - y
      - {}
    - c: d
      e:
        - f
    - []
  \"g h\": \"no\\nyes\"
  i: \"true\"
  j: true
  k: null
  l: 1.5
  \"1\": \"# no\"
";
        assert_eq!(written(&read(text)), expected);
    }

    /// A node has no `Debug` form, so values are made as JSON.
    fn node(value: &Value) -> Node {
        let kind = match value {
            Value::Null => Kind::Scalar(Scalar::Null),
            Value::Bool(value) => Kind::Scalar(Scalar::Boolean(*value)),
            Value::Number(number) => Kind::Scalar(Scalar::Integer(number.to_string())),
            Value::String(text) => Kind::Scalar(Scalar::Text(text.clone())),
            Value::Array(items) => Kind::Sequence(items.iter().map(node).collect()),
            Value::Object(entries) => {
                Kind::Mapping(entries.iter().map(|(key, value)| Entry { key: key.clone(), place: Place::START, value: node(value) }).collect())
            }
        };
        Node { place: Place::START, kind }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[ -~äß€\u{1}\n\t\u{85}\u{2028}\u{feff}]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[ -~ä]{0,6}", inner, 0..5).prop_map(|entries| entries.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_the_same(value in value()) {
            let value = serde_json::json!({"root": value});
            prop_assert_eq!(read(&written(&node(&value))).to_json(), value);
        }
    }
}
