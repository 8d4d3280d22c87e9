//! What the OpenAPI document says of failures.

use convergence_model::{Code, Retry};
use serde_json::Value;

fn schema(name: &str) -> Value {
    let document = serde_json::to_value(crate::openapi()).unwrap();
    document["components"]["schemas"][name].clone()
}

#[test]
fn codes_and_retries_are_closed_lists() {
    let words = |name: &str| schema(name)["enum"].as_array().cloned().unwrap_or_default();
    assert_eq!(words("Code"), Code::ALL.iter().map(|code| code.slug()).collect::<Vec<_>>());
    assert_eq!(words("Retry"), Retry::ALL.iter().map(|retry| retry.as_str()).collect::<Vec<_>>());
    for holder in ["Problem", "FailureView"] {
        let properties = &schema(holder)["properties"];
        let code = serde_json::to_string(&properties["code"]).unwrap();
        assert!(code.contains("#/components/schemas/Code"), "{holder}: {code}");
        let retry = serde_json::to_string(&properties["retry"]).unwrap();
        assert!(retry.contains("#/components/schemas/Retry"), "{holder}: {retry}");
    }
}
