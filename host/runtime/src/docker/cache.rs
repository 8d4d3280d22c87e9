//! The cache of builds: how much of it is kept.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;

use super::connect::{Docker, Fault};
use super::raw::escape;
use crate::error::RuntimeError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pruned {
    #[serde(default)]
    space_reclaimed: u64,
}

impl Docker {
    /// Removes what no build used for so long, and then what was used longest ago until so many bytes are left. Answers the
    /// bytes that were freed.
    pub(super) async fn prune_cache(&self, keep_bytes: u64, unused_for: Duration) -> Result<u64, RuntimeError> {
        let filters = escape(&format!(r#"{{"until":["{}s"]}}"#, unused_for.as_secs()));
        let old = self.prune(&format!("all=1&filters={filters}")).await?;
        // By both of its names: an engine that does not know the one that is sent would keep nothing.
        let large = self.prune(&format!("all=1&keep-storage={keep_bytes}&reserved-space={keep_bytes}")).await?;
        Ok(old.saturating_add(large))
    }

    async fn prune(&self, query: &str) -> Result<u64, RuntimeError> {
        let limit = self.config.pull_limit;
        let what = "prune the cache of builds";
        match tokio::time::timeout(limit, self.try_prune(query)).await {
            Ok(answer) => answer.map_err(|fault| fault.into_error(self)),
            Err(_) => Err(RuntimeError::Timeout { what: what.to_owned(), after: limit }),
        }
    }

    async fn try_prune(&self, query: &str) -> Result<u64, Fault> {
        let pruned: Pruned = self.ask(Method::POST, &format!("/build/prune?{query}")).await?;
        Ok(pruned.space_reclaimed)
    }
}
