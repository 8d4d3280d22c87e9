//! Problems as the routes under `/api/tenants` write them: `{"success": false, "error": "…"}` and nothing else, in their own
//! words for fields. Status codes and `Retry-After` are those of every other route.

use convergence_model::{Code, Failure};
use serde::Serialize;
use utoipa::ToSchema;

use super::{FieldProblem, Problem};

/// The routes whose errors are written so.
const PLAIN: &str = "/api/tenants/";

/// How an error is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As `application/problem+json`.
    Problem,
    /// As a [`Refusal`].
    Plain,
}

impl Form {
    /// The form of a path: one place for what is answered and for what the document says of it.
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with(PLAIN) { Self::Plain } else { Self::Problem }
    }
}

/// Why a request was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refusal {
    /// Always `false`.
    success: bool,
    /// What was wrong and what to do.
    error: String,
}

impl Refusal {
    /// What a problem says, in one sentence.
    pub(super) fn of(problem: &Problem) -> Self {
        let failure = problem.more.as_ref().and_then(|more| more.failure.as_ref());
        let error = match failure {
            Some(Failure { likely_cause, next, .. }) => {
                let parts = [problem.detail.as_str(), likely_cause.as_str(), next.as_str()];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
            }
            // There is no list of violations beside it, so the sentence has each.
            None if problem.code == Code::Invalid && !problem.violations.is_empty() => {
                problem.violations.iter().map(violation).collect::<Vec<_>>().join("; ")
            }
            None => problem.detail.clone(),
        };
        Self { success: false, error }
    }
}

fn violation(wrong: &FieldProblem) -> String {
    let by = wrong.policy.as_ref().map(|policy| format!(" (policy `{policy}`)")).unwrap_or_default();
    format!("{}: {}{by}", field(&wrong.path), wrong.message)
}

/// A field of a tenant as clients of these routes know it.
fn field(path: &str) -> &str {
    match path {
        "" => "the body",
        "name" => "organizationId",
        "description" => "tenantName",
        "limits.cpu" => "cpuLimit",
        "limits.memoryMb" => "memoryLimitMb",
        "limits.diskMb" => "diskLimitMb",
        "source.image" => "imageTag",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use convergence_model::{OperationId, Violation};

    use super::*;

    fn error(problem: &Problem) -> String {
        Refusal::of(problem).error
    }

    #[test]
    fn only_the_routes_of_tenant_containers_write_errors_so() {
        assert_eq!(Form::of("/api/tenants/provision"), Form::Plain);
        for path in ["/api/v1/tenant/spawn", "/api/tenants", "/health", "/"] {
            assert_eq!(Form::of(path), Form::Problem, "{path}");
        }
    }

    #[test]
    fn every_violation_is_in_the_sentence_under_the_name_that_the_field_has_there() {
        let wrong = [Violation::deny("limits.cpu", "x", "ask for less").by("limits"), Violation::deny("", "x", "no")];
        let told = error(&Problem::invalid(&wrong));
        assert_eq!(told, "cpuLimit: ask for less (policy `limits`); the body: no");
    }

    #[test]
    fn a_failure_says_its_cause_and_what_to_do() {
        let failure = Failure {
            step: "image".to_owned(),
            code: Code::AppExited.into(),
            message: "it ended".to_owned(),
            likely_cause: "a test".to_owned(),
            next: String::new(),
            log: Vec::new(),
        };
        let problem = Problem::failed(OperationId(uuid::Uuid::nil()), &failure);
        assert_eq!(error(&problem), "step image: it ended; a test");
        assert_eq!(error(&Problem::no_such("tenant")), "there is no such tenant");
    }
}
