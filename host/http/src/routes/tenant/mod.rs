//! One isolated app of an organization.

mod change;
mod compose;
mod destroy;
mod dockerfile;
mod list;
mod logs;
pub(crate) mod plan;
mod repair;
pub(crate) mod run;
mod scale;
mod show;
pub(crate) mod source;
mod spawn;
mod status;
pub(crate) mod wire;

use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(route!(spawn::spawn))
        .routes(route!(plan::plan))
        .routes(route!(list::list))
        .routes(route!(status::status))
        .routes(route!(logs::logs))
        .routes(route!(compose::compose))
        .routes(route!(dockerfile::dockerfile))
        .routes(route!(show::show, change::change, destroy::destroy))
        .routes(route!(repair::repair))
        .routes(route!(run::start))
        .routes(route!(run::stop))
        .routes(route!(run::restart))
        .routes(route!(scale::scale))
}
