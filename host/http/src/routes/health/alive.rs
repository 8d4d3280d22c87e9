//! `GET /health` and `GET /live`: the process answers. Neither asks anything of anybody else.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    /// Always `ok`.
    status: &'static str,
}

/// The process answers.
#[utoipa::path(get, path = "/health", tag = "health")]
pub(crate) async fn health() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// The process answers: do not restart it.
#[utoipa::path(get, path = "/live", tag = "health")]
pub(crate) async fn live() -> Json<Alive> {
    Json(Alive { status: "ok" })
}
