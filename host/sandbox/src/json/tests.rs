//! From JSON to values and back, without a guest.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::{Value, json};
use wasmtime::Engine;
use wasmtime::component::types::{ComponentItem, Type};
use wasmtime::component::{Component, Val};

use super::{camel_case, lift, lower};

/// Every shape that the contract has or may get.
const THING: &str = r#"(component
    (type $color' (enum "red" "dark-blue"))
    (import "color" (type $color (eq $color')))
    (type $shape' (variant (case "point") (case "circle" u32) (case "full-name" string)))
    (import "shape" (type $shape (eq $shape')))
    (type $rights' (flags "read" "write"))
    (import "rights" (type $rights (eq $rights')))
    (type $inner' (record (field "config" string) (field "is-on" bool)))
    (import "inner" (type $inner (eq $inner')))
    (type $thing' (record
        (field "tenant-name" string)
        (field "small" u8)
        (field "below" s64)
        (field "contents" (list u8))
        (field "tags" (list string))
        (field "maybe" (option s16))
        (field "color" $color)
        (field "shapes" (list $shape))
        (field "pair" (tuple u32 bool))
        (field "rights" $rights)
        (field "ratio" f64)
        (field "letter" char)
        (field "inner" $inner)
        (field "config" string)))
    (import "thing" (type $thing (eq $thing')))
    (import "ask" (func (param "thing" $thing) (result (result $thing (error $shape)))))
)"#;

/// The parameter and the result of `ask`.
fn types() -> (Type, Type) {
    let engine = Engine::default();
    let component = Component::from_binary(&engine, &wat::parse_str(THING).unwrap()).unwrap();
    let import = component.component_type().get_import(&engine, "ask").unwrap().ty;
    let ComponentItem::ComponentFunc(ask) = import else { panic!("{import:?}") };
    super::signature(&ask).unwrap()
}

fn full() -> Value {
    json!({
        "tenantName": "my-app",
        "small": 255,
        "below": -9_000_000_000_i64,
        "contents": "Grüße\n",
        "tags": ["a", "b"],
        "maybe": -1,
        "color": "dark-blue",
        "shapes": ["point", { "circle": 7 }, { "full-name": "square" }],
        "pair": [1, true],
        "rights": ["write"],
        "ratio": 0.5,
        "letter": "ß",
        "inner": { "config": "its own", "isOn": true },
    })
}

/// There and back again.
fn round_trip(input: &Value) -> Value {
    let (parameter, answer) = types();
    let value = lower::argument(&parameter, "{}", input).unwrap();
    let answered = lift::answer(&Val::Result(Ok(Some(Box::new(value)))), &answer).unwrap();
    answered.to_json()
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut input = full();
    change(&mut input);
    input
}

fn problems(input: &Value) -> Vec<String> {
    lower::argument(&types().0, "{}", input).unwrap_err()
}

#[test]
fn names_are_written_as_json_has_them() {
    assert_eq!(camel_case("port"), "port");
    assert_eq!(camel_case("start-period-seconds"), "startPeriodSeconds");
}

#[test]
fn values_come_back_as_they_went_in_with_the_configuration() {
    let expected = with(|input| input["config"] = json!("{}"));
    assert_eq!(round_trip(&full()), expected);
}

#[test]
fn what_is_left_out_comes_back_as_none_and_as_empty() {
    let input = with(|input| {
        for name in ["contents", "tags", "maybe", "shapes"] {
            input.as_object_mut().unwrap().remove(name);
        }
    });
    let answer = round_trip(&input);
    assert_eq!(answer["contents"], json!(""));
    assert_eq!(answer["tags"], json!([]));
    assert_eq!(answer["maybe"], Value::Null);
    assert_eq!(answer["shapes"], json!([]));
    assert_eq!(round_trip(&with(|input| input["maybe"] = Value::Null))["maybe"], Value::Null);
}

#[test]
fn bytes_that_are_no_text_are_base64() {
    let input = with(|input| input["contents"] = json!({ "base64": "/wA=" }));
    assert_eq!(round_trip(&input)["contents"], json!({ "base64": "/wA=" }));
    assert_eq!(
        problems(&with(|input| input["contents"] = json!({ "base64": "not base64" }))),
        [r#"contents: expected text, or {"base64": text}, found {"base64":"not base64"}"#]
    );
}

#[test]
fn a_foreseen_failure_is_an_error() {
    let (_, answer) = types();
    let error = Val::Result(Err(Some(Box::new(Val::Variant("circle".to_owned(), Some(Box::new(Val::U32(3))))))));
    assert_eq!(lift::answer(&error, &answer).unwrap().to_json(), json!({ "error": { "circle": 3 } }));
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let input = with(|input| {
        input["tenantNam"] = json!("typing error");
        input["small"] = json!(256);
        input["tags"] = json!(["a", 7, "c", null]);
        input["color"] = json!("darkBlue");
        input["shapes"] = json!(["point", "circle", { "point": 1 }, { "full-name": 2 }, { "a": 1, "b": 2 }]);
        input["inner"] = json!({ "config": "x" });
        input["config"] = json!("{}");
        input.as_object_mut().unwrap().remove("tenantName");
    });
    let told = problems(&input);
    let expected = [
        "tenantName: is missing; expected text",
        "small: expected a whole number from 0 to 255, found 256",
        "tags[1]: expected text, found 7",
        "tags[3]: expected text, found null",
        r#"color: expected "red" or "dark-blue", found "darkBlue""#,
        r#"shapes[1]: `circle` needs a value: expected {"circle": a whole number}"#,
        r#"shapes[2]: `point` has no value: expected "point""#,
        "shapes[3].full-name: expected text, found 2",
        r#"shapes[4]: expected "point" or {"circle": a whole number} or {"full-name": text}, found {"a":1,"b":2}"#,
        "inner.isOn: is missing; expected true or false",
        "config: is not part of the input; give it as the configuration of the case",
    ];
    assert_eq!(told[..expected.len()], expected);
    assert_eq!(told.len(), expected.len() + 1);
    let unknown = told.last().unwrap();
    assert!(unknown.starts_with("tenantNam: there is no such field; there are `tenantName`, `small`"), "{unknown}");
}

#[test]
fn an_input_that_is_no_object_is_told_so_and_a_flood_of_problems_is_cut() {
    assert_eq!(problems(&json!("{}")), [r#"the input: expected an object, found "{}""#]);
    let flood = with(|input| input["tags"] = json!(vec![7; 1000]));
    assert_eq!(problems(&flood).len(), 20);
    let long = problems(&with(|input| input["small"] = json!("é".repeat(1000))));
    assert!(long[0].chars().count() < 150 && long[0].ends_with('…'), "{long:?}");
}
