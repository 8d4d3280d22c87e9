//! `docs/convergence.schema.json` is the schema of the code.
//!
//! `INSTA_UPDATE=always cargo nextest run -p convergence-provision schema` writes it again.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::Path;

#[test]
fn the_schema_in_the_documentation_is_that_of_the_code() {
    let schema = serde_json::to_string_pretty(&convergence_provision::manifest_schema()).unwrap() + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/convergence.schema.json");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&file, &schema).unwrap();
    }
    assert!(
        std::fs::read_to_string(&file).unwrap_or_default() == schema,
        "docs/convergence.schema.json is not what the code says; run \
         `INSTA_UPDATE=always cargo nextest run -p convergence-provision schema`"
    );
}
