//! `POST /api/v1/plugins/{id}/try`

use axum::Json;
use axum::extract::{Path, State};
use convergence_model::{Code, Violation};
use convergence_plugin::{CaseFailure, CaseOutcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::App;
use crate::extract::{Authenticated, Body};
use crate::problem::{Problem, ProblemDocument};

/// What to ask a plugin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// The argument of its main function (`plan`, `evaluate`, `rate`), written as in the plugin's examples.
    #[schema(value_type = Object)]
    input: Value,
    /// Instead of the plugin's own configuration.
    #[schema(value_type = Option<Object>)]
    config: Option<Value>,
}

/// What a plugin answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// What the main function answered; `{"error": …}` where the plugin foresaw that it cannot.
    #[schema(value_type = Object)]
    answer: Value,
    /// Units of fuel, about one an instruction.
    fuel: Option<u64>,
    /// Bytes of linear memory.
    memory: Option<usize>,
    /// Microseconds in the guest.
    took_us: Option<u64>,
    /// What the plugin wrote to its log.
    log: Vec<String>,
}

/// Ask a plugin something to see what it does. Nothing comes of it: no tenant, no invoice.
#[utoipa::path(
    post, path = "/api/v1/plugins/{id}/try", tag = "plugin",
    params(("id" = String, Path, description = "The plugin's id.")),
    request_body = Question,
    responses(
        (status = 200, body = Answer),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "It is not installed."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "The input is not what the plugin takes."),
        (status = 502, body = ProblemDocument, content_type = "application/problem+json", description = "The plugin broke."),
    )
)]
pub(crate) async fn try_out(
    State(app): State<App>,
    caller: Authenticated,
    Path(id): Path<String>,
    Body(Question { input, config }): Body<Question>,
) -> Result<Json<Answer>, Problem> {
    caller.administrator()?;
    let CaseOutcome { answer, failure, report, .. } = app.catalogue.try_out(&id, input, config).await?;
    match (answer, failure) {
        (_, Some(CaseFailure::Case(reason))) => {
            Err(Problem::invalid(&[Violation::deny("input", "invalid-input", reason)]))
        }
        (_, Some(CaseFailure::Call(error))) => Err(Problem::new(Code::PluginFailed, error.to_string())),
        (answer, None) => {
            let log = report.as_ref().map(|report| report.log.lines.iter().map(|line| line.message.clone()).collect());
            Ok(Json(Answer {
                answer: answer.unwrap_or_default(),
                fuel: report.as_ref().map(|report| report.fuel_used),
                memory: report.as_ref().map(|report| report.memory_bytes),
                took_us: report.as_ref().and_then(|report| u64::try_from(report.duration.as_micros()).ok()),
                log: log.unwrap_or_default(),
            }))
        }
    }
}
