//! `GET /api/v1/registries`

use axum::Json;
use axum::extract::State;
use convergence_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use super::RegistryView;
use super::path::Parameters;
use crate::App;
use crate::document::{Absent, problems};
use crate::extract::Authenticated;
use crate::input::Query;

problems!(Refused: Absent, StoreError);

/// The registries that an organization is logged in to, by host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegistriesView {
    registries: Vec<RegistryView>,
}

/// The registries that an organization is logged in to, without the passwords.
#[utoipa::path(get, path = "/api/v1/registries", tag = "registry")]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Authenticated,
    Query(parameters): Query<Parameters>,
) -> Result<Json<RegistriesView>, Refused> {
    let (org, scope) = caller.organization(parameters.org_id)?;
    let registries = app.store.registries(&scope, org).await?.into_iter().map(RegistryView::from).collect();
    Ok(Json(RegistriesView { registries }))
}
