//! What languages there are.

mod list;

use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(route!(list::list))
}
