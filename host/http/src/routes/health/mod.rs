//! Whether the server is well.

mod alive;
mod ready;

pub(crate) use alive::live;
pub(crate) use ready::{Check, Readiness};

use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(route!(alive::health)).routes(route!(alive::live)).routes(route!(ready::ready))
}
