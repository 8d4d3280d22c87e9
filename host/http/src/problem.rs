//! The one table from what went wrong to what a client reads: `application/problem+json` (RFC 9457).
//!
//! Beyond the members of the RFC a problem carries `error` (the detail again, where older clients look for it),
//! `code` (stable, for programs), `requestId`, and where they apply `violations`, the failed `step` with its
//! `log`, `likelyCause` and `next`. A 5xx that is our fault says nothing about its cause: the log does, under
//! the same request id.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use convergence_access::development::NotLocal;
use convergence_model::operation::Failure;
use convergence_model::{OperationId, Violation};
use convergence_plugin::{ChangeError, InstallError, PluginFailure};
use convergence_provision::{PlanError, SpawnError};
use convergence_runtime::RuntimeError;
use convergence_store::{Conflict, StoreError};
use convergence_work::RequestError;
use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong. What a client reads of it is a [`ProblemDocument`].
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    violations: Vec<FieldProblem>,
    more: Option<Box<More>>,
    retry_after: Option<u32>,
}

/// What only some problems tell.
#[derive(Debug, Clone, Default)]
struct More {
    failure: Option<Failure>,
    next: Option<String>,
    operation: Option<OperationId>,
}

/// What went wrong, told to whoever asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// `urn:convergence:problem:<code>`.
    #[serde(rename = "type")]
    kind: String,
    /// The status code in words.
    title: String,
    /// The HTTP status code.
    status: u16,
    /// What was wrong and what to do.
    detail: String,
    /// The same as `detail`.
    error: String,
    /// A stable slug for programs.
    code: String,
    /// Finds this request in the server's log.
    request_id: String,
    /// What was wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<FieldProblem>,
    /// The step of the operation that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// The last lines of the build or the app, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
    /// Why, as far as can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    likely_cause: Option<String>,
    /// What to try next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Where the operation in question can be watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    /// The field, for example `limits.memoryMb`.
    path: String,
    /// A stable slug for programs.
    code: String,
    /// What was wrong and what to do.
    message: String,
}

impl Problem {
    /// A problem with nothing but a status, a slug and a sentence.
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            violations: Vec::new(),
            more: None,
            retry_after: None,
        }
    }

    /// The tenant is absent or somebody else's: the same answer, byte for byte but for the request id.
    pub(crate) fn no_such(noun: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {noun}"))
    }

    /// Fields that are wrong.
    pub(crate) fn invalid(violations: &[Violation]) -> Self {
        let detail = match violations {
            [one] => format!("{}: {}", one.path, one.message),
            many => format!(
                "{} fields are wrong: {}",
                many.len(),
                many.iter().map(|v| v.path.as_str()).collect::<Vec<_>>().join(", ")
            ),
        };
        let violations = violations
            .iter()
            .map(|v| FieldProblem { path: v.path.clone(), code: v.code.clone(), message: v.message.clone() })
            .collect();
        Self { violations, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    /// An operation that failed.
    pub(crate) fn failed(operation: OperationId, failure: &Failure) -> Self {
        let status = match failure.code.as_str() {
            "build-failed" | "app-exited" | "app-not-ready" | "base-image-refused" | "base-image-unavailable" => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            "engine-unreachable" | "engine-timeout" | "ports-exhausted" | "ports-taken" | "subnets-exhausted"
            | "subnet-taken" => StatusCode::SERVICE_UNAVAILABLE,
            "cancelled" => StatusCode::CONFLICT,
            _ => StatusCode::BAD_GATEWAY,
        };
        let more = More { failure: Some(failure.clone()), next: None, operation: Some(operation) };
        Self {
            more: Some(Box::new(more)),
            ..Self::new(status, &failure.code, format!("step {}: {}", failure.step, failure.message))
        }
    }

    /// A conflict with an operation.
    fn about(operation: OperationId, code: &str, detail: String) -> Self {
        let more = More { operation: Some(operation), ..More::default() };
        Self { more: Some(Box::new(more)), ..Self::new(StatusCode::CONFLICT, code, detail) }
    }

    fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self { retry_after: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail) }
    }

    /// Our fault: the cause goes to the log, not to the client.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong on the server; its log says what, under this requestId",
        )
    }

    /// Says what to try next.
    pub(crate) fn with_next(mut self, next: impl Into<String>) -> Self {
        self.more.get_or_insert_default().next = Some(next.into());
        self
    }

    /// Writes the problem; the middleware of `request.rs` calls this, which knows the request's id.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, axum::Json(self.document(request_id))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// What a client reads.
    pub(crate) fn document(self, request_id: &str) -> ProblemDocument {
        let More { failure, next, operation } = self.more.map(|more| *more).unwrap_or_default();
        let (step, log, cause, failure_next) = match failure {
            Some(failure) => (Some(failure.step), failure.log, Some(failure.likely_cause), Some(failure.next)),
            None => (None, Vec::new(), None, None),
        };
        ProblemDocument {
            kind: format!("urn:convergence:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            error: self.detail.clone(),
            detail: self.detail,
            code: self.code,
            request_id: request_id.to_owned(),
            violations: self.violations,
            step,
            log,
            likely_cause: cause,
            next: next.or(failure_next),
            operation: operation.map(operation_url),
        }
    }
}

/// Where an operation can be watched.
pub(crate) fn operation_url(id: OperationId) -> String {
    format!("/api/v1/operations/{id}")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<NotLocal> for Problem {
    fn from(error: NotLocal) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not-local", error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(_) => Self::unavailable("store-busy", "the database is busy; try again in a few seconds"),
            StoreError::Unavailable(_) => {
                tracing::error!(%error, "the database does not answer");
                Self::unavailable("store-unavailable", "the database does not answer; the operator's log says why")
            }
            StoreError::Conflict(conflict) => conflict.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<Conflict> for Problem {
    fn from(conflict: Conflict) -> Self {
        let detail = conflict.to_string();
        match conflict {
            Conflict::NoOrganization(_) => Self::no_such("organization"),
            Conflict::NameTaken(_) => Self {
                violations: vec![FieldProblem { path: "name".into(), code: "taken".into(), message: detail.clone() }],
                ..Self::new(StatusCode::CONFLICT, "name-taken", detail)
            },
            Conflict::SubjectBusy { operation } => Self::about(operation, "tenant-busy", detail),
            Conflict::QueueFull { .. } => Self::unavailable("queue-full", detail),
            Conflict::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail),
            Conflict::NoOperation { .. } => Self::no_such("operation"),
            Conflict::Over { operation, .. } => Self::about(operation, "operation-over", detail),
            Conflict::NotCancellable { .. } => Self::new(StatusCode::CONFLICT, "not-cancellable", detail),
            Conflict::NotRetryable { operation, .. } => Self::about(operation, "not-retryable", detail),
            Conflict::PortsExhausted { .. } => Self::unavailable("ports-exhausted", detail)
                .with_next("destroy a tenant, or let the operator widen `ports` in the configuration"),
            Conflict::SubnetsExhausted { .. } => Self::unavailable("subnets-exhausted", detail)
                .with_next("destroy a tenant, or let the operator widen `subnets` in the configuration"),
            Conflict::QuotaReached { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "quota-reached", detail),
            other => Self::internal(&other),
        }
    }
}

impl From<RuntimeError> for Problem {
    fn from(error: RuntimeError) -> Self {
        let detail = error.to_string();
        match error {
            RuntimeError::Unreachable { .. } => Self::unavailable("engine-unreachable", detail)
                .with_next("run `convergence doctor` on the server; it says how to mend it"),
            RuntimeError::Timeout { .. } => Self::unavailable("engine-timeout", detail),
            other => {
                tracing::error!(error = %other, "the engine refused");
                Self::new(StatusCode::BAD_GATEWAY, "engine-error", detail)
            }
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoSuchPlugin(_) => Self::new(StatusCode::NOT_FOUND, "not-found", error.to_string()),
            ChangeError::NoSuchVersion { .. } => Self::new(StatusCode::CONFLICT, "no-such-version", error.to_string()),
            ChangeError::Refused(reason) => Self::new(StatusCode::CONFLICT, "plugin-refused", reason),
            ChangeError::Contended => Self::unavailable("contended", error.to_string()),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<InstallError> for Problem {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Rejected(rejected) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "plugin-rejected", rejected.to_string())
            }
            InstallError::Change(error) => error.into(),
            InstallError::Registry(error) => Self::new(StatusCode::BAD_GATEWAY, "registry-failed", error.to_string()),
        }
    }
}

impl From<PluginFailure> for Problem {
    fn from(failure: PluginFailure) -> Self {
        let violations = failure.violations();
        if !violations.is_empty() {
            return Self::invalid(&violations);
        }
        if let Some(pause) = failure.retry_after() {
            let seconds = u32::try_from(pause.as_secs()).unwrap_or(u32::MAX).max(1);
            let (code, detail) = match &failure {
                PluginFailure::Suspended { id, kind, .. } => (
                    "plugin-suspended",
                    format!(
                        "the {kind} `{id}` broke several times in a row and is not asked for a while; try again in {seconds} s"
                    ),
                ),
                _ => ("overloaded", "the server is busy with other requests; try again in a few seconds".to_owned()),
            };
            return Self { retry_after: Some(seconds), ..Self::unavailable(code, detail) };
        }
        match &failure {
            PluginFailure::NoTemplates { .. } => Self::unavailable("no-templates", failure.to_string())
                .with_next("put a template component into the plugins folder; `convergence doctor` names it"),
            PluginFailure::PolicyRejected { .. } => {
                tracing::error!(error = %failure, "nothing is approved");
                let detail =
                    "a policy is installed that cannot be asked, so nothing is approved; the operator's log says why";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "policy-rejected", detail)
                    .with_next("mend the file or its configuration; `convergence doctor` names it")
            }
            PluginFailure::UnknownLanguage { .. } | PluginFailure::Suspended { .. } | PluginFailure::Call { .. } => {
                tracing::error!(error = %failure, "a plugin failed");
                let who = match &failure {
                    PluginFailure::Call { id, version, kind, .. } => format!("the {kind} `{id}` {version} failed"),
                    _ => "a plugin failed".to_owned(),
                };
                Self::new(StatusCode::BAD_GATEWAY, "plugin-failed", format!("{who}; the operator's log says why"))
            }
        }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Refused(violations) => Self::invalid(&violations),
            PlanError::NoOrganization(_) => Self::no_such("organization"),
            PlanError::Plugin(failure) => failure.into(),
            PlanError::BadPlan { ref violations, .. } => {
                let detail = error.to_string();
                let told = Self::invalid(violations).violations;
                Self { violations: told, ..Self::new(StatusCode::BAD_GATEWAY, "plan-refused", detail) }
            }
            PlanError::Store(error) => error.into(),
        }
    }
}

impl From<SpawnError> for Problem {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::Plan(error) => error.into(),
            SpawnError::Engine(error) => error.into(),
            SpawnError::Store(error) => error.into(),
            SpawnError::Stopping => {
                Self::unavailable("stopping", "the server is stopping; send the request again in a moment")
            }
        }
    }
}

impl Problem {
    /// A request about a tenant or an operation that was not accepted.
    pub(crate) fn of_request(noun: &str, error: RequestError) -> Self {
        match error {
            RequestError::Absent => Self::no_such(noun),
            RequestError::Store(error) => error.into(),
            RequestError::Stopping => SpawnError::Stopping.into(),
        }
    }
}
