//! The language of specs as a JSON Schema (draft 2020-12), with which editors complete and check what is written.
//!
//! ```text
//!  language.rs: types of what may be written ─ schemars ─► schema ─ what the file may have that is extended ─► JSON
//!                                               ▲
//!                                    tests: read/ asks for the same keys, words and bounds
//! ```
//!
//! Nothing here reads a spec: `read/` does, with better words, and knows more than a schema can say. So a spec that can be used is never refused by the
//! schema; one that the schema takes may still have mistakes.

mod language;

use serde_json::{Value, json};

use crate::yaml::json_schema;

/// The JSON Schema of specs.
pub fn schema() -> Value {
    let mut schema = json_schema::<language::Document>();
    unless_extended(&mut schema);
    schema
}

/// Requires of mappings that are joined field by field what they must have only where a spec extends nothing: the file that it extends may have the rest.
fn unless_extended(schema: &mut Value) {
    let mut taken = |pointer: &str| {
        let mapping = schema.pointer_mut(pointer).and_then(Value::as_object_mut);
        mapping.and_then(|mapping| mapping.remove("required")).unwrap_or_else(|| json!([]))
    };
    let alone = json!({
        "required": taken(""),
        "properties": {
            "image": {"required": taken("/properties/image")},
            "target": {"required": taken("/properties/target")},
            "systemConfig": {
                "properties": {
                    "network": {"required": taken("/properties/systemConfig/properties/network")},
                    "immutability": {"required": taken("/properties/systemConfig/properties/immutability")},
                },
            },
        },
    });
    schema["if"] = json!({"required": ["extends"], "properties": {"extends": {"type": "string"}}});
    schema["else"] = alone;
}
