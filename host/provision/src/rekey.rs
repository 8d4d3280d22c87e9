//! Rotating the key ring: a new key seals from now on, and what earlier keys sealed is sealed anew while everything runs. The
//! earlier keys stay in the ring until an operator removes them: backups may need them.

use async_trait::async_trait;
use convergence_access::Caller;
use convergence_model::SealingKeyId;
use convergence_model::operation::{EventKind, Lane, Operation, OperationState};
use convergence_store::{PLATFORM_ORG, SealedRow, SealingKey, StoreError};
use convergence_work::{Effect, Failing, Kind, RequestError};
use serde::{Deserialize, Serialize};

use crate::Provisioner;
use crate::keys::RingError;
use crate::recipe::{Leaves, Recipe};
use crate::request::asked;
use crate::secrets;
use crate::step::{Step, StepError};
use crate::work::Work;

/// Adds a key and seals everything anew; both go on where they were.
pub static KIND: Kind = Kind {
    name: "rekey",
    lane: Lane::Batch,
    exclusive: true,
    yields: false,
    cancellable: false,
    checkpoint: 0,
    failing: Failing::Stay { state: OperationState::Failed, effect: Effect::None },
    stuck: Effect::None,
    asked_action: "keys.rotate",
    done_action: "keys.rotated",
    failed_action: "keys.rotate-failed",
};

pub(crate) static RECIPE: Recipe = Recipe { kind: &KIND, steps: &[&NewKey, &Reseal], leaves: Leaves::Nothing };

/// Values that are sealed anew in one transaction.
const BATCH: u32 = 50;

/// What a rotation is asked.
#[derive(Debug, Serialize, Deserialize)]
struct RekeyInput {
    /// The key that sealed when it was asked for: where a later one does by now, it was added already. None where no key is to be
    /// added.
    after: Option<String>,
}

/// A key of the ring, and what the database has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingKey {
    /// Its id.
    pub id: SealingKeyId,
    /// Whether this server has it.
    pub is_held: bool,
    /// Whether it seals.
    pub is_newest: bool,
    /// What it sealed; none where the database does not know it.
    pub known: Option<SealingKey>,
}

/// Why a key is not rotated or retired. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// No key can be added to the ring.
    #[error("{0}")]
    Fixed(String),
    /// The request is not accepted now.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The key is needed.
    #[error("{0}")]
    Needed(String),
    /// There is no such key.
    #[error("there is no such key")]
    Absent,
}

impl From<StoreError> for RotateError {
    fn from(error: StoreError) -> Self {
        Self::Request(error.into())
    }
}

impl Provisioner {
    /// Accepts a rotation of the key ring.
    ///
    /// # Errors
    /// [`RotateError`]; also [`convergence_store::Conflict::SubjectBusy`] while one is under way.
    pub async fn rotate_keys(&self, caller: &Caller) -> Result<Operation, RotateError> {
        if self.operations.is_stopping() {
            return Err(RequestError::Stopping.into());
        }
        let newest = self.keys.seals.newest();
        let after = match self.keys.ring.can_add() {
            Ok(()) => Some(newest),
            // A key that an operator added is put to use.
            Err(_) if !self.store.sealed_by_others(&newest, 1).await?.is_empty() => None,
            Err(why) => return Err(RotateError::Fixed(why)),
        };
        let input = asked(&RekeyInput { after: after.map(|after| after.as_str().to_owned()) });
        let new = self.operations.new_operation(&KIND, input, caller.name());
        let begun = self.store.begin_platform(PLATFORM_ORG, &new, KIND.asked_action).await?;
        self.operations.queued(KIND.lane);
        Ok(begun)
    }

    /// The keys of the ring and of the database, oldest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn ring(&self) -> Result<Vec<RingKey>, StoreError> {
        let (held, newest) = (self.keys.seals.ids(), self.keys.seals.newest());
        let known = self.store.sealing_keys().await?;
        let unknown = held.iter().filter(|id| !known.iter().any(|known| known.id == **id));
        let key = |id: &SealingKeyId, known: Option<SealingKey>| RingKey {
            id: id.clone(),
            is_held: held.contains(id),
            is_newest: *id == newest,
            known,
        };
        let mut keys: Vec<RingKey> = unknown.map(|id| key(id, None)).collect();
        keys.extend(known.iter().map(|known| key(&known.id, Some(known.clone()))));
        Ok(keys)
    }

    /// Forgets a key that sealed nothing any more, so that it may be removed from the ring.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn retire_key(&self, caller: &Caller, id: &SealingKeyId) -> Result<(), RotateError> {
        let keys = self.store.sealing_keys().await?;
        let key = keys.into_iter().find(|key| key.id == *id).ok_or(RotateError::Absent)?;
        if *id == self.keys.seals.newest() {
            let why = format!("key {id} seals: rotate the key ring first (`convergence keys rotate`)");
            return Err(RotateError::Needed(why));
        }
        if !self.store.retire_sealing_key(id, caller.name(), self.clock.now()).await? {
            let why = format!(
                "{} values are sealed with key {id}: rotate the key ring first (`convergence keys rotate`), or wait until that is over",
                key.values
            );
            return Err(RotateError::Needed(why));
        }
        Ok(())
    }
}

impl From<RingError> for StepError {
    fn from(error: RingError) -> Self {
        match error {
            RingError::Store(error) => error.into(),
            error => Self::Ring(error.to_string()),
        }
    }
}

struct NewKey;

#[async_trait]
impl Step for NewKey {
    fn name(&self) -> &'static str {
        "key"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let RekeyInput { after } = work.operation.asked()?;
        let (keys, now) = (&work.provisioner.keys, work.provisioner.clock.now());
        keys.reload(work.store(), now).await?;
        let (newest, held) = (keys.seals.newest(), keys.seals.ids());
        let newest = match after {
            Some(after) if newest.as_str() == after => {
                work.hold.check()?;
                keys.add(work.store(), now).await?
            }
            Some(after) if !held.iter().any(|key| key.as_str() == after) => {
                let why = format!(
                    "key {after} is not in the key ring of this server; copy `keyring` from the server that has it"
                );
                return Err(StepError::Ring(why));
            }
            // The ring was read above, and the database knows its newest key.
            _ => newest,
        };
        work.record(self.name(), EventKind::Line, &format!("key {newest} seals from now on")).await
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

struct Reseal;

#[async_trait]
impl Step for Reseal {
    fn name(&self) -> &'static str {
        "seal"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let (keys, mut done) = (&work.provisioner.keys, 0);
        let newest = keys.seals.newest();
        loop {
            work.hold.check()?;
            let rows = work.store().sealed_by_others(&newest, BATCH).await?;
            if rows.is_empty() {
                return work.record(self.name(), EventKind::Line, &format!("{done} values were sealed anew")).await;
            }
            let mut anew = Vec::new();
            for row in rows {
                let before = row.sealed.key.clone();
                let value = secrets::open(&keys.seals, &row)?;
                let sealed = secrets::seal(&keys.seals, &row, &value)?;
                anew.push((before, SealedRow { sealed, ..row }));
            }
            done += work.store().resealed(&anew).await?;
        }
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}
