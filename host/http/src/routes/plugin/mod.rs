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

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    // A component is larger than other bodies; `install` counts for itself.
    let install = OpenApiRouter::new().routes(route!(install::install)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .merge(install)
        .routes(route!(list::list))
        .routes(route!(show::show))
        .routes(route!(remove::remove))
        .routes(route!(enable::enable))
        .routes(route!(enable::disable))
        .routes(route!(configuration::configure, configuration::reset))
        .routes(route!(bindings::bind))
        .routes(route!(rollback::rollback))
        .routes(route!(stats::stats))
        .routes(route!(try_out::try_out))
}
