//! Waiting for operations, and following them.

use std::collections::VecDeque;
use std::time::Duration;

use convergence_model::operation::{Operation, OperationEvent, OperationState};
use convergence_model::{OperationId, Scope};
use convergence_store::{Result, StoreError};
use futures_util::stream::{self, BoxStream, StreamExt};
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use crate::Operations;

/// Another server may be the one that works on an operation, and its news do not come here: look now and then.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// Events read at once.
pub(crate) const PAGE: u32 = 500;

/// What happened to an operation.
#[derive(Debug, Clone)]
pub enum News {
    /// The next entry of its history.
    Event(OperationEvent),
    /// It is over; nothing follows.
    Outcome(Box<Operation>),
}

impl Operations {
    /// The operation once it is over, or as it is when `patience` has run out.
    ///
    /// # Errors
    /// The store does not answer, or has no such operation.
    pub async fn outcome(&self, id: OperationId, patience: Duration) -> Result<Operation> {
        let mut news = self.news.subscribe();
        let deadline = Instant::now() + patience;
        loop {
            let operation = self.store.operation(&Scope::platform(), id).await?;
            let operation = operation.ok_or_else(|| StoreError::Corrupt {
                table: "operations",
                id: id.to_string(),
                reason: "the row is gone".to_owned(),
            })?;
            // What is under way is finished by a drain; what is only queued waits for the next start.
            let waits_for_next_start = self.is_stopping() && operation.state == OperationState::Queued;
            if operation.state.is_final() || waits_for_next_start || !heard(&mut news, id, deadline).await {
                return Ok(operation);
            }
        }
    }

    /// Everything that happens to an operation after event number `after`, until it is over.
    pub fn watch(self: Arc<Self>, scope: Scope, id: OperationId, after: i64) -> BoxStream<'static, News> {
        let news = self.news.subscribe();
        let follower = Follower { operations: self, scope, id, after, news, ready: VecDeque::new(), over: false };
        stream::unfold(follower, |mut follower| async move { follower.next().await.map(|news| (news, follower)) })
            .boxed()
    }
}

struct Follower {
    operations: Arc<Operations>,
    scope: Scope,
    id: OperationId,
    after: i64,
    news: broadcast::Receiver<OperationId>,
    ready: VecDeque<OperationEvent>,
    over: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<News> {
        while !self.over {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.seq;
                return Some(News::Event(event));
            }
            let store = &self.operations.store;
            // The state is read before the events: an operation found over has no event that is not read then.
            let operation = store.operation(&self.scope, self.id).await.ok().flatten()?;
            self.ready = store.events(&self.scope, self.id, self.after, PAGE).await.ok()?.into();
            if !self.ready.is_empty() {
                continue;
            }
            if operation.state.is_final() {
                self.over = true;
                return Some(News::Outcome(Box::new(operation)));
            }
            heard(&mut self.news, self.id, Instant::now() + LOOK).await;
        }
        None
    }
}

/// Waits for news of one operation, or for a reason to look anyway; false once the deadline has passed.
async fn heard(news: &mut broadcast::Receiver<OperationId>, id: OperationId, deadline: Instant) -> bool {
    let look = deadline.min(Instant::now() + LOOK);
    loop {
        match tokio::time::timeout_at(look, news.recv()).await {
            Ok(Ok(other)) if other != id => {}
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => return true,
            // The sender lives as long as the operations do; without it only the clock is left.
            Ok(Err(RecvError::Closed)) => tokio::time::sleep_until(look).await,
            Err(_elapsed) => return Instant::now() < deadline,
        }
    }
}
