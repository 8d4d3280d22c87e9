//! Servers that share a database, a clock that is set by hand, and a loop that does as it is asked.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::ids::{Clock, Ids};
use convergence_model::operation::{Failure, Lane, Operation, OperationState, Subject};
use convergence_model::{OperationId, OrgId, Scope};
use convergence_store::Store;
use convergence_test_database::Fresh;
use convergence_work::{
    Came, Done, Effect, End, Failing, Kind, Loop, LoopStep, Next, Operations, Recovery, Registry, RequestError,
    StepError, Turn, Wait, WorkSettings,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(crate) const ORG: OrgId = OrgId(1);
/// Longer than anything here takes; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const STEP: LoopStep = LoopStep { name: "step", limit: Duration::from_secs(5), once: true, can_be_interrupted: true };

pub(crate) static KIND: Kind = Kind {
    name: "scripted",
    lane: Lane::Network,
    exclusive: true,
    yields: false,
    cancellable: true,
    checkpoint: 3,
    failing: Failing::Undo(Effect::None),
    stuck: Effect::None,
    asked_action: "scripted.asked",
    done_action: "scripted.done",
    failed_action: "scripted.failed",
};

/// What a step does.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) enum Act {
    /// Gets further.
    Go,
    /// Waits so many milliseconds.
    Sleep(u64),
    /// Waits for this signal.
    Listen(String),
    /// Panics.
    Panic,
    /// Never comes back by itself.
    Hang,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq)]
pub(crate) struct Far {
    steps: usize,
    pub(crate) told: Vec<String>,
    pub(crate) repeated: u32,
}

/// A loop that does one act after the other.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    /// How each that ended was closed.
    pub(crate) closed: Mutex<Vec<String>>,
    /// A step began to hang.
    pub(crate) hangs: Notify,
}

struct Carried(Arc<Scripted>);

#[async_trait]
impl Loop for Carried {
    type Input = Vec<Act>;
    type State = Far;

    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn begin(&self, _acts: &Vec<Act>) -> Far {
        Far::default()
    }

    fn next(&self, acts: &Vec<Act>, far: &Far) -> Next {
        if far.steps < acts.len() { Next::Step(STEP) } else { Next::End }
    }

    async fn act(&self, _step: LoopStep, turn: Turn<'_, Self>) -> Result<Came<Far>, StepError> {
        let mut far = Far { steps: turn.state.steps + 1, ..turn.state.clone() };
        // What it waited for is taken by the act after the wait.
        if let Some(Act::Listen(name)) = turn.state.steps.checked_sub(1).map(|before| &turn.input[before]) {
            far.told.extend(turn.inbox.take(name).into_iter().map(|signal| signal.key.key));
        }
        Ok(match &turn.input[turn.state.steps] {
            Act::Go => Came::Further(far),
            Act::Sleep(millis) => Came::Waits(far, Wait { time: Some(Duration::from_millis(*millis)), signal: None }),
            Act::Listen(name) => Came::Waits(far, Wait { time: None, signal: Some(name.clone()) }),
            Act::Panic => panic!("told to panic"),
            Act::Hang => {
                self.0.hangs.notify_one();
                std::future::pending().await
            }
        })
    }

    async fn recover(&self, _step: LoopStep, turn: Turn<'_, Self>) -> Result<Recovery<Far>, StepError> {
        let far = Far { repeated: turn.state.repeated + 1, ..turn.state.clone() };
        // What hung is known to be worth nothing.
        Ok(match &turn.input[turn.state.steps] {
            Act::Hang => Recovery::Happened(Came::Further(Far { steps: far.steps + 1, ..far })),
            _ => Recovery::Repeat(far),
        })
    }

    async fn close(&self, end: End<'_>, turn: Turn<'_, Self>) -> Result<Done, StepError> {
        let how = match end {
            End::Succeeded => "succeeded".to_owned(),
            End::Failed(Failure { code, .. }) => code.to_string(),
            End::Cancelled => "cancelled".to_owned(),
        };
        self.0.closed.lock().unwrap().push(how);
        Ok(Done { effect: Effect::None, result: Some(serde_json::to_value(turn.state)?) })
    }
}

/// Seconds since 1970, set by hand.
#[derive(Debug)]
pub(crate) struct Hands(pub(crate) AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Ids for Counter {
    fn uuid(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }
}

/// What several servers share.
pub(crate) struct Site {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<Hands>,
    pub(crate) scripted: Arc<Scripted>,
    pub(crate) settings: WorkSettings,
    ids: Arc<Counter>,
    _database: Fresh,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let database = Fresh::new().await;
        let settings = WorkSettings {
            worker: "worker".to_owned(),
            pause: Duration::from_millis(1),
            idle: Duration::from_millis(5),
            ..WorkSettings::default()
        };
        Self {
            store: Arc::new(Store::open(database.location()).await.unwrap()),
            clock: Arc::new(Hands(AtomicI64::new(1_000_000))),
            scripted: Arc::default(),
            settings,
            ids: Arc::default(),
            _database: database,
        }
    }

    /// A server that accepts, and carries out nothing.
    pub(crate) fn front(&self) -> Arc<Operations> {
        let (clock, ids) = (Arc::clone(&self.clock) as Arc<dyn Clock>, Arc::clone(&self.ids) as Arc<dyn Ids>);
        Arc::new(Operations::new(Arc::clone(&self.store), clock, ids, self.settings.clone(), [&KIND]))
    }

    /// A server that works until this is dropped.
    pub(crate) fn server(&self) -> Server {
        self.server_with(Registry::default())
    }

    pub(crate) fn server_with(&self, registry: Registry) -> Server {
        let operations = self.front();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let registry = registry.looping(Carried(Arc::clone(&self.scripted)));
        let server = TaskTracker::new();
        server.spawn(Arc::clone(&operations).work(registry, stop.clone(), tasks.clone()));
        Server { operations, server, tasks, stop: stop.drop_guard() }
    }

    pub(crate) async fn begin(
        &self,
        front: &Operations,
        number: u32,
        acts: &[Act],
    ) -> Result<OperationId, RequestError> {
        let (subject, acts) = (Subject::of("script", number), serde_json::to_value(acts).unwrap());
        front.begin(ORG, &subject, &KIND, acts, "tester", None).await.map(|operation| operation.id)
    }

    pub(crate) async fn operation(&self, id: OperationId) -> Operation {
        self.store.operation(&Scope::platform(), id).await.unwrap().unwrap()
    }

    /// Waits until the operation is in this state.
    pub(crate) async fn reaches(&self, id: OperationId, state: OperationState) -> Operation {
        let asked = std::time::Instant::now();
        loop {
            let found = self.operation(id).await;
            if found.state == state {
                return found;
            }
            assert!(asked.elapsed() < PATIENCE && !found.state.is_final(), "never {state:?}: {found:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A server that works.
pub(crate) struct Server {
    pub(crate) operations: Arc<Operations>,
    server: TaskTracker,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Server {
    /// Stops it as an operator does: what is under way is handed over.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        for tasks in [&self.server, &self.tasks] {
            tasks.close();
        }
        self.server.wait().await;
        self.tasks.wait().await;
    }
}
