//! Query parameters.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use convergence_model::{Code, Violation};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::schema::{Checker, of_query};
use super::words::{Finding, Path};
use crate::App;
use crate::document::{Draft, Part};
use crate::problem::Problem;

/// Query parameters, of the documented types and in the documented ranges; unknown ones are refused like unknown fields of
/// a body.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: IntoParams> Part for Query<T> {
    fn describe(draft: &mut Draft) {
        draft.query::<T>();
        draft.codes([Code::Invalid]);
    }
}

impl<T: DeserializeOwned + IntoParams + 'static> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        read::<T>(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn read<T: DeserializeOwned + IntoParams + 'static>(text: &str) -> Result<T, Problem> {
    let checker = of_query::<T>().map_err(|error| Problem::internal(&error))?;
    let pairs: Vec<(String, String)> = form(text);
    let (mut fields, mut found) = (Map::new(), Vec::new());
    for (name, text) in pairs {
        let path = Path::default().field(&name);
        let Some(value) = typed(&checker, &name, text) else {
            found.push(Finding::new(
                path,
                "out-of-range",
                "it is beyond every number that can be meant; send a smaller one",
            ));
            continue;
        };
        if fields.insert(name.clone(), value).is_some() {
            found.push(Finding::new(
                Path::default().field(&name),
                "doubled",
                format!("{name:?} is there more than once"),
            ));
        }
    }
    let value = Value::Object(fields);
    found.extend(checker.findings(&value));
    if !found.is_empty() {
        return Err(Problem::invalid(&found.into_iter().map(|finding| finding.violation).collect::<Vec<_>>()));
    }
    serde_json::from_value(value).map_err(|error| {
        tracing::error!(%error, "query parameters satisfy their schema and cannot be read");
        Problem::invalid(&[Violation::deny("", "bad-form", "the query cannot be read as documented")])
    })
}

/// Names and values, percent-decoded; `+` is a space.
fn form(text: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
            let byte = hex.filter(|_| first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
            rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
            bytes.push(byte.unwrap_or(first));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

/// A text as the type that the parameter has, where it is one; else as it is, and the schema says what is wrong with it.
/// None is an integer that is larger than any of ours.
fn typed(checker: &Checker, name: &str, text: String) -> Option<Value> {
    let types = checker.types_of(name);
    // Only as numbers are written: `+5`, ` 5` and `5.0` are texts.
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if types.contains(&"integer") && plain {
        return text.parse::<i64>().ok().map(Value::from);
    }
    Some(match text.as_str() {
        "true" if types.contains(&"boolean") => true.into(),
        "false" if types.contains(&"boolean") => false.into(),
        _ => text.into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, serde::Deserialize, IntoParams)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        /// Seconds.
        #[param(minimum = 0, maximum = 10)]
        wait: Option<u64>,
        follow: Option<bool>,
        number: Option<i64>,
        /// `t` and a number.
        #[param(pattern = "^t[0-9]+$")]
        cursor: Option<String>,
    }

    fn wrong(query: &str) -> Vec<String> {
        let problem = serde_json::to_value(read::<Parameters>(query).unwrap_err().document("1")).unwrap();
        let told = problem["violations"].as_array().unwrap().iter();
        told.map(|v| format!("{} {}", v["path"].as_str().unwrap(), v["code"].as_str().unwrap())).collect()
    }

    #[test]
    fn what_is_documented_is_read() {
        let read = read::<Parameters>("wait=10&follow=true&cursor=%74" /* t */).unwrap_err();
        assert_eq!(serde_json::to_value(read.document("1")).unwrap()["violations"][0]["path"], "cursor");
        let good = super::read::<Parameters>("wait=10&follow=true&&cursor=%747").unwrap();
        assert_eq!((good.wait, good.follow, good.cursor.as_deref()), (Some(10), Some(true), Some("t7")));
        assert_eq!(super::read::<Parameters>("").unwrap().wait, None);
    }

    #[test]
    fn every_wrong_parameter_is_told_in_one_answer() {
        let told = wrong("wait=11&follow=yes&cursor=&page=2");
        for expected in ["wait out-of-range", "follow wrong-type", "cursor bad-form", "page unknown-field"] {
            assert!(told.iter().any(|told| told == expected), "{expected}: {told:?}");
        }
        assert_eq!(wrong("wait=-1"), ["wait out-of-range"]);
        assert_eq!(wrong("wait=99999999999999999999"), ["wait out-of-range"]);
        for text in ["wait=", "wait=x", "wait=%2B5", "wait=5.0", "wait=0x5"] {
            assert_eq!(wrong(text), ["wait wrong-type"], "{text}");
        }
        assert_eq!(wrong("wait=1&wait=2"), ["wait doubled"]);
        for beyond in ["9223372036854775808", "-9223372036854775809", "99999999999999999999999"] {
            assert_eq!(wrong(&format!("number={beyond}")), ["number out-of-range"]);
        }
        for within in [i64::MIN, i64::MAX] {
            assert_eq!(super::read::<Parameters>(&format!("number={within}")).unwrap().number, Some(within));
        }
    }
}
