//! JSON bodies.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use convergence_model::{Code, Violation};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa::openapi::Content;

use super::json;
use super::schema::{of_body, without_unreadable};
use super::words::Finding;
use crate::App;
use crate::document::{Draft, Part};
use crate::problem::Problem;

/// Bytes in a request body.
pub(crate) const BODY_MAX: usize = 1024 * 1024;

/// What a JSON body can be refused with.
const CODES: &[Code] =
    &[Code::MalformedJson, Code::Truncated, Code::TooLarge, Code::NotJson, Code::EncodedBody, Code::Invalid];

/// A JSON body that is as documented.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

/// A JSON body whose fields the handler looks at more closely, so that one answer names everything that is wrong. What is
/// not of its type is left out of it, and told.
#[derive(Debug)]
pub(crate) struct Drafted<T> {
    pub(crate) body: T,
    pub(crate) wrong: Vec<Violation>,
}

fn describe<T: ToSchema>(draft: &mut Draft) {
    let content = Content::new(Some(draft.schema::<T>()));
    draft.body([("application/json", content)]);
    draft.codes(CODES.iter().copied());
}

impl<T: ToSchema> Part for Body<T> {
    fn describe(draft: &mut Draft) {
        describe::<T>(draft);
    }
}

impl<T: ToSchema> Part for Drafted<T> {
    fn describe(draft: &mut Draft) {
        describe::<T>(draft);
    }
}

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let Drafted { body, wrong } = Drafted::from_request(request, app).await?;
        if wrong.is_empty() { Ok(Self(body)) } else { Err(Problem::invalid(&wrong)) }
    }
}

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest<App> for Drafted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Problem> {
        // Not a formality: a form on another site can send anything but this content type.
        let media_type = content_type(request.headers())?;
        if media_type != "application/json" {
            return Err(Problem::new(
                Code::NotJson,
                format!("the body must be sent with `Content-Type: application/json`; it was {media_type:?}"),
            ));
        }
        read_json(request).await
    }
}

/// The media type of a body in lower case, without its parameters; empty where none is given.
///
/// # Errors
/// The body is compressed: nothing here decompresses.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<String, Problem> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
    if let Some(encoding) = encodings.find(|encoding| !encoding.trim().eq_ignore_ascii_case("identity")) {
        let detail = format!("the body is encoded as {encoding:?}; send it as it is, without `Content-Encoding`");
        return Err(Problem::new(Code::EncodedBody, detail));
    }
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Reads a JSON body whose media type was looked at.
///
/// # Errors
/// It is no JSON, too long, cut off, or cannot be read at all as what it should be.
pub(crate) async fn read_json<T: DeserializeOwned + ToSchema + 'static>(
    request: Request,
) -> Result<Drafted<T>, Problem> {
    let bytes = axum::body::to_bytes(request.into_body(), BODY_MAX).await.map_err(|error| {
        let too_large = std::error::Error::source(&error).is_some_and(|s| s.is::<http_body_util::LengthLimitError>());
        if too_large {
            Problem::new(Code::TooLarge, format!("the body is larger than {BODY_MAX} bytes; send less"))
        } else {
            Problem::new(Code::Truncated, "the body ended before all of it was there; send it again")
        }
    })?;
    parse(&bytes)
}

fn parse<T: DeserializeOwned + ToSchema + 'static>(bytes: &[u8]) -> Result<Drafted<T>, Problem> {
    let document = json::read(bytes)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("the body is not JSON: {error}")))?;
    let checker = of_body::<T>().map_err(|error| Problem::internal(&error))?;
    let twice = |path| Finding::new(path, "doubled", "it is there more than once; send it once");
    let mut found: Vec<_> = document.doubled.into_iter().map(twice).collect();
    found.extend(checker.findings(&document.value));
    let mut value = document.value;
    without_unreadable(&mut value, &found);
    let wrong: Vec<_> = found.into_iter().map(|finding| finding.violation).collect();
    match serde_json::from_value(value) {
        Ok(body) => Ok(Drafted { body, wrong }),
        // What is missing or cannot be read at all was told above; a field is never told in the words of a library.
        Err(_) if !wrong.is_empty() => Err(Problem::invalid(&wrong)),
        Err(error) => {
            tracing::error!(%error, "a body satisfies its schema and cannot be read");
            Err(Problem::invalid(&[Violation::deny("", "bad-form", "the body cannot be read as documented")]))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, serde::Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        name: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        #[schema(maximum = 9)]
        count: u32,
    }

    fn complaints(body: &str) -> String {
        let problem = match parse::<Outer>(body.as_bytes()) {
            Ok(Drafted { wrong, .. }) => Problem::invalid(&wrong),
            Err(problem) => problem,
        };
        let problem = serde_json::to_value(problem.document("1")).unwrap();
        let told = problem["violations"].as_array().into_iter().flatten();
        let told = told.map(|v| format!(" {} {}", v["code"].as_str().unwrap(), v["path"].as_str().unwrap()));
        format!("{}{}", problem["status"], told.collect::<String>())
    }

    #[test]
    fn a_wrong_body_is_answered_with_the_path_of_the_field() {
        assert_eq!(complaints(r#"{"name": "a", "colour": 1}"#), "422 unknown-field colour");
        assert_eq!(complaints(r#"{"name": "a", "inner": {"count": 1, "size": 2}}"#), "422 unknown-field inner.size");
        assert_eq!(complaints(r#"{"inner": null}"#), "422 required name");
        assert_eq!(complaints(r#"{"name": "a", "inner": {"count": "many"}}"#), "422 wrong-type inner.count");
        assert_eq!(complaints(r#"{"name": "a", "inner": {"count": 10}}"#), "422 out-of-range inner.count");
        assert_eq!(complaints(r#"{"name": 7}"#), "422 wrong-type name");
        assert_eq!(complaints(r#"{"name": "#), "400");
        assert_eq!(complaints(r#"{"name": "a"} x"#), "400");
    }

    #[test]
    fn an_array_is_no_object_and_a_field_is_there_once() {
        assert_eq!(complaints(r#"["a", null]"#), "422 wrong-type ");
        assert_eq!(complaints(r#"{"name": "a", "inner": [1]}"#), "422 wrong-type inner");
        assert_eq!(complaints(r#"{"name": "a", "inner": {"count": 1, "count": 2}}"#), "422 doubled inner.count");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let told = complaints(r#"{"name": 7, "colour": 1, "inner": {"count": 99}}"#);
        for expected in ["wrong-type name", "unknown-field colour", "out-of-range inner.count"] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }

    #[test]
    fn no_answer_has_the_words_of_a_library() {
        for body in [r#"["a"]"#, r#"{"name": 7}"#, r#"{"inner": {"count": 0.5}}"#, r#"{"name": "a", "inner": 1}"#] {
            let problem = match parse::<Outer>(body.as_bytes()) {
                Ok(Drafted { wrong, .. }) => Problem::invalid(&wrong),
                Err(problem) => problem,
            };
            let text = serde_json::to_string(&problem.document("1")).unwrap();
            for foreign in ["expected", "struct", "f64", "u32", "Outer", "JSON Schema", "oneOf"] {
                assert!(!text.contains(foreign), "{foreign}: {text}");
            }
        }
    }
}
