//! `POST /api/v1/plugins/{id}/try`

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use convergence_model::{Code, Violation};
use convergence_plugin::{CaseFailure, CaseOutcome, ChangeError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::App;
use crate::document::refusal::Wrong;
use crate::document::{Fails, problems};
use crate::extract::{Authenticated, PluginPath};
use crate::input::Body;
use crate::problem::Problem;

problems!(Refused: Wrong, ChangeError, Broke);

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
    #[schema(value_type = Value)]
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

/// The plugin did not answer.
#[derive(Debug)]
pub(crate) struct Broke(String);

impl From<Broke> for Problem {
    fn from(Broke(detail): Broke) -> Self {
        Self::new(Code::PluginFailed, detail)
    }
}

impl Fails for Broke {
    fn codes() -> BTreeSet<Code> {
        [Code::PluginFailed].into()
    }
}

/// Ask a plugin something to see what it does. Nothing comes of it: no tenant, no invoice.
#[utoipa::path(post, path = "/api/v1/plugins/{id}/try", tag = "plugin")]
pub(crate) async fn try_out(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
    Body(Question { input, config }): Body<Question>,
) -> Result<Json<Answer>, Refused> {
    caller.administrator();
    let CaseOutcome { answer, failure, report, .. } = app.catalogue.try_out(&id, input, config).await?;
    match (answer, failure) {
        (_, Some(CaseFailure::Case(reason))) => {
            Err(Wrong(vec![Violation::deny("input", "invalid-input", reason)]).into())
        }
        (_, Some(CaseFailure::Call(error))) => Err(Broke(error.to_string()).into()),
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
