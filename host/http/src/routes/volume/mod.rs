//! The volumes of a tenant.

mod list;
mod path;
mod remove;

use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(route!(list::list)).routes(route!(remove::remove))
}
