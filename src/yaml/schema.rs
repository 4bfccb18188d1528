//! JSON Schemas of languages that walks read: of types that say what may be written.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The schema of documents that are a `T`, in one piece: not every editor follows references.
pub(crate) fn json_schema<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    // The width of a number in Rust says nothing to those who write it.
    let without_format = |schema: &mut Schema| drop(schema.remove("format"));
    settings.transforms.push(Box::new(RecursiveTransform(without_format)));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
