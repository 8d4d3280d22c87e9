//! What answers from the moment the port is taken: while the server starts only whether it lives and what it is doing, then
//! the whole API.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use convergence_model::Code;
use convergence_model::ids::Ids;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::connection::{Connections, Peer};
use crate::document::kept::Promises;
use crate::problem::Problem;
use crate::routes::health::{Check, Readiness, live};
use crate::{App, openapi, request, router};

/// Seconds after which a request that came too early is worth sending again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The API of a server, from the moment its port is taken.
#[derive(Debug)]
pub struct Front {
    ids: Arc<dyn Ids>,
    starting: Router,
    whole: OnceLock<Router>,
}

impl Front {
    /// The API of a server that starts. `doing` tells what it is doing.
    pub fn new(ids: Arc<dyn Ids>, doing: impl Fn() -> String + Clone + Send + Sync + 'static) -> Arc<Self> {
        let ready = {
            let doing = doing.clone();
            move || async move { not_ready(doing()) }
        };
        let starting = Router::new()
            .route("/live", get(live))
            .route("/health", get(live))
            .route("/ready", get(ready))
            .fallback(move || async move { too_early(&doing()) });
        let starting = request::around(starting, Arc::clone(&ids), Promises::of(&openapi()));
        Arc::new(Self { ids, starting, whole: OnceLock::new() })
    }

    /// Serves until `stop` is cancelled, then lets requests in flight finish.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let listener = Connections::of(listener, Arc::clone(&self.ids));
        let either = Router::new().fallback(move |request: Request| {
            let router = self.whole.get().unwrap_or(&self.starting).clone();
            async move { router.oneshot(request).await }
        });
        let service = either.into_make_service_with_connect_info::<Peer>();
        axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await
    }

    /// Answers everything from now on.
    pub fn open(&self, app: App) {
        // Once: a server starts once.
        let _ = self.whole.set(router(app));
    }
}

fn not_ready(doing: String) -> Response {
    let checks = vec![Check { name: "start", ok: false, detail: doing }];
    let body = Json(Readiness { status: "starting", checks });
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], body).into_response()
}

fn too_early(doing: &str) -> Response {
    let problem =
        Problem::new(Code::Starting, format!("the server is starting: {doing}; send the request again in a moment"));
    ([(header::RETRY_AFTER, RETRY_AFTER)], problem).into_response()
}
