//! `POST /api/v1/tenant/spawn`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use convergence_model::Secret;
use convergence_model::operation::{Made, Operation, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_provision::Accepted;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::wire::SpecBody;
use crate::App;
use crate::extract::{Authenticated, Body, Query, patience};
use crate::idempotency::{IdempotencyKey, REPLAYED};
use crate::problem::{Problem, ProblemDocument, operation_url};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The organization it is for; the caller's own where absent.
    org_id: Option<i64>,
    /// Seconds to wait for the tenant to run before answering 202.
    wait: Option<u64>,
}

/// A tenant that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Spawned {
    success: bool,
    tenant: TenantView,
    /// Only in a 202: what to watch until the tenant runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<OperationLink>,
}

/// A tenant, with the key that is shown only now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantView {
    env_id: i64,
    name: String,
    org_id: i64,
    /// `running` in a 201, `provisioning` in a 202.
    status: String,
    /// The port on the host.
    port: u16,
    /// What the tenant presents to the platform. Shown once.
    api_key: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// An operation to watch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperationLink {
    id: String,
    url: String,
}

/// Build and run a new tenant.
///
/// Waits until it runs (300 seconds unless `wait` says otherwise), then answers 201. Past that, or with
/// `Prefer: respond-async`, answers 202 with the operation to watch. A build or start that fails is undone, and
/// the answer names the step, the last lines of its log, the likely cause and what to try next.
#[utoipa::path(
    post, path = "/api/v1/tenant/spawn", tag = "tenant", params(Parameters, ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same request, it answers what the first one began.")), request_body = SpecBody,
    responses(
        (status = 201, body = Spawned, description = "It runs."),
        (status = 202, body = Spawned, description = "It is being built or started."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The name is taken, or the operation was cancelled."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "A field is wrong, a policy refuses, the idempotency key was used for something else, or the app does not build or start."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "No engine, no free port, no template, or too much to do already."),
    )
)]
pub(crate) async fn spawn(
    State(app): State<App>,
    caller: Authenticated,
    Query(parameters): Query<Parameters>,
    key: IdempotencyKey,
    headers: HeaderMap,
    Body(body): Body<SpecBody>,
) -> Result<Response, Problem> {
    let (org, scope) = caller.organization(parameters.org_id)?;
    let idempotency = key.of("POST /api/v1/tenant/spawn", org, &body)?;
    let spec = body.check(app.provisioner.default_limits()).map_err(|wrong| Problem::invalid(&wrong))?;
    let accepted = app.provisioner.spawn(&scope, &caller.0, org, spec, idempotency).await?;
    let Accepted { operation, made, replayed } = accepted;
    let id = operation.id;
    // From here on the tenant exists, and this answer is the first that carries its key: whatever goes wrong with the
    // waiting, it is given.
    let waited = app.operations.outcome(id, patience(&headers, parameters.wait, app.wait)).await;
    let operation = waited.unwrap_or_else(|error| {
        tracing::error!(%error, "cannot wait for the outcome of a spawn");
        operation
    });
    let mut response = match (&operation.failure, made_by(&operation).or(made)) {
        (Some(failure), _) if operation.state.is_final() => Problem::failed(id, failure).into_response(),
        (_, Some(made)) => {
            let key = app.provisioner.api_key(&operation, &made).ok_or_else(|| Problem::no_such("tenant"))?;
            answer(&operation, made, key)
        }
        // Sent again, and between the two looks its tenant came to its end.
        (_, None) => return Err(Problem::no_such("tenant")),
    };
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// What a spawn that is over made.
fn made_by(operation: &Operation) -> Option<Made> {
    serde_json::from_value(operation.result.clone()?).ok()
}

/// 201 once the tenant runs, 202 before.
fn answer(operation: &Operation, made: Made, api_key: Secret) -> Response {
    let runs = operation.state == OperationState::Succeeded;
    let (code, status) = if runs {
        (StatusCode::CREATED, TenantStatus::Running)
    } else {
        (StatusCode::ACCEPTED, TenantStatus::Provisioning)
    };
    let watch = operation_url(operation.id);
    let env_id = operation.env_id().map_or(0, |env_id| env_id.0);
    let location = if runs { format!("/api/v1/tenant/{env_id}/status") } else { watch.clone() };
    let body = Spawned {
        success: true,
        tenant: TenantView {
            env_id,
            name: made.name,
            org_id: operation.org.0,
            status: status.as_str().to_owned(),
            port: made.port,
            api_key: api_key.expose().to_owned(),
            created_at: made.created_at,
        },
        operation: (!runs).then(|| OperationLink { id: operation.id.to_string(), url: watch }),
    };
    let mut response = (code, Json(body)).into_response();
    if let Ok(value) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}
