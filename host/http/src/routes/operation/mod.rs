//! Durable pieces of work.

mod cancel;
mod events;
mod follow;
mod list;
mod retry;
pub(crate) mod show;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(show::show))
        .routes(routes!(events::events))
        .routes(routes!(follow::follow))
        .routes(routes!(cancel::cancel))
        .routes(routes!(retry::retry))
}
