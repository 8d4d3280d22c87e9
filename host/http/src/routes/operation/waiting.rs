//! How long a request that begins something waits for its outcome.

use std::time::Duration;

use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;
use crate::extract::Prefer;

/// The query of a request that begins something.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Waiting {
    /// Seconds to wait for the outcome before answering 202, at most 3600; what the server is configured to where absent.
    #[param(minimum = 0, maximum = 3600)]
    wait: Option<u64>,
}

impl Waiting {
    /// How long to wait.
    pub(crate) fn patience(&self, prefer: &Prefer, app: &App) -> Duration {
        prefer.patience(self.wait, app.wait)
    }
}
