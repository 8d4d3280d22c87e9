//! `GET /api/v1/tenant/{tenant}/volumes`

use axum::Json;
use axum::extract::State;
use convergence_provision::{LookError, VolumeReport};
use convergence_runtime::RuntimeError;
use convergence_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::document::{Absent, problems};
use crate::extract::{Authenticated, TenantPath};

problems!(Refused: Absent, StoreError, RuntimeError);

impl From<LookError> for Refused {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Engine(error) => error.into(),
            LookError::Store(error) => error.into(),
        }
    }
}

/// The volumes of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VolumesView {
    /// Those that the app mounts first.
    volumes: Vec<VolumeView>,
}

/// A volume of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeView {
    /// As the template calls it.
    #[schema(example = "data")]
    name: String,
    /// Where the app finds it; absent where it mounts it no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Its name in the engine.
    engine_name: String,
    /// Bytes in it, measured a few seconds ago at most; null where the engine does not tell.
    size_bytes: Option<u64>,
    /// Whether the current revision mounts it, or one that is not up yet. One that is not in use was left by an earlier revision,
    /// and is kept until somebody removes it.
    in_use: bool,
}

impl From<VolumeReport> for VolumeView {
    fn from(report: VolumeReport) -> Self {
        let VolumeReport { name, path, engine_name, size, in_use } = report;
        Self { name, path, engine_name, size_bytes: size, in_use }
    }
}

/// The volumes of a tenant, with how much is in them: those that its app mounts, and those that earlier revisions left.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/volumes", tag = "volume")]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Json<VolumesView>, Refused> {
    let volumes = app.provisioner.volumes(&caller.scope(), env_id).await?.ok_or(Absent("tenant"))?;
    Ok(Json(VolumesView { volumes: volumes.into_iter().map(VolumeView::from).collect() }))
}
