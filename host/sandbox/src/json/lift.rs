//! From values of a component to JSON, by its types. Everything is written: an option that is none as `null`, a list
//! that is empty as `[]`.

use data_encoding::BASE64;
use serde_json::{Map, Number, Value, json};
use wasmtime::component::Val;
use wasmtime::component::types::Type;

use super::{JsonAnswer, camel_case};
use crate::error::CallError;

/// The answer of a main function, which is a `result`.
pub(super) fn answer(answer: &Val, ty: &Type) -> Result<JsonAnswer, CallError> {
    let (Val::Result(answer), Type::Result(ty)) = (answer, ty) else { return Err(inexpressible()) };
    match answer {
        Ok(answer) => payload(answer.as_deref(), ty.ok()).map(JsonAnswer::Ok),
        Err(error) => payload(error.as_deref(), ty.err()).map(JsonAnswer::Err),
    }
}

fn payload(value: Option<&Val>, ty: Option<Type>) -> Result<Value, CallError> {
    match (value, ty) {
        (Some(value), Some(ty)) => json(value, &ty),
        _ => Ok(Value::Null),
    }
}

fn json(value: &Val, ty: &Type) -> Result<Value, CallError> {
    Ok(match (value, ty) {
        (Val::Bool(value), _) => Value::Bool(*value),
        (Val::S8(value), _) => json!(value),
        (Val::U8(value), _) => json!(value),
        (Val::S16(value), _) => json!(value),
        (Val::U16(value), _) => json!(value),
        (Val::S32(value), _) => json!(value),
        (Val::U32(value), _) => json!(value),
        (Val::S64(value), _) => json!(value),
        (Val::U64(value), _) => json!(value),
        (Val::Float32(value), _) => float(f64::from(*value)),
        (Val::Float64(value), _) => float(*value),
        (Val::Char(value), _) => Value::String(value.to_string()),
        (Val::String(text), _) => Value::String(text.clone()),
        (Val::List(elements), Type::List(list)) if list.ty() == Type::U8 => bytes(elements),
        (Val::List(elements), Type::List(list)) => {
            let ty = list.ty();
            list_of(elements.iter().map(|element| json(element, &ty)))?
        }
        (Val::FixedLengthList(elements), Type::FixedLengthList(list)) => {
            let ty = list.ty();
            list_of(elements.iter().map(|element| json(element, &ty)))?
        }
        (Val::Tuple(elements), Type::Tuple(tuple)) => {
            list_of(elements.iter().zip(tuple.types()).map(|(element, ty)| json(element, &ty)))?
        }
        (Val::Record(values), Type::Record(record)) => {
            let mut fields = Map::new();
            for ((name, value), field) in values.iter().zip(record.fields()) {
                fields.insert(camel_case(name), json(value, &field.ty)?);
            }
            Value::Object(fields)
        }
        (Val::Variant(name, None), _) | (Val::Enum(name), _) => Value::String(name.clone()),
        (Val::Variant(name, Some(value)), Type::Variant(variant)) => {
            let case = variant.cases().find(|case| case.name == name);
            let ty = case.and_then(|case| case.ty).ok_or_else(inexpressible)?;
            Value::Object(Map::from_iter([(name.clone(), json(value, &ty)?)]))
        }
        (Val::Flags(names), _) => json!(names),
        (Val::Option(None), _) => Value::Null,
        (Val::Option(Some(value)), Type::Option(option)) => json(value, &option.ty())?,
        _ => return Err(inexpressible()),
    })
}

fn list_of(elements: impl Iterator<Item = Result<Value, CallError>>) -> Result<Value, CallError> {
    elements.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// Text where it is text.
fn bytes(elements: &[Val]) -> Value {
    let bytes = elements.iter().filter_map(|element| if let Val::U8(byte) = element { Some(*byte) } else { None });
    match String::from_utf8(bytes.collect()) {
        Ok(text) => Value::String(text),
        Err(error) => json!({ "base64": BASE64.encode(error.as_bytes()) }),
    }
}

/// JSON has no infinities and no NaN.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// The contract has no such type, and its types were checked when the component was linked.
fn inexpressible() -> CallError {
    CallError::Host("its answer has a type that JSON cannot express".to_owned())
}
