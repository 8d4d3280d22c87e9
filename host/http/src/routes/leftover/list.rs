//! `GET /api/v1/leftovers`

use axum::Json;
use axum::extract::State;
use convergence_provision::Stray;
use serde::Serialize;
use utoipa::ToSchema;

use super::kind_name;
use crate::App;
use crate::extract::Authenticated;

/// What belongs to nobody.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Leftovers {
    leftovers: Vec<LeftoverView>,
}

/// Something in the engine that carries our label and belongs to nothing we know.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeftoverView {
    /// `Container`, `Network`, `Volume` or `Image`.
    kind: &'static str,
    name: String,
    /// The tenant that its label names; absent of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    env_id: Option<i64>,
    /// How long it has been seen.
    seen_seconds: u64,
    /// Whether it is removed after the grace period; otherwise it stays until an operator orders its removal.
    will_be_removed: bool,
    /// What holds it: `unproven` (the database has no record that it let it go), `running`, `too-many` (a sweep would remove
    /// more than `sweep-max`) or `configuration`. Absent where it will be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<&'static str>,
    /// The same, human-readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<Stray> for LeftoverView {
    fn from(stray: Stray) -> Self {
        let Stray { tenant, what, seen_for, held } = stray;
        Self {
            kind: kind_name(what.kind),
            env_id: tenant.map(|tenant| tenant.0),
            seen_seconds: seen_for.as_secs(),
            will_be_removed: held.is_none(),
            held_by: held.map(convergence_provision::Held::as_str),
            reason: held.map(|held| held.explain(what.kind)),
            name: what.name,
        }
    }
}

/// What is in the engine with this installation's label and belongs to nothing in its database: what will be removed, and
/// what waits for an operator, with the reason. As seen by the server that reconciles; empty on others.
#[utoipa::path(get, path = "/api/v1/leftovers", tag = "leftover")]
pub(crate) async fn list(State(app): State<App>, caller: Authenticated) -> Json<Leftovers> {
    caller.administrator();
    let leftovers = app.provisioner.strays().into_iter().map(LeftoverView::from).collect();
    Json(Leftovers { leftovers })
}
