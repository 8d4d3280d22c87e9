//! The keys that secrets are sealed with.

mod list;
mod retire;
mod rotate;

use convergence_model::Code;
use convergence_provision::RingError;
use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;
use crate::problem::Problem;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(route!(list::list)).routes(route!(rotate::rotate)).routes(route!(retire::retire))
}

impl From<RingError> for Problem {
    fn from(error: RingError) -> Self {
        match error {
            RingError::Store(error) => error.into(),
            error => {
                tracing::error!(%error, "nothing can be sealed");
                Self::new(Code::RingUnusable, "the server cannot use its key ring; the operator's log says why")
            }
        }
    }
}
