//! Sources of applications, uploaded before tenants are built from them.

pub(crate) mod refusal;
mod show;
mod upload;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(route!(upload::upload)).routes(route!(show::show))
}

/// A source that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// The hash of what is in it: `source.archive` of a spawn or a deployment. Two archives of the same files have the same.
    digest: String,
    /// Bytes of all its files.
    bytes: u64,
    /// How many files are in it.
    files: usize,
}
