//! `POST /api/v1/tenant/plan`: the dry run.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use convergence_model::Limits;
use convergence_model::tenant::PluginPin;
use convergence_provision::PlanError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::wire::SpecBody;
use crate::App;
use crate::document::refusal::Wrong;
use crate::document::{Absent, problems};
use crate::extract::Authenticated;
use crate::input::{Drafted, Query};

problems!(Refused: Absent, Wrong, PlanError);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The organization it would be for; the caller's own where absent.
    org_id: Option<i64>,
}

/// What would be built and run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Planned {
    /// The text that would be built. Images appear as the configuration maps them; a spawn pins their digests.
    dockerfile: String,
    /// The Compose file, with `0` for the tenant's number and the first port of the range, which a spawn assigns.
    compose: String,
    decisions: Decisions,
}

/// Who decided what.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decisions {
    language: String,
    /// What the template detected and chose, in its own words.
    notes: Vec<String>,
    limits: LimitsView,
    /// Each image as the template named it and as it resolves here.
    images: BTreeMap<String, String>,
    /// Which components decided.
    plugins: BTreeMap<String, PluginView>,
    /// What policies warn of.
    warnings: Vec<String>,
    /// Paths of the files the plan adds.
    files: Vec<String>,
}

/// Limits after policies tightened them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitsView {
    /// Cores.
    cpu: f64,
    memory_mb: u32,
    disk_mb: u32,
    pids: u32,
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        Self {
            cpu: f64::from(limits.cpu_millis) / 1000.0,
            memory_mb: limits.memory_mb,
            disk_mb: limits.disk_mb,
            pids: limits.pids,
        }
    }
}

/// The exact component.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginView {
    version: String,
    digest: String,
}

impl From<PluginPin> for PluginView {
    fn from(pin: PluginPin) -> Self {
        Self { version: pin.version, digest: pin.digest }
    }
}

/// What a spawn would do, without doing any of it.
#[utoipa::path(post, path = "/api/v1/tenant/plan", tag = "tenant")]
pub(crate) async fn plan(
    State(app): State<App>,
    caller: Authenticated,
    Query(parameters): Query<Parameters>,
    Drafted { body, wrong }: Drafted<SpecBody>,
) -> Result<Json<Planned>, Refused> {
    let (org, scope) = caller.organization(parameters.org_id)?;
    let spec = body.check(app.provisioner.default_limits(), wrong).map_err(Wrong)?;
    let preview = app.provisioner.preview(&scope, &caller.0, org, spec).await?;
    let planned = preview.planned;
    Ok(Json(Planned {
        dockerfile: preview.dockerfile,
        compose: preview.compose,
        decisions: Decisions {
            language: planned.spec.language.clone(),
            notes: planned.plan.plan().notes.clone(),
            limits: planned.limits.into(),
            images: planned.plan.images().clone(),
            plugins: planned.plugins.into_iter().map(|(id, pin)| (id, pin.into())).collect(),
            warnings: planned.warnings.into_iter().map(|warning| warning.to_string()).collect(),
            files: planned.plan.plan().files.iter().map(|file| file.path.clone()).collect(),
        },
    }))
}
