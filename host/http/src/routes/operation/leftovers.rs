//! `GET /api/v1/leftovers`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::extract::Authenticated;
use crate::problem::Problem;

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
    kind: String,
    name: String,
    /// Whose it says it is; absent of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    env_id: Option<i64>,
    /// How long it has been seen.
    seen_seconds: u64,
    /// Whether it is removed after the grace period; otherwise it stays until an operator removes it.
    will_be_removed: bool,
}

/// What is in the engine with the platform's label and belongs to no tenant: what would be swept, and what is only told
/// of. As seen by the server that reconciles; empty on others.
#[utoipa::path(get, path = "/api/v1/leftovers", tag = "operation", responses((status = 200, body = Leftovers)))]
pub(crate) async fn leftovers(State(app): State<App>, caller: Authenticated) -> Result<Json<Leftovers>, Problem> {
    caller.administrator()?;
    let leftovers = app
        .provisioner
        .strays()
        .into_iter()
        .map(|stray| LeftoverView {
            kind: format!("{:?}", stray.what.kind),
            name: stray.what.name,
            env_id: stray.tenant.map(|tenant| tenant.0),
            seen_seconds: stray.seen_for.as_secs(),
            will_be_removed: stray.will_be_removed,
        })
        .collect();
    Ok(Json(Leftovers { leftovers }))
}
