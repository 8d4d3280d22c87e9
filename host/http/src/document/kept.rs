//! Whether the server keeps to its own document: in development builds, and so in every test, each answer is compared with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::MatchedPath;
use axum::http::{Method, header};
use axum::response::Response;
use serde_json::Value;

/// What the document says, as far as an answer can be compared with it: status → media types, by path and method.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promises(Arc<BTreeMap<Route, Forms>>);

/// Path and method.
type Route = (String, String);
/// Status → media types.
type Forms = BTreeMap<String, BTreeSet<String>>;

impl Promises {
    /// What a document promises.
    pub(crate) fn of(document: &utoipa::openapi::OpenApi) -> Self {
        let document = serde_json::to_value(document).unwrap_or_default();
        let mut promises = BTreeMap::new();
        let empty = serde_json::Map::new();
        let below = |value: &Value, name: &str| value.get(name).and_then(Value::as_object).unwrap_or(&empty).clone();
        for (path, item) in below(&document, "paths") {
            for (method, operation) in item.as_object().unwrap_or(&empty).clone() {
                let responses = below(&operation, "responses").into_iter().map(|(status, response)| {
                    (status, below(&response, "content").into_iter().map(|(media, _)| media).collect())
                });
                promises.insert((path.clone(), method.to_ascii_uppercase()), responses.collect());
            }
        }
        Self(Arc::new(promises))
    }

    /// What is wrong with an answer, if anything is. Paths that the document does not list answer nothing but problems.
    pub(crate) fn broken(&self, path: Option<&MatchedPath>, method: &Method, response: &Response) -> Option<String> {
        let path = path.map(MatchedPath::as_str)?;
        let status = response.status().as_u16();
        let media =
            response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if path == "/" || path.starts_with("/api-docs") || status == 405 {
            return None;
        }
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let Some(responses) = self.0.get(&(path.to_owned(), method.to_owned())) else {
            return Some(format!("the document does not list {method} {path}: register its handler with `route!`"));
        };
        let Some(forms) = responses.get(&status.to_string()) else {
            return Some(format!("{method} {path} answered {status}, which the document does not list"));
        };
        let media = media.split(';').next().unwrap_or_default().trim();
        let known = forms.contains(media) || (forms.is_empty() && media.is_empty());
        (!known).then(|| format!("{method} {path} answered {status} as {media:?}; the document lists {forms:?}"))
    }
}
