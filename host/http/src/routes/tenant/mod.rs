//! One isolated app of an organization.

mod compose;
mod destroy;
mod dockerfile;
mod list;
mod logs;
mod plan;
mod repair;
mod spawn;
mod status;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(spawn::spawn))
        .routes(routes!(plan::plan))
        .routes(routes!(list::list))
        .routes(routes!(status::status))
        .routes(routes!(logs::logs))
        .routes(routes!(compose::compose))
        .routes(routes!(dockerfile::dockerfile))
        .routes(routes!(destroy::destroy))
        .routes(routes!(repair::repair))
}
