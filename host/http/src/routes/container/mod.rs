//! Tenant containers: the routes of the Docker multi-tenant service that Convergence takes the place of, for clients that were
//! written for it.
//!
//! That service gives each of its client organizations one container and means it by the organization's UUID. Here a client
//! organization is a tenant of the caller's organization, and the UUID is the tenant's name: that makes it unique and found as
//! any name is. Each route calls what the tenant's own route calls, and has no rules beside the ranges of the fields.

mod client;
mod health;
mod outcome;
mod provision;
mod run;
mod scale;
mod status;
mod usage;

use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(route!(provision::provision))
        .routes(route!(run::start))
        .routes(route!(run::stop))
        .routes(route!(run::restart))
        .routes(route!(run::terminate))
        .routes(route!(scale::scale))
        .routes(route!(status::status))
        .routes(route!(health::health))
        .routes(route!(health::health_check))
        .routes(route!(usage::usage))
}
