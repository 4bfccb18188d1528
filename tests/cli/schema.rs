//! `schema`.

use serde_json::Value;

use crate::support::program::run;

#[test]
fn editors_get_a_schema_of_specs_and_of_the_configuration() {
    let home = tempfile::tempdir().unwrap();
    for (language, key) in [("spec", "/properties/systemConfig/properties/hostname"), ("config", "/properties/storage/properties/image_cache")] {
        let (status, out, err) = run(home.path(), &["schema", language]);
        assert_eq!((status, err.as_str()), (0, ""));
        let schema: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema.pointer(key).unwrap()["description"].is_string());
    }
    let (status, out, err) = run(home.path(), &["schema", "store"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("[possible values: spec, config]"), "{err}");
    assert!(!home.path().join("store").exists(), "who asks for a schema makes no store");
}
