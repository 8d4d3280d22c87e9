//! Whether the OpenAPI document is complete, and whether what it says is so.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::State;
use convergence_model::{Code, Retry};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::site::{Site, request};
use crate::App;
use crate::document::kept::Promises;

fn document() -> Value {
    serde_json::to_value(crate::openapi()).unwrap()
}

fn schema(name: &str) -> Value {
    document()["components"]["schemas"][name].clone()
}

/// Path, method and operation of every route.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let object = |value: &Value| value.as_object().cloned().unwrap_or_else(Map::new);
    let items = object(&document["paths"]).into_iter();
    items
        .flat_map(|(path, item)| object(&item).into_iter().map(move |(method, op)| (path.clone(), method, op)))
        .collect()
}

/// What is missing from an operation.
fn missing(operation: &Value, ids: &BTreeSet<String>) -> Vec<String> {
    let mut missing = Vec::new();
    let responses = operation["responses"].as_object().cloned().unwrap_or_default();
    for needed in ["400", "500"] {
        if !responses.contains_key(needed) {
            missing.push(format!("{needed}, which any route can answer: it is not registered with `route!`"));
        }
    }
    for (status, response) in &responses {
        if response["description"].as_str().is_none_or(|text| text.len() <= 5) {
            missing.push(format!("a description of {status}"));
        }
        if response["headers"]["X-Request-Id"].is_null() {
            missing.push(format!("the request id of {status}"));
        }
        for (name, link) in response["links"].as_object().into_iter().flatten() {
            let target = link["operationId"].as_str().unwrap_or_default();
            if !ids.contains(target) {
                missing.push(format!("the operation {target} that the link {name} of {status} leads to"));
            }
        }
    }
    missing
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

#[test]
fn every_operation_is_complete_and_has_a_name_of_its_own() {
    let document = document();
    let operations = operations(&document);
    assert!(operations.len() > 25, "{}", operations.len());
    let id = |operation: &Value| operation["operationId"].as_str().unwrap_or_default().to_owned();
    let ids: BTreeSet<String> = operations.iter().map(|(_, _, operation)| id(operation)).collect();
    assert_eq!(ids.len(), operations.len(), "two have the same name: {ids:?}");
    for (path, method, operation) in &operations {
        assert_eq!(missing(operation, &ids), Vec::<String>::new(), "{method} {path}");
    }
}

#[test]
fn links_lead_to_parameters_that_are_there() {
    let document = document();
    let operations = operations(&document);
    let mut links = 0;
    for (path, method, operation) in &operations {
        let responses = operation["responses"].as_object().unwrap().values();
        for link in
            responses.flat_map(|response| response["links"].as_object().into_iter().flatten()).map(|(_, link)| link)
        {
            let target = operations.iter().find(|(_, _, target)| target["operationId"] == link["operationId"]).unwrap();
            for parameter in link["parameters"].as_object().unwrap().keys() {
                let known = target.2["parameters"].as_array().unwrap().iter().any(|known| known["name"] == **parameter);
                assert!(known, "{method} {path}: {link}");
            }
            links += 1;
        }
    }
    assert!(links > 10, "{links}");
}

/// A handler as somebody might write it who forgets to say what it answers.
#[utoipa::path(get, path = "/forgotten", tag = "tenant")]
async fn forgotten(State(_app): State<App>) -> axum::http::StatusCode {
    axum::http::StatusCode::IM_A_TEAPOT
}

#[tokio::test]
async fn a_route_that_is_not_described_is_found() {
    let (routes, openapi) = OpenApiRouter::<App>::new().routes(routes!(forgotten)).split_for_parts();
    let document = serde_json::to_value(&openapi).unwrap();
    let told = missing(&operations(&document)[0].2, &BTreeSet::new());
    assert!(told.iter().any(|told| told.contains("route!")), "{told:?}");

    // And so is what it answers, in every test that asks it.
    let site = Site::new().await;
    let answer = site.with_routes(routes, Promises::of(&openapi), request("GET", "/forgotten")).await;
    assert_eq!((answer.status.as_u16(), &answer.document["code"]), (500, &json!("internal")));
}

#[tokio::test]
async fn every_schema_that_a_request_is_compared_with_can_be_compared_with() {
    let site = Site::bare().await;
    for (path, method, operation) in operations(&document()) {
        // A stream without an end has no body that could be waited for, and takes nothing.
        if path == "/api/v1/events" {
            continue;
        }
        let at = path.replace("{organizationId}", "550e8400-e29b-41d4-a716-446655440001");
        let at = at.replace("{tenant}", "1").replace("{id}", "none").replace("{revision}", "1");
        let query = if operation["parameters"].to_string().contains("\"query\"") { "?there-is-no-such=1" } else { "" };
        let request = request(&method.to_ascii_uppercase(), &format!("{at}{query}"));
        let request = request.header("content-type", "application/json").body(Body::from("[]")).unwrap();
        let answer = site.send(request).await;
        assert_ne!(answer.status, 500, "{method} {path}: {answer:?}");
        let takes_json = !operation["requestBody"]["content"]["application/json"].is_null();
        if takes_json || (!query.is_empty() && !path.contains('{')) {
            assert_eq!(answer.status, 422, "{method} {path}: {answer:?}");
        }
    }
}

#[test]
fn every_example_satisfies_its_schema() {
    let document = document();
    let mut examples = 0;
    let mut check = |schema: &Value, example: &Value, place: &str| {
        let mut root = schema.clone();
        root["components"] = document["components"].clone();
        let validator = jsonschema::draft202012::new(&root).unwrap_or_else(|error| panic!("{place}: {error}"));
        let wrong: Vec<_> = validator.iter_errors(example).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{place}: {example}: {wrong:?}");
        examples += 1;
    };
    fn walk(value: &Value, place: &str, check: &mut impl FnMut(&Value, &Value, &str)) {
        if let Value::Object(fields) = value {
            let of_schema = fields.contains_key("type") || fields.contains_key("properties");
            if let Some(example) = fields.get("example").filter(|_| of_schema) {
                check(value, example, place);
            }
            for example in fields.get("examples").filter(|_| of_schema).and_then(Value::as_array).into_iter().flatten()
            {
                check(value, example, place);
            }
            fields.iter().for_each(|(name, value)| walk(value, &format!("{place}/{name}"), check));
        }
        if let Value::Array(items) = value {
            items.iter().enumerate().for_each(|(at, value)| walk(value, &format!("{place}/{at}"), check));
        }
    }
    walk(&document, "", &mut check);
    assert!(examples > 5, "{examples}");
}

#[test]
fn what_is_written_twice_says_the_same() {
    let document = document();
    let list = &document["paths"]["/api/v1/operations"]["get"]["parameters"];
    let tenant = list.as_array().unwrap().iter().find(|parameter| parameter["name"] == "tenant").unwrap();
    assert_eq!(tenant["schema"]["pattern"], crate::extract::TENANT_PATTERN);
    let state = list.as_array().unwrap().iter().find(|parameter| parameter["name"] == "state").unwrap();
    let pattern = state["schema"]["pattern"].as_str().unwrap();
    let words = pattern.trim_start_matches("^(?:").trim_end_matches(")$").split('|');
    for word in words {
        assert!(convergence_model::operation::OperationState::parse(word).is_some(), "{word}");
    }
}
