//! A tenant's variables: plain ones, and secret ones whose values are not shown again.

mod answer;
mod env;
mod secret;
mod view;

use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(route!(env::show, env::replace, env::change))
        .routes(route!(secret::list, secret::set_several))
        .routes(route!(secret::set, secret::unset))
}
