//! The one table from errors to what a client reads: `application/problem+json` (RFC 9457).
//!
//! An error becomes a [`Code`]; what the code means (status, retry, advice) is the code's own row in `model`. Beyond the
//! members of the RFC a problem carries `error` (the detail again, where older clients look for it), `code` and `retry` (for
//! programs), `requestId`, `next`, and where they apply `violations`, the failed `step` with its `log` and
//! `likelyCause`. A 5xx that the server caused says nothing about its cause: the log does, under the same request id.
//!
//! A few routes have clients that were written for another service; they are told the same in that service's form:
//! `problem/plain.rs`.

mod plain;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use convergence_access::development::NotLocal;
use convergence_model::name::NotATenant;
use convergence_model::{Code, Failure, OperationId, Retry, Violation};
use convergence_plugin::{ChangeError, InstallError, PluginFailure};
use convergence_provision::{AcceptError, PlanError};
use convergence_runtime::RuntimeError;
use convergence_store::{Conflict, StoreError};
use convergence_work::RequestError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::code::{CodeSchema, RetrySchema};

pub(crate) use plain::{Form, Refusal};

/// Seconds after which a client may try again what may pass by itself, unless the error knows better.
const RETRY_AFTER: u32 = 5;

/// What went wrong. What a client reads of it is a [`ProblemDocument`].
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    violations: Vec<FieldProblem>,
    more: Option<Box<More>>,
    retry_after: Option<u32>,
}

/// What only some problems tell.
#[derive(Debug, Clone, Default)]
struct More {
    failure: Option<Failure>,
    operation: Option<OperationId>,
}

/// What went wrong, told to the caller.
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
    /// For programs: why. `docs/errors.md` says what each code means.
    #[schema(value_type = CodeSchema)]
    code: Code,
    /// The code that another version of the server stored, where `code` is `unknown-code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_code: Option<String>,
    /// Whether sending the same request again can help.
    #[schema(value_type = RetrySchema)]
    retry: &'static str,
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
    /// What to do next; absent where `violations` say it.
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
    /// The id of the policy that says so; absent where the server itself does.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

impl Problem {
    /// Why, for programs.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// A problem with nothing but a code and a sentence.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), violations: Vec::new(), more: None, retry_after: None }
    }

    /// The tenant is absent or somebody else's: the same answer, byte for byte but for the request id.
    pub(crate) fn no_such(noun: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {noun}"))
    }

    /// Fields that are wrong.
    pub(crate) fn invalid(violations: &[Violation]) -> Self {
        let detail = match violations {
            [one] => one.to_string(),
            many => {
                let mut places: Vec<&str> = Vec::new();
                for place in many.iter().map(Violation::place) {
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
                match places.as_slice() {
                    [one] => format!("{one}: {} things are wrong", many.len()),
                    places => format!("{} fields are wrong: {}", places.len(), places.join(", ")),
                }
            }
        };
        let violations = violations
            .iter()
            .map(|v| FieldProblem {
                path: v.path.clone(),
                code: v.code.clone(),
                message: v.message.clone(),
                policy: v.policy.clone(),
            })
            .collect();
        Self { violations, ..Self::new(Code::Invalid, detail) }
    }

    /// An operation that failed.
    pub(crate) fn failed(operation: OperationId, failure: &Failure) -> Self {
        let more = More { failure: Some(failure.clone()), operation: Some(operation) };
        Self {
            more: Some(Box::new(more)),
            ..Self::new(failure.code.code(), format!("step {}: {}", failure.step, failure.message))
        }
    }

    /// A conflict with an operation.
    pub(crate) fn about(operation: OperationId, code: Code, detail: String) -> Self {
        let more = More { operation: Some(operation), ..More::default() };
        Self { more: Some(Box::new(more)), ..Self::new(code, detail) }
    }

    /// A defect of the server: the cause goes to the log, not to the client.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed");
        Self::new(Code::Internal, "something went wrong on the server; its log says what, under this requestId")
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Seconds after which the same request may succeed, where the cause may pass by itself.
    fn retry_after(&self) -> Option<u32> {
        let passes = self.status() == StatusCode::SERVICE_UNAVAILABLE && self.code.retry() == Retry::Later;
        self.retry_after.or(passes.then_some(RETRY_AFTER))
    }

    /// Writes the problem; the middleware of `request.rs` calls this, which knows the request's id and how its path's clients
    /// read an error.
    pub(crate) fn render(self, request_id: &str, form: Form) -> Response {
        let (status, retry_after) = (self.status(), self.retry_after());
        let mut response = match form {
            Form::Problem => {
                let mut response = (status, axum::Json(self.document(request_id))).into_response();
                let media = HeaderValue::from_static("application/problem+json");
                response.headers_mut().insert(header::CONTENT_TYPE, media);
                response
            }
            Form::Plain => (status, axum::Json(Refusal::of(&self))).into_response(),
        };
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// What a client reads.
    pub(crate) fn document(self, request_id: &str) -> ProblemDocument {
        let (status, retry) = (self.status(), self.code.retry());
        let More { failure, operation } = self.more.map(|more| *more).unwrap_or_default();
        let (step, log, cause, advice, recorded_code) = match failure {
            Some(Failure { step, code, log, likely_cause, next, message: _ }) => {
                (Some(step), log, Some(likely_cause), Some(next), code.recorded().map(str::to_owned))
            }
            None => (None, Vec::new(), None, None, None),
        };
        // Each violation says what to do about its field.
        let general = || (self.code != Code::Invalid).then(|| self.code.meaning().action.to_owned());
        let next = advice.filter(|advice| !advice.is_empty()).or_else(general);
        ProblemDocument {
            kind: format!("urn:convergence:problem:{}", self.code),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            error: self.detail.clone(),
            detail: self.detail,
            code: self.code,
            recorded_code,
            retry: retry.as_str(),
            request_id: request_id.to_owned(),
            violations: self.violations,
            step,
            log,
            likely_cause: cause,
            next,
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
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<NotLocal> for Problem {
    fn from(error: NotLocal) -> Self {
        Self::new(Code::NotLocal, error.to_string())
    }
}

impl From<NotATenant> for Problem {
    fn from(error: NotATenant) -> Self {
        Self::new(Code::NotATenant, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(_) => Self::new(Code::StoreBusy, "the database is busy; try again in a few seconds"),
            StoreError::Unavailable(_) => {
                tracing::error!(%error, "the database does not answer");
                Self::new(Code::StoreUnavailable, "the database does not answer; the operator's log says why")
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
            Conflict::NameTaken { .. } => Self {
                violations: vec![FieldProblem {
                    path: "name".into(),
                    code: "taken".into(),
                    message: detail.clone(),
                    policy: None,
                }],
                ..Self::new(Code::NameTaken, detail)
            },
            Conflict::NameAmbiguous { .. } => Self::new(Code::NameAmbiguous, detail),
            Conflict::SubjectBusy { operation } => Self::about(operation, Code::TenantBusy, detail),
            Conflict::NotInThisState { .. } => Self::new(Code::NotInThisState, detail),
            Conflict::NamedOtherwise { .. } => Self::new(Code::ConfirmMismatch, detail),
            Conflict::Protected { .. } => Self::new(Code::Protected, detail),
            Conflict::QueueFull { .. } => Self::new(Code::QueueFull, detail),
            Conflict::KeyReused => Self::new(Code::IdempotencyKeyReused, detail),
            Conflict::NoOperation { .. } => Self::no_such("operation"),
            Conflict::Over { operation, .. } => Self::about(operation, Code::OperationOver, detail),
            Conflict::NotCancellable { .. } => Self::new(Code::NotCancellable, detail),
            Conflict::NotRetryable { operation, .. } | Conflict::Overtaken { operation } => {
                Self::about(operation, Code::NotRetryable, detail)
            }
            Conflict::PortsExhausted { .. } => Self::new(Code::PortsExhausted, detail),
            Conflict::SubnetsExhausted { .. } => Self::new(Code::SubnetsExhausted, detail),
            Conflict::QuotaReached { .. } => Self::new(Code::QuotaReached, detail),
            Conflict::NewerRevision { .. } => Self::new(Code::NewerRevision, detail),
            Conflict::ChangedMeanwhile => Self::new(Code::ChangedMeanwhile, detail),
            Conflict::Deploying => Self::new(Code::Deploying, detail),
            Conflict::SourcesFull { .. } => Self::new(Code::SourcesFull, detail),
            Conflict::NoSource { .. } => Self::invalid(&[Violation::deny("source.archive", "unknown-source", detail)]),
            other => Self::internal(&other),
        }
    }
}

impl From<RuntimeError> for Problem {
    fn from(error: RuntimeError) -> Self {
        let detail = error.to_string();
        match error {
            RuntimeError::Unreachable { .. } => Self::new(Code::EngineUnreachable, detail),
            RuntimeError::Timeout { .. } => Self::new(Code::EngineTimeout, detail),
            other => {
                tracing::error!(error = %other, "the engine refused");
                Self::new(Code::EngineError, detail)
            }
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoSuchPlugin(_) => Self::new(Code::NotFound, error.to_string()),
            ChangeError::NoSuchVersion { .. } => Self::new(Code::NoSuchVersion, error.to_string()),
            ChangeError::Refused(reason) => Self::new(Code::PluginRefused, reason),
            ChangeError::Contended => Self::new(Code::Contended, error.to_string()),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<InstallError> for Problem {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Rejected(rejected) => Self::new(Code::PluginRejected, rejected.to_string()),
            InstallError::Change(error) => error.into(),
            InstallError::Registry(error) => Self::new(Code::RegistryFailed, error.to_string()),
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
                    Code::PluginSuspended,
                    format!(
                        "the {kind} `{id}` broke several times in a row and is not asked for a while; try again in {seconds} s"
                    ),
                ),
                _ => {
                    (Code::Overloaded, "the server is busy with other requests; try again in a few seconds".to_owned())
                }
            };
            return Self { retry_after: Some(seconds), ..Self::new(code, detail) };
        }
        match &failure {
            PluginFailure::NoTemplates { .. } => Self::new(Code::NoTemplates, failure.to_string()),
            PluginFailure::PolicyRejected { .. } => {
                tracing::error!(error = %failure, "nothing is approved");
                let detail =
                    "a policy is installed that cannot be asked, so nothing is approved; the operator's log says why";
                Self::new(Code::PolicyRejected, detail)
            }
            PluginFailure::UnknownLanguage { .. } | PluginFailure::Suspended { .. } | PluginFailure::Call { .. } => {
                tracing::error!(error = %failure, "a plugin failed");
                let who = match &failure {
                    PluginFailure::Call { id, version, kind, .. } => format!("the {kind} `{id}` {version} failed"),
                    _ => "a plugin failed".to_owned(),
                };
                Self::new(Code::PluginFailed, format!("{who}; the operator's log says why"))
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
                Self { violations: told, ..Self::new(Code::PlanRefused, detail) }
            }
            PlanError::Git(error) => error.into(),
            PlanError::Source(error) => Self::internal(&error),
            PlanError::Store(error) => error.into(),
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Plan(error) => error.into(),
            AcceptError::Engine(error) => error.into(),
            AcceptError::Store(error) => error.into(),
            AcceptError::Stopping => {
                Self::new(Code::Stopping, "the server is stopping; send the request again in a moment")
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
            RequestError::Stopping => AcceptError::Stopping.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(violations: &[Violation]) -> String {
        Problem::invalid(violations).detail
    }

    #[test]
    fn a_field_is_named_once_however_much_is_wrong_with_it() {
        let wrong = |path: &str| Violation::deny(path, "wrong", "change it");
        assert_eq!(detail(&[wrong("")]), "the body: change it");
        assert_eq!(detail(&[wrong("name").by("strict")]), "name: change it (policy `strict`)");
        assert_eq!(detail(&[wrong("name"), wrong("name"), wrong("name")]), "name: 3 things are wrong");
        assert_eq!(
            detail(&[wrong("name"), wrong("limits.cpu"), wrong("name")]),
            "2 fields are wrong: name, limits.cpu"
        );
    }
}
