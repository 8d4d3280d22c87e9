//! The components that extend the server. Administrators only.

mod bindings;
mod configuration;
mod enable;
mod install;
mod list;
mod remove;
mod rollback;
mod show;
mod stats;
mod try_out;
mod wire;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    // A component is larger than other bodies; `install` counts for itself.
    let install = OpenApiRouter::new().routes(routes!(install::install)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .merge(install)
        .routes(routes!(list::list))
        .routes(routes!(show::show))
        .routes(routes!(remove::remove))
        .routes(routes!(enable::enable))
        .routes(routes!(enable::disable))
        .routes(routes!(configuration::configure, configuration::reset))
        .routes(routes!(bindings::bind))
        .routes(routes!(rollback::rollback))
        .routes(routes!(stats::stats))
        .routes(routes!(try_out::try_out))
}
