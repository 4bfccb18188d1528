//! What tests of schemas have in common: a schema says what the walk asks for that reads its language, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::explore::Asked;
use super::{Kind, Node, Scalar};

/// A schema and all the schemas that hold at the same place beside it.
fn parts<'s>(schema: &'s Value, found: &mut Vec<&'s Value>) {
    found.push(schema);
    let beside = ["anyOf", "oneOf"].into_iter().filter_map(|word| schema[word].as_array()).flatten();
    beside.chain(schema.get("else")).for_each(|schema| parts(schema, found));
}

/// The places of a schema, named as walks name them, each with the schemas that hold there.
pub(crate) fn places(schema: &Value) -> BTreeMap<String, Vec<&Value>> {
    fn go<'s>(place: &str, schema: &'s Value, all: &mut BTreeMap<String, Vec<&'s Value>>) {
        let mut here = Vec::new();
        parts(schema, &mut here);
        for part in &here {
            for (key, value) in part["properties"].as_object().into_iter().flatten() {
                let field = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                go(&field, value, all);
            }
            if let Some(items) = part.get("items") {
                go(&format!("{place}[0]"), items, all);
            }
        }
        all.entry(place.to_owned()).or_default().extend(here);
    }
    let mut all = BTreeMap::new();
    go("", schema, &mut all);
    all
}

fn texts<'v>(schemas: &[&'v Value], texts: impl Fn(&'v Value) -> Vec<&'v Value>) -> BTreeSet<String> {
    schemas.iter().flat_map(|schema| texts(schema)).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Holds a schema against what a walk asks for. `elsewhere` are the keys of the document that are read before the walk.
pub(crate) fn assert_same_language(schema: &Value, asked: &Asked, elsewhere: &[&str]) {
    let places = places(schema);
    let none = BTreeSet::new();
    for (mapping, keys) in &asked.keys {
        let schemas = places.get(mapping).unwrap_or_else(|| panic!("the schema has no “{mapping}”"));
        let mut keys = keys.clone();
        if mapping.is_empty() {
            keys.extend(elsewhere.iter().map(|&key| key.to_owned()));
        }
        let written: BTreeSet<String> =
            schemas.iter().filter_map(|schema| schema["properties"].as_object()).flat_map(|properties| properties.keys().cloned()).collect();
        assert_eq!(written, keys, "the keys of “{mapping}”");
        assert!(written.is_disjoint(asked.refused.get(mapping).unwrap_or(&none)), "“{mapping}” has a key that is refused");
        assert!(schemas.iter().any(|schema| schema["additionalProperties"] == false), "“{mapping}” takes any key");
        // Of alternatives, the first is the one that is missed.
        let required = texts(schemas, |schema| {
            let alternatives = schema["anyOf"].as_array().is_some_and(|all| all.iter().all(|one| one.get("required").is_some()));
            let first = alternatives.then(|| &schema["anyOf"][0]);
            let is_alternative = schema.as_object().is_some_and(|schema| schema.len() == 1);
            let own = if is_alternative { None } else { schema["required"].as_array() };
            own.into_iter().chain(first.and_then(|first| first["required"].as_array())).flatten().collect()
        });
        let required_of_else = texts(schemas, |schema| {
            if schema.get("properties").is_none() { schema["required"].as_array().into_iter().flatten().collect() } else { Vec::new() }
        });
        let missing = asked.missing.get(mapping).unwrap_or(&none);
        assert!(missing.is_superset(&required), "“{mapping}” need not have all of {required:?}, but {missing:?}");
        assert!(required.union(&required_of_else).cloned().collect::<BTreeSet<_>>().is_superset(missing), "“{mapping}” must have {missing:?}");
    }
    for (field, words) in &asked.words {
        let written = texts(&places[field], |schema| schema["enum"].as_array().into_iter().flatten().chain(schema.get("const")).collect());
        assert_eq!(&written, words, "the words of “{field}”");
    }
    for (field, bounds) in &asked.bounds {
        let written = places[field].iter().find_map(|schema| Some((schema["minimum"].as_i64()?, schema["maximum"].as_i64()?)));
        assert_eq!(written.as_ref(), Some(bounds), "the bounds of “{field}”");
    }
    for (place, schemas) in places.iter().filter(|(place, _)| !place.ends_with("[0]")) {
        let description = schemas.iter().find_map(|schema| schema["description"].as_str()).unwrap_or_default();
        assert!((5..=120).contains(&description.chars().count()) && description.ends_with('.'), "“{place}” is described so: “{description}”");
    }
}

/// What an editor sees of a document: numbers with fractions are numbers.
pub(crate) fn as_json(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar(Scalar::Float(text)) => text.parse::<f64>().map_or(Value::Null, Value::from),
        Kind::Scalar(_) => node.to_json(),
        Kind::Sequence(items) => items.iter().map(as_json).collect(),
        Kind::Mapping(entries) => entries.iter().map(|entry| (entry.key.clone(), as_json(&entry.value))).collect(),
    }
}
