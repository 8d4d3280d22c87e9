//! Whether the server is well.

mod alive;
mod ready;

pub(crate) use alive::live;
pub(crate) use ready::{Check, Readiness};

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(alive::health)).routes(routes!(alive::live)).routes(routes!(ready::ready))
}
