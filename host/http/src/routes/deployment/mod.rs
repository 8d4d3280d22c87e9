//! What a tenant ran, runs and is about to run: its revisions, each with the operation that brings it up.

pub(crate) mod begin;
mod diff;
mod list;
mod path;
mod refusal;
mod rollback;
mod show;
pub(crate) mod view;
mod wire;

use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(route!(begin::begin, list::list))
        .routes(route!(show::show))
        .routes(route!(diff::diff))
        .routes(route!(rollback::rollback))
}
