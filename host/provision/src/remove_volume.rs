//! Removing a volume that a tenant does not use any more, because somebody names it.

use async_trait::async_trait;
use convergence_access::Caller;
use convergence_model::operation::{EventKind, Lane, Operation, OperationState};
use convergence_model::{EnvId, Scope, Verb};
use convergence_runtime::{Removal, RuntimeError};
use convergence_store::{Entry, StoreError};
use convergence_work::{Effect, Failing, Kind, RequestError};
use serde::{Deserialize, Serialize};

use crate::Provisioner;
use crate::recipe::{Leaves, Recipe};
use crate::step::{Step, StepError, removal};
use crate::volumes::Mounts;
use crate::work::Work;

/// One step, which cannot be undone and can be repeated. The tenant stays as it is.
pub static KIND: Kind = Kind {
    name: "remove-volume",
    lane: Lane::Engine,
    exclusive: true,
    yields: false,
    cancellable: false,
    checkpoint: 0,
    failing: Failing::Stay { state: OperationState::Failed, effect: Effect::None },
    stuck: Effect::None,
    asked_action: "volume.remove",
    done_action: "volume.removed",
    failed_action: "volume.remove-failed",
};

pub(crate) static RECIPE: Recipe = Recipe { kind: &KIND, steps: &[&Remove], leaves: Leaves::Nothing };

/// Which volume.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoveVolumeInput {
    /// As it was named. The audit tells it as well.
    volume: String,
    /// Its name in the engine.
    engine_name: String,
}

/// Why a volume is not removed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The tenant has none of that name.
    #[error("there is no such volume")]
    Absent,
    /// It is mounted.
    #[error(
        "the tenant's current revision mounts volume {name}, or one that is not up yet; deploy a revision that does not, and then remove it"
    )]
    InUse {
        /// As it was named.
        name: String,
    },
    /// The engine does not answer.
    #[error(transparent)]
    Engine(#[from] RuntimeError),
    /// There is no such tenant, something else is being done to it, or the store does not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl From<StoreError> for VolumeError {
    fn from(error: StoreError) -> Self {
        Self::Request(error.into())
    }
}

impl Provisioner {
    /// Accepts the removal of a volume and of what is in it. It is named as the template calls it, or as the engine does. The
    /// work itself begins at once, elsewhere.
    ///
    /// Refused while the current revision mounts it, or one that is not up yet. An earlier revision does not keep it: a rollback to
    /// one that mounts it gets a new volume with nothing in it.
    ///
    /// # Errors
    /// [`VolumeError`]; nothing was changed.
    pub async fn remove_volume(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        name: &str,
    ) -> Result<Operation, VolumeError> {
        let tenant = self.store.tenant(scope, env_id).await?.ok_or(RequestError::Absent)?;
        let mounts = Mounts::of(&self.store, scope, tenant.id).await?;
        if mounts.names().any(|mounted| mounted == name || self.volume_name(env_id, mounted) == name) {
            return Err(VolumeError::InUse { name: name.to_owned() });
        }
        // Only what the engine lists is ever named to it.
        let (own, there) = (self.volume_name(env_id, name), self.volumes_there(env_id).await?);
        let found = there.iter().find(|there| **there == own).or_else(|| there.iter().find(|there| *there == name));
        let engine_name = found.ok_or(VolumeError::Absent)?.clone();
        let input = RemoveVolumeInput { volume: name.to_owned(), engine_name };
        let entry = Entry::asked(Verb::Change, None, KIND.asked_action);
        Ok(self.request(scope, env_id, &KIND, &input, caller.name(), entry).await?)
    }
}

struct Remove;

#[async_trait]
impl Step for Remove {
    fn name(&self) -> &'static str {
        "volume"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let RemoveVolumeInput { volume, engine_name } = work.operation.asked()?;
        let tenant = work.store().tenant(&Work::scope(), work.env_id()).await?.ok_or(StepError::Gone)?;
        // Looked at again: a deployment that was accepted since waits for this operation to end.
        let mounts = Mounts::of(work.store(), &Work::scope(), tenant.id).await?;
        if mounts.names().any(|mounted| work.volume_name(mounted) == engine_name) {
            let why = "a revision that is not up yet mounts it".to_owned();
            return Err(StepError::VolumeInUse { volume, why });
        }
        match work.runtime()?.remove_volume(&engine_name, work.owner()).await {
            Ok(Removal::Removed | Removal::Absent) => {
                let told = format!("volume {volume} ({engine_name}) is removed with what was in it");
                work.record(self.name(), EventKind::Line, &told).await
            }
            Ok(Removal::Foreign) => {
                removal::left_alone("volume", &engine_name);
                Ok(())
            }
            Err(RuntimeError::Conflict { message, .. }) => Err(StepError::VolumeInUse { volume, why: message }),
            Err(error) => Err(error.into()),
        }
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}
