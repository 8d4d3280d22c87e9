//! Reading JSON so that nothing of it is lost: a field that is there twice is remembered.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::words::Path;

/// A document, and the paths of the fields that are there more than once.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) doubled: Vec<Path>,
}

/// Integers up to here are exact as floating-point numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads a document.
///
/// # Errors
/// The bytes are not one JSON document.
pub(super) fn read(bytes: &[u8]) -> Result<Document, serde_json::Error> {
    let doubled = RefCell::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Node { path: Path::default(), doubled: &doubled }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(Document { value, doubled: doubled.into_inner() })
}

/// One value of the document, at its path.
struct Node<'a> {
    path: Path,
    doubled: &'a RefCell<Vec<Path>>,
}

impl Node<'_> {
    fn below(&self, path: Path) -> Self {
        Self { path, doubled: self.doubled }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    /// 5.0 is the integer 5 to JSON Schema, and so it is here.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && value.abs() < EXACT {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it has no fraction and is in range by the line above"
            )]
            return Ok((value as i64).into());
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self.below(self.path.item(values.len())))? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = self.path.field(&name);
            let value = fields.next_value_seed(self.below(path.clone()))?;
            if values.insert(name, value).is_some() {
                self.doubled.borrow_mut().push(path);
            }
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_are_there_twice_are_told_at_any_depth() {
        let document = read(br#"{"a": 1, "b": [{"c": 1, "c": 2}], "a": 2}"#).unwrap();
        let doubled: Vec<_> = document.doubled.iter().map(ToString::to_string).collect();
        assert_eq!(doubled, ["b[0].c", "a"]);
        assert_eq!(document.value, json!({ "a": 2, "b": [{ "c": 2 }] }));
    }

    #[test]
    fn everything_else_is_read_as_it_is() {
        let text = r#"{"n": null, "t": true, "i": -1, "f": 0.5, "whole": 5.0, "s": "x", "l": [[], {}]}"#;
        let whole = json!({ "n": null, "t": true, "i": -1, "f": 0.5, "whole": 5, "s": "x", "l": [[], {}] });
        assert_eq!(read(text.as_bytes()).unwrap().value, whole);
        for bad in ["", "{", "{} x", "[1,]", "nul", "{\"a\" 1}"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read("[".repeat(100_000).as_bytes()).is_err(), "it goes no deeper than the reader's own bound");
    }
}
