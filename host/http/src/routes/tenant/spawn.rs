//! `POST /api/v1/tenant/spawn`

use std::collections::BTreeSet;

use axum::extract::State;
use convergence_model::operation::{Made, Operation, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{Code, Secret};
use convergence_provision::{AcceptError, Accepted as Begun};
use convergence_store::StoreError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::wire::SpecBody;
use crate::App;
use crate::document::refusal::{Failed, Wrong};
use crate::document::{Absent, Accepted, Created, Either, Fails, Link, Linked, Replayable, problems};
use crate::extract::{Authenticated, Prefer};
use crate::idempotency::{IdempotencyKey, NotWritten};
use crate::input::{Drafted, Query};
use crate::problem::{Problem, operation_url};
use crate::routes::operation::show::OperationView;

problems!(Refused: Absent, Wrong, AcceptError, StoreError, NotWritten, Failed, Gone);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The organization it is for; the caller's own where absent.
    org_id: Option<i64>,
    /// Seconds to wait for the tenant to run before answering 202, at most 3600; what the server is configured to where absent.
    #[param(minimum = 0, maximum = 3600)]
    wait: Option<u64>,
}

/// The tenant runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Spawned {
    success: bool,
    tenant: TenantView,
}

impl Linked for Spawned {
    const LINKS: &'static [Link] = &[
        ("tenant", "tenant_show", "tenant", "$response.body#/tenant/envId"),
        ("status", "tenant_status", "tenant", "$response.body#/tenant/envId"),
        ("logs", "tenant_logs", "tenant", "$response.body#/tenant/envId"),
        ("compose", "tenant_compose", "tenant", "$response.body#/tenant/envId"),
        ("destroy", "tenant_destroy", "tenant", "$response.body#/tenant/envId"),
    ];
}

/// The tenant is being built or started: watch the operation until it runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Spawning {
    success: bool,
    tenant: TenantView,
    operation: OperationView,
}

impl Linked for Spawning {
    const LINKS: &'static [Link] = &[
        ("operation", "operation_show", "id", "$response.body#/operation/id"),
        ("events", "operation_events", "id", "$response.body#/operation/id"),
        ("cancel", "operation_cancel", "id", "$response.body#/operation/id"),
        ("status", "tenant_status", "tenant", "$response.body#/tenant/envId"),
        ("logs", "tenant_logs", "tenant", "$response.body#/tenant/envId"),
    ];
}

/// An earlier request with the same key made a tenant, and it is gone.
#[derive(Debug)]
pub(crate) struct Gone(Operation);

impl From<Gone> for Problem {
    fn from(Gone(operation): Gone) -> Self {
        let which = operation.env_id().map_or_else(|| "the tenant".to_owned(), |env_id| format!("tenant {env_id}"));
        let detail = format!(
            "an earlier request with this idempotency key made {which}, which was destroyed since; send a new key to make \
             a new tenant"
        );
        Self::about(operation.id, Code::TenantGone, detail)
    }
}

impl Fails for Gone {
    fn codes() -> BTreeSet<Code> {
        [Code::TenantGone].into()
    }
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

/// Build and run a new tenant.
///
/// Waits until it runs (300 seconds unless `wait` says otherwise), then answers 201. Past that, or with
/// `Prefer: respond-async`, answers 202 with the operation to watch. A build or start that fails is undone, and
/// the answer names the step, the last lines of its log, the likely cause and what to try next.
#[utoipa::path(post, path = "/api/v1/tenant/spawn", tag = "tenant")]
pub(crate) async fn spawn(
    State(app): State<App>,
    caller: Authenticated,
    Query(parameters): Query<Parameters>,
    key: IdempotencyKey,
    prefer: Prefer,
    Drafted { body, wrong }: Drafted<SpecBody>,
) -> Result<Replayable<Result<Either<Created<Spawned>, Accepted<Spawning>>, Refused>>, Refused> {
    let (org, scope) = caller.organization(parameters.org_id)?;
    let idempotency = key.of("POST /api/v1/tenant/spawn", org, &body.asked())?;
    let spec = body.check(app.provisioner.default_limits(), wrong).map_err(Wrong)?;
    let begun = app.provisioner.spawn(&scope, &caller.0, org, spec, idempotency).await?;
    let Begun { operation, made, replayed } = begun;
    let id = operation.id;
    // From here on the tenant exists, and this answer is the first that carries its key: whatever goes wrong with the
    // waiting, it is given.
    let waited = app.operations.outcome(id, prefer.patience(parameters.wait, app.wait)).await;
    let operation = waited.unwrap_or_else(|error| {
        tracing::error!(%error, "cannot wait for the outcome of a spawn");
        operation
    });
    if replayed && operation.state == OperationState::Succeeded {
        let there = match operation.env_id() {
            Some(env_id) => app.store.tenant(&scope, env_id).await?.is_some(),
            None => false,
        };
        if !there {
            return Ok(Replayable { replayed, answer: Err(Gone(operation).into()) });
        }
    }
    let answer = match (&operation.failure, made_by(&operation).or(made)) {
        (Some(failure), _) if operation.state.is_final() => Err(Failed(id, failure.clone()).into()),
        (_, Some(made)) => {
            let key = app.provisioner.api_key(&operation, &made).ok_or(Absent("tenant"))?;
            Ok(answer(operation, made, &key))
        }
        // Sent again, and between the two looks its tenant came to its end.
        (_, None) => Err(Absent("tenant").into()),
    };
    Ok(Replayable { replayed, answer })
}

/// What a spawn that is over made.
fn made_by(operation: &Operation) -> Option<Made> {
    serde_json::from_value(operation.result.clone()?).ok()
}

/// 201 once the tenant runs, 202 before.
fn answer(operation: Operation, made: Made, api_key: &Secret) -> Either<Created<Spawned>, Accepted<Spawning>> {
    let runs = operation.state == OperationState::Succeeded;
    let status = if runs { TenantStatus::Running } else { TenantStatus::Provisioning };
    let env_id = operation.env_id().map_or(0, |env_id| env_id.0);
    let tenant = TenantView {
        env_id,
        name: made.name,
        org_id: operation.org.0,
        status: status.as_str().to_owned(),
        port: made.port,
        api_key: api_key.expose().to_owned(),
        created_at: made.created_at,
    };
    if runs {
        let location = format!("/api/v1/tenant/{env_id}");
        return Either::One(Created { location, body: Spawned { success: true, tenant } });
    }
    let location = operation_url(operation.id);
    Either::Other(Accepted { location, body: Spawning { success: true, tenant, operation: operation.into() } })
}
