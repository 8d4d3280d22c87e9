//! The engine's cache of builds, which nobody else keeps small enough.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Provisioner;

/// The duty of the server that looks after it.
const DUTY: &str = "build-cache";
/// Until the first look at it.
const FIRST: Duration = Duration::from_secs(300);
/// Between two looks at it.
const INTERVAL: Duration = Duration::from_secs(3600);

impl Provisioner {
    /// Keeps the cache of builds within its bounds until `stop` is cancelled, beginning in a few minutes. Where that does not
    /// work it is tried again later.
    pub async fn keep_cache(self: Arc<Self>, stop: CancellationToken) {
        // Not at once: a server that starts has better things to do.
        let mut pause = FIRST;
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            pause = INTERVAL;
            let pruned = stop.run_until_cancelled(self.prune_cache()).await;
            if let Some(Err(error)) = pruned {
                tracing::warn!(%error, "cannot prune the cache of builds; trying again in an hour");
            }
        }
    }

    async fn prune_cache(&self) -> Result<(), crate::LookError> {
        let worker = &self.operations.settings().worker;
        if !self.store.take_duty(DUTY, worker, INTERVAL * 2).await? {
            return Ok(());
        }
        let freed = self.builder.prune_cache(self.settings.cache_max, self.settings.cache_keep).await?;
        if freed > 0 {
            tracing::info!(mib = freed >> 20, "removed old parts of the cache of builds");
        }
        Ok(())
    }
}
