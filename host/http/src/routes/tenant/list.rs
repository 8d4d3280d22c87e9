//! `GET /api/v1/tenant`

use axum::Json;
use axum::extract::State;
use convergence_model::{Code, EnvId, Failure, Violation};
use convergence_store::{StoreError, TenantQuery};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::code::CodeSchema;
use crate::document::refusal::Wrong;
use crate::document::{Absent, problems};
use crate::extract::Authenticated;
use crate::input::Query;

problems!(Refused: Absent, StoreError, Wrong);

const PAGE_DEFAULT: u32 = 100;
/// Characters of a reason in a list.
const REASON_MAX: usize = 199;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The organization; the caller's own where absent.
    org_id: Option<i64>,
    /// At most so many, up to 1000; 100 where absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Goes on after a page: its `nextCursor`, unchanged.
    #[param(pattern = "^t[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// A page of tenants.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tenants {
    tenants: Vec<Entry>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    env_id: i64,
    name: String,
    status: String,
    port: u16,
    /// Why it failed or was halted; absent while it is as it should be. All of it is in the tenant's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// The short form of why a tenant failed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reason {
    /// Why, for programs. `docs/errors.md` says what each code means.
    #[schema(value_type = CodeSchema)]
    code: Code,
    /// The code that another version of the server stored, where `code` is `unknown-code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_code: Option<String>,
    /// At most 200 characters.
    message: String,
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        let mut message = failure.message;
        if let Some((cut, _)) = message.char_indices().nth(REASON_MAX) {
            message.truncate(cut);
            message.push('…');
        }
        Self { code: failure.code.code(), recorded_code: failure.code.recorded().map(str::to_owned), message }
    }
}

/// The tenants of an organization, oldest first.
#[utoipa::path(get, path = "/api/v1/tenant", tag = "tenant")]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Authenticated,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Tenants>, Refused> {
    let (org, scope) = caller.organization(parameters.org_id)?;
    if app.store.organization(&scope, org).await?.is_none() {
        return Err(Absent("organization").into());
    }
    let after = parameters.cursor.as_deref().map(read_cursor).transpose()?;
    let limit = parameters.limit.unwrap_or(PAGE_DEFAULT);
    // One more than asked for tells whether there are more.
    let mut page = app.store.tenants(&scope, TenantQuery { org: Some(org), after, limit: limit + 1 }).await?;
    let more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let next_cursor = page.last().filter(|_| more).map(|(last, _)| write_cursor(last.env_id));
    let tenants = page
        .into_iter()
        .map(|(tenant, binding)| Entry {
            env_id: tenant.env_id.0,
            name: tenant.spec.name.to_string(),
            status: tenant.status.as_str().to_owned(),
            port: binding.port,
            reason: tenant.failure.map(Reason::from),
            created_at: tenant.created_at,
        })
        .collect();
    Ok(Json(Tenants { tenants, next_cursor }))
}

fn write_cursor(last: EnvId) -> String {
    format!("t{last}")
}

fn read_cursor(text: &str) -> Result<EnvId, Wrong> {
    text.strip_prefix('t').and_then(|number| number.parse().ok()).ok_or_else(|| {
        Wrong(vec![Violation::deny("cursor", "bad-form", "use the `nextCursor` of an earlier page, unchanged")])
    })
}
