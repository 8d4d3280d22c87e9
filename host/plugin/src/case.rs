//! Cases: what a plugin is to answer to what, as data. A plugin carries some as its `examples`, which must hold for it
//! to be installed, and its author keeps more in files.
//!
//! How a case is written and compared is said at `record example` in `wit/plugin/plugin.wit`.

use std::fmt;
use std::time::{Duration, Instant};

use convergence_sandbox::{CallError, CallReport, Component, Example, JsonAnswer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::configuration;

/// Examples that a plugin may have.
const MAX_EXAMPLES: usize = 64;
/// Bytes of one example: it is held many times over while it runs.
const MAX_EXAMPLE_BYTES: usize = 1 << 20;
/// What all examples together may take; each call has its own deadline besides.
const MAX_EXAMPLES_TIME: Duration = Duration::from_secs(30);
/// Differences told; two long lists have one for each element.
const MAX_DIFFERENCES: usize = 20;
/// Characters of a value that are shown in a difference.
const SHOWN: usize = 200;

/// One case. As a file of JSON it is an object with these fields, of which only `input` must be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, in a few words.
    #[serde(default)]
    pub name: String,
    /// The configuration of the call: an object that satisfies the plugin's schema.
    #[serde(default = "no_configuration")]
    pub config: Value,
    /// The argument of the main function, without its `config`.
    pub input: Value,
    /// What the answer must contain. None when it is enough that the call succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Value>,
}

fn no_configuration() -> Value {
    Value::Object(Map::new())
}

/// What became of a case.
#[derive(Debug, Clone)]
pub struct CaseOutcome {
    /// The answer, or `{"error":…}` for a failure that the plugin foresaw. None where there is none.
    pub answer: Option<Value>,
    /// Why there is no answer.
    pub failure: Option<CaseFailure>,
    /// In what the answer is not as expected.
    pub differences: Vec<Difference>,
    /// What the call took. None where nothing was called.
    pub report: Option<CallReport>,
}

impl CaseOutcome {
    /// Whether the plugin answered, and as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failure.is_none() && self.differences.is_empty()
    }
}

/// Why a case has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseFailure {
    /// The case is wrong, and nothing was called.
    #[error("the case is wrong: {0}")]
    Case(String),
    /// The call has no answer: the plugin broke, or a limit ended it.
    #[error(transparent)]
    Call(CallError),
}

/// One place where an answer is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where in the answer: `service.port`, `stages[0].name`. Empty for the whole.
    pub path: String,
    /// What the case says, as JSON or in words.
    pub expected: String,
    /// What is there instead.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.path.is_empty() { "the answer" } else { &self.path };
        write!(f, "{place}: expected {}, found {}", self.expected, self.found)
    }
}

impl Case {
    /// Reads an example, or says what is wrong with it.
    pub fn from_example(example: &Example) -> Result<Self, String> {
        let part = |part: &str, text: &str| {
            serde_json::from_str::<Value>(text).map_err(|error| format!("its `{part}` is not JSON: {error}"))
        };
        Ok(Self {
            name: example.name.clone(),
            config: part("config", &example.config)?,
            input: part("input", &example.input)?,
            expect: example.expect.as_deref().map(|text| part("expect", text)).transpose()?,
        })
    }

    /// Asks the plugin, under the limits of its sandbox, and compares.
    pub async fn run(&self, component: &Component) -> CaseOutcome {
        let schema = &component.description().config_schema;
        let config = match configuration::check(schema, Some(&self.config)) {
            Ok(config) => config,
            Err(reason) => return CaseOutcome::without_answer(CaseFailure::Case(reason), None),
        };
        let reported = match component.call_json(&config, &self.input).await {
            Ok(reported) => reported,
            Err(error) => {
                let reason = format!("its `input` is not what the plugin takes: {error}");
                return CaseOutcome::without_answer(CaseFailure::Case(reason), None);
            }
        };
        match reported.result {
            Err(error) => CaseOutcome::without_answer(CaseFailure::Call(error), reported.report),
            Ok(answer) => CaseOutcome {
                differences: compare(self.expect.as_ref(), &answer),
                answer: Some(answer.to_json()),
                failure: None,
                report: reported.report,
            },
        }
    }
}

impl CaseOutcome {
    fn without_answer(failure: CaseFailure, report: Option<CallReport>) -> Self {
        Self { answer: None, failure: Some(failure), differences: Vec::new(), report }
    }

    /// Why it did not pass, on one line.
    fn reason(&self) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(failure.to_string());
        }
        let first = self.differences.first()?;
        Some(match self.differences.len() {
            1 => first.to_string(),
            more => format!("{first}; and {} more differences", more - 1),
        })
    }
}

/// Runs a plugin's own examples, one after the other. The error says which do not hold, for the operator and the
/// author. What a plugin may have of them, and what they may take, is bounded.
pub async fn run_examples(component: &Component) -> Result<(), String> {
    let examples = &component.description().examples;
    check_examples(examples)?;
    let started = Instant::now();
    let mut broken = Vec::new();
    for example in examples {
        if started.elapsed() > MAX_EXAMPLES_TIME {
            return Err(format!("its examples take more than {} seconds; give it fewer", MAX_EXAMPLES_TIME.as_secs()));
        }
        let reason = match Case::from_example(example) {
            Ok(case) => case.run(component).await.reason(),
            Err(reason) => Some(reason),
        };
        if let Some(reason) = reason {
            broken.push(format!("its example `{}` does not hold: {reason}", example.name.escape_debug()));
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
}

/// Whether a plugin may have these examples at all: at least one, few enough, each small enough, no two of one name.
pub fn check_examples(examples: &[Example]) -> Result<(), String> {
    if examples.is_empty() {
        return Err("it has no examples; the contract asks for at least one".to_owned());
    }
    if examples.len() > MAX_EXAMPLES {
        return Err(format!("it has {} examples, more than the {MAX_EXAMPLES} that are allowed", examples.len()));
    }
    for (at, example) in examples.iter().enumerate() {
        let Example { name, config, input, expect } = example;
        if examples.iter().take(at).any(|other| other.name == *name) {
            return Err(format!("two of its examples are named `{}`", name.escape_debug()));
        }
        let bytes = name.len() + config.len() + input.len() + expect.as_ref().map_or(0, String::len);
        if bytes > MAX_EXAMPLE_BYTES {
            return Err(format!(
                "an example of it has {bytes} bytes, more than the {MAX_EXAMPLE_BYTES} that are allowed"
            ));
        }
    }
    Ok(())
}

/// In what an answer is not as expected.
fn compare(expect: Option<&Value>, answer: &JsonAnswer) -> Vec<Difference> {
    let mut differences = Differences { path: String::new(), found: Vec::new() };
    let expected_error =
        expect.and_then(Value::as_object).filter(|expect| expect.len() == 1).and_then(|e| e.get("error"));
    match (answer, expect, expected_error) {
        (JsonAnswer::Ok(_), None, _) => {}
        (JsonAnswer::Ok(answer), Some(_), Some(error)) => {
            differences.add(format!("the error {}", shown(error)), format!("the answer {}", shown(answer)));
        }
        (JsonAnswer::Ok(answer), Some(expect), None) => differences.compare(expect, answer),
        (JsonAnswer::Err(error), _, Some(expected)) => differences.within("error", |differences| {
            // The name alone stands for the case, whatever it holds.
            match expected {
                Value::String(name) if case_name(error) == Some(name) => {}
                expected => differences.compare(expected, error),
            }
        }),
        (JsonAnswer::Err(error), _, None) => {
            differences.add("an answer".to_owned(), format!("the error {}", shown(error)));
        }
    }
    differences.found
}

/// The case of a variant: its only key, or itself.
fn case_name(variant: &Value) -> Option<&str> {
    match variant {
        Value::String(name) => Some(name),
        Value::Object(fields) => fields.keys().next().map(String::as_str),
        _ => None,
    }
}

struct Differences {
    path: String,
    found: Vec<Difference>,
}

impl Differences {
    /// Objects by the fields that are expected; lists element by element, with equal lengths; the rest as a whole.
    fn compare(&mut self, expected: &Value, found: &Value) {
        match (expected, found) {
            (Value::Object(expected), Value::Object(found)) => {
                for (name, expected) in expected {
                    self.within(name, |differences| match found.get(name) {
                        Some(found) => differences.compare(expected, found),
                        None => differences.add(shown(expected), "no such field".to_owned()),
                    });
                }
            }
            (Value::Array(expected), Value::Array(found)) => {
                if expected.len() != found.len() {
                    let count =
                        |list: &[Value]| format!("{} in the list {}", list.len(), shown(&Value::Array(list.to_vec())));
                    self.add(count(expected), count(found));
                    return;
                }
                for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
                    self.within(&format!("[{at}]"), |differences| differences.compare(expected, found));
                }
            }
            (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
            (expected, found) if expected == found => {}
            (expected, found) => self.add(shown(expected), shown(found)),
        }
    }

    fn within(&mut self, place: &str, f: impl FnOnce(&mut Self)) {
        let before = self.path.len();
        if before > 0 && !place.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(place);
        f(self);
        self.path.truncate(before);
    }

    fn add(&mut self, expected: String, found: String) {
        if self.found.len() < MAX_DIFFERENCES {
            self.found.push(Difference { path: self.path.clone(), expected, found });
        }
    }
}

/// The start of a value.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use serde_json::json;

    fn differences(expect: Value, answer: Value) -> Vec<String> {
        compare(Some(&expect), &JsonAnswer::Ok(answer)).iter().map(Difference::to_string).collect()
    }

    #[test]
    fn objects_may_hold_more_and_everything_else_is_whole() {
        let answer =
            json!({ "service": { "port": 80, "command": ["a", "b"], "user": null }, "notes": [{ "a": 1, "b": 2 }] });
        let same = |expect| assert_eq!(differences(expect, answer.clone()), [""; 0]);
        same(json!({}));
        same(json!({ "service": { "port": 80.0 } }));
        same(json!({ "service": { "command": ["a", "b"], "user": null }, "notes": [{ "b": 2 }] }));
        let other = |expect, told: &[&str]| assert_eq!(differences(expect, answer.clone()), told);
        other(
            json!({ "service": { "port": 81, "command": ["a"] }, "note": 1 }),
            &[
                "note: expected 1, found no such field",
                r#"service.command: expected 1 in the list ["a"], found 2 in the list ["a","b"]"#,
                "service.port: expected 81, found 80",
            ],
        );
        other(json!({ "notes": [{ "a": "1" }] }), &[r#"notes[0].a: expected "1", found 1"#]);
        other(
            json!([]),
            &[
                r#"the answer: expected [], found {"notes":[{"a":1,"b":2}],"service":{"command":["a","b"],"port":80,"user":null}}"#,
            ],
        );
    }

    #[test]
    fn errors_are_expected_by_their_case_or_in_full() {
        let error = JsonAnswer::Err(json!({ "invalid-input": [{ "path": "framework", "message": "no" }] }));
        let told = |expect: Option<Value>| -> Vec<String> {
            compare(expect.as_ref(), &error).iter().map(Difference::to_string).collect()
        };
        assert!(told(Some(json!({ "error": "invalid-input" }))).is_empty());
        assert!(told(Some(json!({ "error": { "invalid-input": [{ "path": "framework" }] } }))).is_empty());
        assert!(
            told(Some(json!({ "error": "unsupported" })))[0]
                .starts_with(r#"error: expected "unsupported", found {"inv"#)
        );
        assert_eq!(
            told(Some(json!({ "error": { "invalid-input": [{ "path": "name" }] } })))[0],
            r#"error.invalid-input[0].path: expected "name", found "framework""#
        );
        assert!(told(None)[0].starts_with("the answer: expected an answer, found the error"));
        assert!(told(Some(json!({ "service": {} })))[0].starts_with("the answer: expected an answer"));
        assert_eq!(
            differences(json!({ "error": "unsupported" }), json!({})),
            [r#"the answer: expected the error "unsupported", found the answer {}"#]
        );
    }

    #[test]
    fn a_file_needs_an_input_alone_and_may_not_hold_more() {
        let case: Case = serde_json::from_str(r#"{"input":{"a":1}}"#).unwrap();
        assert_eq!((case.config, case.expect), (json!({}), None));
        assert!(
            serde_json::from_str::<Case>(r#"{"input":{},"expects":{}}"#).unwrap_err().to_string().contains("expects")
        );
        assert!(serde_json::from_str::<Case>("{}").is_err());
    }

    #[test]
    fn examples_are_bounded_and_have_names_of_their_own() {
        let example = |name: &str, input: &str| Example {
            name: name.to_owned(),
            config: "{}".to_owned(),
            input: input.to_owned(),
            expect: None,
        };
        assert!(check_examples(&[example("a", "{}"), example("b", "{}")]).is_ok());
        let refused = |examples: &[Example]| check_examples(examples).unwrap_err();
        assert!(refused(&[]).contains("no examples"));
        assert!(refused(&[example("a", "{}"), example("a", "1")]).contains("named `a`"));
        assert!(refused(&[example("a", &" ".repeat(MAX_EXAMPLE_BYTES))]).contains("bytes"));
        let many: Vec<Example> = (0..=MAX_EXAMPLES).map(|at| example(&at.to_string(), "{}")).collect();
        assert!(refused(&many).contains("65 examples"));
    }
}
