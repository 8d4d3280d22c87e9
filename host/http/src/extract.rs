//! What handlers take from a request: who calls, a checked body, ids, how long to wait.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use convergence_access::development::{self, Provenance};
use convergence_access::{Caller, Role};
use convergence_model::name::NotATenant;
use convergence_model::{Code, EnvId, OperationId, OrgId, Scope, TenantRef, Violation};
use serde::de::DeserializeOwned;

use crate::App;
use crate::problem::Problem;

/// Bytes in a request body.
pub const BODY_MAX: usize = 1024 * 1024;

/// Whoever sent the request, known and allowed to be here.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated(pub(crate) Caller);

impl Authenticated {
    /// The caller, who may decide what concerns every organization.
    pub(crate) fn administrator(&self) -> Result<&Caller, Problem> {
        match self.0.role() {
            Role::PlatformAdmin => Ok(&self.0),
        }
    }

    /// The organization a request is about: the one it names if the caller may touch it, else the caller's own.
    pub(crate) fn organization(&self, named: Option<i64>) -> Result<(OrgId, Scope), Problem> {
        let org = named.map_or(self.0.home(), OrgId);
        let scope = self.0.scope_of(org).ok_or_else(|| Problem::no_such("organization"))?;
        Ok((org, scope))
    }
}

impl FromRequestParts<App> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let ConnectInfo(peer) = ConnectInfo::<SocketAddr>::from_request_parts(parts, app)
            .await
            .map_err(|_| Problem::new(Code::Internal, "the listener does not tell who connected"))?;
        let text = |name| parts.headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
        let host = parts.uri.authority().map(axum::http::uri::Authority::as_str).or_else(|| text(header::HOST));
        let provenance = Provenance { peer: peer.ip(), host, origin: text(header::ORIGIN) };
        Ok(Self(development::authenticate(provenance)?))
    }
}

/// A JSON body: the right content type, at most [`BODY_MAX`] bytes, every field known and of its type.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Problem> {
        // Not a formality: a form on another site can send anything but this content type.
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                Code::NotJson,
                format!("the body must be sent with `Content-Type: application/json`; it was {media_type:?}"),
            ));
        }
        let bytes = axum::body::to_bytes(request.into_body(), BODY_MAX).await.map_err(|error| {
            let too_large =
                std::error::Error::source(&error).is_some_and(|s| s.is::<http_body_util::LengthLimitError>());
            if too_large {
                Problem::new(Code::TooLarge, format!("the body is larger than {BODY_MAX} bytes; send less"))
            } else {
                Problem::new(Code::Truncated, "the body ended before all of it was there; send it again")
            }
        })?;
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            let path = if path == "." { String::new() } else { path };
            let (code, path) = field_of(&inner.to_string(), path);
            Problem::invalid(&[Violation::deny(path, code, without_position(&inner))])
        } else {
            malformed(&inner)
        }
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::MalformedJson, format!("the body is not JSON: {error}"))
}

/// serde says which field it did not know or missed only in words.
fn field_of(message: &str, path: String) -> (&'static str, String) {
    let quoted = || message.split('`').nth(1).unwrap_or_default();
    let join = |parent: &str, field: &str| match parent {
        "" => field.to_owned(),
        _ if parent == field || parent.ends_with(&format!(".{field}")) => parent.to_owned(),
        _ => format!("{parent}.{field}"),
    };
    if message.starts_with("unknown field") {
        ("unknown-field", join(&path, quoted()))
    } else if message.starts_with("missing field") {
        ("required", join(&path, quoted()))
    } else {
        ("wrong-type", path)
    }
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// The tenant that the path means by its number or by its name in the caller's organization. A number is not looked up
/// here: the handler finds out whether it leads to a tenant within reach, and answers the same 404 that a name gets here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TenantPath(pub(crate) EnvId);

impl FromRequestParts<App> for TenantPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Authenticated::from_request_parts(parts, app).await?;
        let axum::extract::Path(text) = axum::extract::Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| NotATenant::new(parts.uri.path(), "the path is not percent-encoded UTF-8"))?;
        tenant(app, &caller, &text).await.map(Self)
    }
}

/// The number of the tenant that a text means: a number, or a name in the caller's organization.
pub(crate) async fn tenant(app: &App, caller: &Authenticated, text: &str) -> Result<EnvId, Problem> {
    let name = match TenantRef::parse(text)? {
        TenantRef::Number(env_id) => return Ok(env_id),
        TenantRef::Name(name) => name,
    };
    let (org, scope) = caller.organization(None)?;
    app.store.tenant_named(&scope, org, &name).await?.ok_or_else(|| Problem::no_such("tenant"))
}

/// The operation named in the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperationPath(pub(crate) OperationId);

impl FromRequestParts<App> for OperationPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, app).await;
        // Every id that names nothing is the same 404, whether it could have been one or not.
        path.ok().and_then(|path| path.0.parse().ok()).map(Self).ok_or_else(|| Problem::no_such("operation"))
    }
}

/// Query parameters; unknown ones are refused like unknown fields of a body.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, app).await {
            Ok(query) => Ok(Self(query.0)),
            Err(rejection) => {
                let text = rejection.body_text();
                let message = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                let (path, message) = match message.split_once(": ") {
                    Some((field, rest)) if !field.contains(' ') => (field.to_owned(), rest),
                    _ => (String::new(), message),
                };
                let (code, path) = field_of(message, path);
                Err(Problem::invalid(&[Violation::deny(path, code, message)]))
            }
        }
    }
}

/// How long a request that starts something waits for its outcome.
pub(crate) fn patience(headers: &HeaderMap, wait_seconds: Option<u64>, default: Duration) -> Duration {
    let prefer = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = prefer.flat_map(|value| value.split(',')).map(str::trim);
    if preferences.any(|preference| preference.eq_ignore_ascii_case("respond-async")) {
        return Duration::ZERO;
    }
    wait_seconds.map_or(default, |seconds| Duration::from_secs(seconds).min(Duration::from_secs(3600)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        name: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        count: u32,
    }

    fn complaint(body: &str) -> String {
        let problem = serde_json::to_value(parse::<Outer>(body.as_bytes()).unwrap_err().document("1")).unwrap();
        let field = &problem["violations"][0];
        format!(
            "{} {} {}",
            problem["status"],
            field["code"].as_str().unwrap_or("-"),
            field["path"].as_str().unwrap_or("-")
        )
    }

    #[test]
    fn a_wrong_body_is_answered_with_the_path_of_the_field() {
        assert_eq!(complaint(r#"{"name": "a", "colour": 1}"#), "422 unknown-field colour");
        assert_eq!(complaint(r#"{"name": "a", "inner": {"count": 1, "size": 2}}"#), "422 unknown-field inner.size");
        assert_eq!(complaint(r#"{"inner": null}"#), "422 required name");
        assert_eq!(complaint(r#"{"name": "a", "inner": {"count": "many"}}"#), "422 wrong-type inner.count");
        assert_eq!(complaint(r#"{"name": 7}"#), "422 wrong-type name");
        assert_eq!(complaint(r#"{"name": "#), "400 - -");
        assert_eq!(complaint(r#"{"name": "a"} x"#), "400 - -");
    }

    #[test]
    fn a_client_may_say_how_long_it_waits() {
        let default = Duration::from_secs(300);
        let mut headers = HeaderMap::new();
        assert_eq!(patience(&headers, None, default), default);
        assert_eq!(patience(&headers, Some(2), default), Duration::from_secs(2));
        headers.insert("prefer", "wait=5, respond-async".parse().unwrap());
        assert_eq!(patience(&headers, None, default), Duration::ZERO);
    }
}
