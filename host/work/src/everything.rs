//! Following all operations in reach at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use convergence_model::operation::{Operation, OperationState};
use convergence_model::{OperationId, Scope};
use convergence_store::{OperationQuery, Result};
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout_at};

use crate::Operations;
use crate::watch::{LOOK, News, PAGE};

/// The newest operations that are looked at now and then.
const NEWEST: u32 = 100;
/// Those under way that are, where other servers work on them.
const UNDER_WAY: u32 = 1000;
/// Of more operations than these, those that are over are forgotten.
const KNOWN_MAX: usize = 10_000;

impl Operations {
    /// Everything that happens from now on to the operations within reach, each with the operation. Of one operation nothing is
    /// missed and the order is kept; what another server does is seen a little later. Ends when the store does not answer.
    pub fn watch_all(self: Arc<Self>, scope: Scope) -> BoxStream<'static, (Arc<Operation>, News)> {
        let news = self.news.subscribe();
        let follower = Everything {
            since: self.clock.now(),
            operations: self,
            scope,
            news,
            known: BTreeMap::new(),
            ready: VecDeque::new(),
            has_begun: false,
        };
        stream::unfold(follower, |mut follower| async move {
            let next = follower.next().await.ok()?;
            Some((next, follower))
        })
        .boxed()
    }
}

/// How far an operation has been told.
#[derive(Debug, Clone, Copy)]
struct Known {
    after: i64,
    updated: Timestamp,
    over: bool,
}

struct Everything {
    since: Timestamp,
    operations: Arc<Operations>,
    scope: Scope,
    news: broadcast::Receiver<OperationId>,
    known: BTreeMap<OperationId, Known>,
    ready: VecDeque<(Arc<Operation>, News)>,
    has_begun: bool,
}

impl Everything {
    async fn next(&mut self) -> Result<(Arc<Operation>, News)> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Ok(next);
            }
            if !self.has_begun {
                for operation in self.recent().await? {
                    self.skip(&operation).await?;
                }
                self.has_begun = true;
            }
            for id in self.changed().await? {
                self.read(id).await?;
            }
            if self.known.len() > KNOWN_MAX {
                self.known.retain(|_, known| !known.over);
            }
        }
    }

    /// The operations that something happened to: this server says so, or a look shows it.
    async fn changed(&mut self) -> Result<BTreeSet<OperationId>> {
        match timeout_at(Instant::now() + LOOK, self.news.recv()).await {
            Ok(Ok(id)) => return Ok(BTreeSet::from([id])),
            Ok(Err(RecvError::Lagged(_))) | Err(_) => {}
            // The sender lives as long as the operations do.
            Ok(Err(RecvError::Closed)) => tokio::time::sleep(LOOK).await,
        }
        let recent = self.recent().await?;
        let moved = |operation: &&Operation| {
            self.known.get(&operation.id).is_none_or(|known| known.updated != operation.updated_at)
        };
        let mut changed: BTreeSet<OperationId> = recent.iter().filter(moved).map(|operation| operation.id).collect();
        // What was under way and is no longer listed has ended meanwhile.
        let listed: BTreeSet<OperationId> = recent.iter().map(|operation| operation.id).collect();
        let ended = self.known.iter().filter(|(id, known)| !known.over && !listed.contains(id));
        changed.extend(ended.map(|(id, _)| *id));
        Ok(changed)
    }

    async fn recent(&self) -> Result<Vec<Operation>> {
        let mut recent = Vec::new();
        for (state, limit) in [(None, NEWEST), (Some(OperationState::Running), UNDER_WAY)] {
            let query = OperationQuery { subject: None, state, before: None, limit };
            recent.extend(self.operations.store.operations(&self.scope, query).await?);
        }
        Ok(recent)
    }

    /// What happened before is not told.
    async fn skip(&mut self, operation: &Operation) -> Result<()> {
        let after = self.operations.store.last_event(&self.scope, operation.id).await?;
        let over = operation.state.is_final();
        self.known.insert(operation.id, Known { after, updated: operation.updated_at, over });
        Ok(())
    }

    async fn read(&mut self, id: OperationId) -> Result<()> {
        let store = &self.operations.store;
        // Read before its events: of one that is found over, no event is missed.
        let Some(operation) = store.operation(&self.scope, id).await? else {
            self.known.remove(&id);
            return Ok(());
        };
        let known = match self.known.get(&id) {
            Some(known) => *known,
            None if operation.created_at >= self.since => {
                Known { after: 0, updated: operation.updated_at, over: false }
            }
            // An old one that something happens to: its history is not told again.
            None => {
                let last = store.last_event(&self.scope, id).await?;
                Known { after: last.saturating_sub(1), updated: operation.updated_at, over: false }
            }
        };
        let operation = Arc::new(operation);
        let mut after = known.after;
        loop {
            let events = store.events(&self.scope, id, after, PAGE).await?;
            let Some(last) = events.last().map(|event| event.seq) else { break };
            after = last;
            self.ready.extend(events.into_iter().map(|event| (Arc::clone(&operation), News::Event(event))));
        }
        let over = operation.state.is_final();
        if over && !known.over {
            let outcome = News::Outcome(Box::new(Operation::clone(&operation)));
            self.ready.push_back((Arc::clone(&operation), outcome));
        }
        self.known.insert(id, Known { after, updated: operation.updated_at, over });
        Ok(())
    }
}
