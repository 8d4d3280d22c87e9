//! Bringing what a case expects up to date with what was answered. Only that part of the file changes.

use std::ops::Range;

use serde_json::{Map, Value};

/// The same expectation with the values of the answer: objects keep the fields they named, as far as they are there.
pub(crate) fn updated(expect: &Value, answer: &Value) -> Value {
    match (expect, answer) {
        (Value::Object(expect), Value::Object(answer)) => {
            if let (true, Some(error)) = (expect.len() == 1, answer.get("error"))
                && matches!(expect.get("error"), Some(Value::String(_)))
            {
                // A failure that was named by its case stays so.
                let name = error.as_object().and_then(|error| error.keys().next()).cloned();
                let name = name.map_or_else(|| error.clone(), Value::String);
                return Value::Object(Map::from_iter([("error".to_owned(), name)]));
            }
            let kept: Map<String, Value> = expect
                .iter()
                .filter_map(|(name, expect)| Some((name.clone(), updated(expect, answer.get(name)?))))
                .collect();
            if kept.is_empty() && !expect.is_empty() {
                return Value::Object(answer.clone());
            }
            Value::Object(kept)
        }
        (Value::Array(expect), Value::Array(answer)) if expect.len() == answer.len() => {
            expect.iter().zip(answer).map(|(expect, answer)| updated(expect, answer)).collect()
        }
        (_, answer) => answer.clone(),
    }
}

/// The text of a case with another value under `expect`. None where it has none.
pub(crate) fn with_expectation(text: &str, expect: &Value) -> Option<String> {
    let place = value_of(text, "expect")?;
    let fresh = format!("{expect:#}").replace('\n', "\n  ");
    let (before, after) = (text.get(..place.start)?, text.get(place.end..)?);
    Some(format!("{before}{fresh}{after}"))
}

/// Where the value of a key of the outermost object is. `text` is JSON.
fn value_of(text: &str, key: &str) -> Option<Range<usize>> {
    let quoted = format!("\"{key}\"");
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let (mut string_start, mut value_start) = (0, None);
    for (at, c) in text.char_indices() {
        if in_string {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                string_start = at;
            }
            '{' | '[' => depth += 1,
            ':' if depth == 1 && value_start.is_none() && text.get(string_start..at)?.trim_end() == quoted => {
                value_start = Some(at + 1);
            }
            ',' | '}' if depth == 1 => {
                if let Some(start) = value_start {
                    let value = text.get(start..at)?;
                    let start = start + value.len() - value.trim_start().len();
                    return Some(start..start + value.trim().len());
                }
                depth -= usize::from(c == '}');
            }
            '}' | ']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    #[test]
    fn an_expectation_keeps_its_shape() {
        let answer = json!({ "service": { "port": 81, "user": null }, "notes": ["a", "b"], "stages": [{ "name": "x", "steps": [] }] });
        let expect = json!({ "service": { "port": 80, "gone": 1 }, "notes": ["a"], "stages": [{ "name": "y" }] });
        assert_eq!(
            updated(&expect, &answer),
            json!({ "service": { "port": 81 }, "notes": ["a", "b"], "stages": [{ "name": "x" }] })
        );
        let error = json!({ "error": { "unsupported": "no" } });
        assert_eq!(updated(&json!({ "error": "invalid-input" }), &error), json!({ "error": "unsupported" }));
        assert_eq!(updated(&json!({ "service": {} }), &error), error);
        assert_eq!(updated(&json!({ "error": "invalid-input" }), &answer), answer);
    }

    #[test]
    fn the_rest_of_the_file_stays_as_it_was() {
        let text = r#"{
  "name": "about \"expect\": {}",
  "input": { "expect": 1, "b": [1, {}] },   "a": "expect" ,
  "expect" : {"port": "}," } ,
  "config": {}
}
"#;
        let fresh = with_expectation(text, &json!({ "port": 81 })).unwrap();
        assert_eq!(fresh, text.replace(r#"{"port": "}," }"#, "{\n    \"port\": 81\n  }"));
        let last = r#"{"input":{},"expect":3}"#;
        assert_eq!(with_expectation(last, &json!(4)).unwrap(), r#"{"input":{},"expect":4}"#);
        assert_eq!(with_expectation(r#"{"input":{"expect":3}}"#, &json!(4)), None);
    }
}
