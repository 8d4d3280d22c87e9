//! The HTTP API. The only user of axum.
//!
//! One file a route under `routes/<noun>/<verb>.rs`; each route holds what it reads, what it answers and its
//! handler. Errors become problems in one table (`problem.rs`). Nothing is decided here that another client of
//! the rooms below would need as well.

mod code;
mod connection;
mod docs;
mod document;
mod extract;
mod front;
mod idempotency;
mod input;
mod problem;
mod request;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use convergence_model::ids::Ids;
use convergence_plugin::Catalogue;
use convergence_provision::Provisioner;
use convergence_runtime::Runtime;
use convergence_source::Sources;
use convergence_store::Store;
use convergence_work::Operations;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use document::kept::Promises;

pub use front::Front;

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct App {
    /// What can be done to tenants.
    pub provisioner: Arc<Provisioner>,
    /// What is carried out.
    pub operations: Arc<Operations>,
    /// What is known.
    pub store: Arc<Store>,
    /// What was uploaded.
    pub sources: Arc<Sources>,
    /// Which plugins there are.
    pub catalogue: Arc<Catalogue>,
    /// What runs.
    pub runtime: Arc<dyn Runtime>,
    /// Where request ids come from.
    pub ids: Arc<dyn Ids>,
    /// How long a request that starts something waits for its outcome, unless it says otherwise.
    pub wait: Duration,
    /// Ends streams that have no end of their own when the server drains.
    pub draining: CancellationToken,
    /// Lines of the log that could not be written since the server started.
    pub lost_lines: Arc<AtomicU64>,
}

/// The OpenAPI document (3.1) of every route, made from the handlers themselves.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().split_for_parts().1
}

fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(docs::document()).merge(routes::all())
}

fn router(app: App) -> Router {
    let (routes, openapi) = documented().split_for_parts();
    let (ids, promises) = (Arc::clone(&app.ids), Promises::of(&openapi));
    let routes = routes
        .merge(docs::browser(openapi))
        .route("/", axum::routing::get(docs::entrance))
        .fallback(routes::absent)
        .method_not_allowed_fallback(routes::wrong_method)
        .with_state(app);
    request::around(routes, ids, promises)
}
