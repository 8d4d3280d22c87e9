//! The keys that secrets are sealed with.

mod list;
mod retire;
mod rotate;

use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(route!(list::list)).routes(route!(rotate::rotate)).routes(route!(retire::retire))
}
