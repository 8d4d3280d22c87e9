//! Durable pieces of work.

pub(crate) mod begun;
mod cancel;
mod events;
mod follow;
mod list;
mod retry;
pub(crate) mod show;
pub(crate) mod waiting;

use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(route!(list::list))
        .routes(route!(show::show))
        .routes(route!(events::events))
        .routes(route!(follow::follow))
        .routes(route!(cancel::cancel))
        .routes(route!(retry::retry))
}
