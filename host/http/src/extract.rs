//! What handlers take from a request beside its body and query: who calls, what the path means, how long to wait.

use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use convergence_access::development::{self, NotLocal, Provenance};
use convergence_access::{Caller, Role};
use convergence_model::name::NotATenant;
use convergence_model::{EnvId, OperationId, OrgId, Scope, TenantRef, Violation};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};

use crate::App;
use crate::connection::Peer;
use crate::document::refusal::{ByName, Wrong};
use crate::document::{Absent, Answers, Draft, Part, problems, text};
use crate::problem::Problem;

/// What a tenant is meant by: a number, or a name as one may be stored.
const TENANT: &str = r"^(?:0|[1-9][0-9]{0,17}|(?![0-9]+$)[A-Za-z0-9](?:(?:\.?[A-Za-z0-9 _-])*\.?[A-Za-z0-9])?)$";

/// The caller, known and allowed to be here.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated(pub(crate) Caller);

problems!(Unknown: NotLocal, NobodyTold);

/// The listener does not say who connected: a defect.
#[derive(Debug)]
pub(crate) struct NobodyTold;

impl From<NobodyTold> for Problem {
    fn from(_: NobodyTold) -> Self {
        Self::internal(&"the listener does not tell who connected")
    }
}

impl Authenticated {
    /// The caller, who may decide what concerns every organization.
    pub(crate) fn administrator(&self) -> &Caller {
        match self.0.role() {
            Role::PlatformAdmin => &self.0,
        }
    }

    /// The organization a request is about: the one it names if the caller may touch it, else the caller's own.
    pub(crate) fn organization(&self, named: Option<i64>) -> Result<(OrgId, Scope), Absent> {
        let org = named.map_or(self.0.home(), OrgId);
        let scope = self.0.scope_of(org).ok_or(Absent("organization"))?;
        Ok((org, scope))
    }
}

impl Part for Authenticated {
    fn describe(draft: &mut Draft) {
        Unknown::describe(draft);
    }
}

impl FromRequestParts<App> for Authenticated {
    type Rejection = Unknown;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Unknown> {
        let ConnectInfo(Peer(peer)) =
            ConnectInfo::<Peer>::from_request_parts(parts, app).await.map_err(|_| NobodyTold)?;
        let text = |name| parts.headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
        let host = parts.uri.authority().map(axum::http::uri::Authority::as_str).or_else(|| text(header::HOST));
        let provenance = Provenance { peer: peer.ip(), host, origin: text(header::ORIGIN) };
        Ok(Self(development::authenticate(provenance)?))
    }
}

/// The tenant that the path means by its number or by its name in the caller's organization. A number is not looked up
/// here: the handler finds out whether it leads to a tenant within reach, and answers the same 404 that a name gets here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TenantPath(pub(crate) EnvId);

problems!(NoTenant: Unknown, NotATenant, ByName, Absent);

impl Part for TenantPath {
    fn describe(draft: &mut Draft) {
        let schema = text().pattern(Some(TENANT)).max_length(Some(100)).min_length(Some(1));
        draft.path("tenant", schema.examples(["my-app", "1"]), "The tenant's number or name.");
        NoTenant::describe(draft);
    }
}

impl FromRequestParts<App> for TenantPath {
    type Rejection = NoTenant;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoTenant> {
        let caller = Authenticated::from_request_parts(parts, app).await?;
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| NotATenant::new(parts.uri.path(), "the path is not percent-encoded UTF-8"))?;
        tenant(app, &caller, &text).await.map(Self)
    }
}

/// The number of the tenant that a text means: a number, or a name in the caller's organization.
pub(crate) async fn tenant(app: &App, caller: &Authenticated, text: &str) -> Result<EnvId, NoTenant> {
    let name = match TenantRef::parse(text)? {
        TenantRef::Number(env_id) => return Ok(env_id),
        TenantRef::Name(name) => name,
    };
    let (org, scope) = caller.organization(None)?;
    Ok(app.store.tenant_named(&scope, org, &name).await.map_err(ByName)?.ok_or(Absent("tenant"))?)
}

/// The operation named in the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperationPath(pub(crate) OperationId);

problems!(NoOperation: Absent);

impl Part for OperationPath {
    fn describe(draft: &mut Draft) {
        let schema = text().format(Some(SchemaFormat::Custom("uuid".to_owned())));
        draft.path("id", schema, "The operation's id.");
        NoOperation::describe(draft);
    }
}

impl FromRequestParts<App> for OperationPath {
    type Rejection = NoOperation;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoOperation> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        // Every id that names nothing is the same 404, whether it could have been one or not.
        Ok(path.ok().and_then(|path| path.0.parse().ok()).map(Self).ok_or(Absent("operation"))?)
    }
}

/// The plugin named in the path.
#[derive(Debug, Clone)]
pub(crate) struct PluginPath(pub(crate) String);

problems!(NoPlugin: Absent);

impl Part for PluginPath {
    fn describe(draft: &mut Draft) {
        draft.path("id", text().min_length(Some(1)).examples(["limits"]), "The plugin's id.");
        NoPlugin::describe(draft);
    }
}

impl FromRequestParts<App> for PluginPath {
    type Rejection = NoPlugin;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoPlugin> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        Ok(path.map(|path| Self(path.0)).map_err(|_| Absent("plugin"))?)
    }
}

/// How long the caller would wait for an outcome.
#[derive(Debug, Clone)]
pub(crate) struct Prefer {
    at_once: bool,
}

impl Part for Prefer {
    fn describe(draft: &mut Draft) {
        let description =
            "`respond-async` is answered 202 as soon as the request is accepted. Anything else is ignored.";
        draft.header("Prefer", text().examples(["respond-async"]), description);
    }
}

impl FromRequestParts<App> for Prefer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

impl Prefer {
    fn of(headers: &HeaderMap) -> Self {
        let prefer = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = prefer.flat_map(|value| value.split(',')).map(str::trim);
        Self { at_once: preferences.any(|preference| preference.eq_ignore_ascii_case("respond-async")) }
    }

    /// How long a request that starts something waits for its outcome.
    pub(crate) fn patience(&self, wait_seconds: Option<u64>, default: Duration) -> Duration {
        if self.at_once { Duration::ZERO } else { wait_seconds.map_or(default, Duration::from_secs) }
    }
}

/// The last event that a client saw before its stream broke; 0 where it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastEventId(pub(crate) i64);

problems!(NotAnEvent: Wrong);

impl Part for LastEventId {
    fn describe(draft: &mut Draft) {
        let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(i64::MAX));
        draft.header("Last-Event-ID", schema, "The last event seen: the stream continues after it.");
        NotAnEvent::describe(draft);
    }
}

impl FromRequestParts<App> for LastEventId {
    type Rejection = NotAnEvent;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, NotAnEvent> {
        let Some(value) = parts.headers.get("last-event-id") else { return Ok(Self(0)) };
        let text = value.to_str().unwrap_or_default();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        Ok(number.map(Self).ok_or_else(|| {
            let message =
                "it is not the id of an event; send the `id` of the last event seen, a whole number from 0 on";
            Wrong(vec![Violation::deny("Last-Event-ID", "bad-form", message)])
        })?)
    }
}

/// Every pattern of a parameter that is written twice, for the test that they say the same.
#[cfg(test)]
pub(crate) const TENANT_PATTERN: &str = TENANT;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use convergence_model::Code;

    use super::*;

    #[test]
    fn a_client_may_say_how_long_it_waits() {
        let default = Duration::from_secs(300);
        let mut headers = HeaderMap::new();
        assert_eq!(Prefer::of(&headers).patience(None, default), default);
        assert_eq!(Prefer::of(&headers).patience(Some(2), default), Duration::from_secs(2));
        headers.insert("prefer", "wait=5, respond-async".parse().unwrap());
        assert_eq!(Prefer::of(&headers).patience(None, default), Duration::ZERO);
    }

    #[test]
    fn the_document_says_of_a_tenant_what_the_server_takes() {
        let schema = serde_json::json!({ "type": "string", "pattern": TENANT, "maxLength": 100 });
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        for text in
            ["0", "36", "036", "00", "+36", "my-app", "36b", "3.6", "a..b", ".a", "a.", "a b", " a", "", "é", "a/b"]
        {
            let documented = validator.is_valid(&text.into());
            assert_eq!(documented, TenantRef::parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn codes_of_a_caller_are_documented() {
        assert!(<Unknown as crate::document::Fails>::codes().contains(&Code::NotLocal));
    }
}
