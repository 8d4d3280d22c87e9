//! Things in the engine that belong to nothing in the database.

mod list;
mod remove;

use convergence_model::operation::LeftoverKind;
use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(route!(list::list)).routes(route!(remove::remove))
}

/// A kind as it is listed.
fn kind_name(kind: LeftoverKind) -> &'static str {
    match kind {
        LeftoverKind::Container => "Container",
        LeftoverKind::Network => "Network",
        LeftoverKind::Volume => "Volume",
        LeftoverKind::Image => "Image",
    }
}
