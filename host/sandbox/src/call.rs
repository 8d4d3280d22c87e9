//! One call of a guest: a fresh store, its limits, and where it runs.
//!
//! A typical call takes some ten microseconds, less than waking another thread would. So a call starts on the task
//! that asks for it, in the short lane. When it is still running after a tick or two of the clock it is long, and must
//! not keep others waiting: it gives its place in the short lane to the next call and goes on in the long lane, on a
//! thread of its own that yields to all others. Where the long lane is full it is stopped, and begins again when there
//! is room: a guest remembers nothing and changes nothing, so nobody can tell. Hostile calls are long, and meet only
//! each other there; once a component failed recently, its long calls and those of others like it take one place of the lane.
//!
//! A component whose call turned out long, or was ended by one of its limits, begins its next ones in the long lane, until
//! it was quick there a number of times without being slow or faulty again ([`Pace`]). So a guest that loops takes a slice
//! from the others once and not with every call, and one that is slow by nature is not begun twice each time.
//!
//! A guest that waits for something that never comes is stopped where it waits: nothing outside a call could wake it.
//!
//! A call that moved is not interrupted, also when its caller goes away: it ends by itself, within its deadline.

mod store;

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Engine, Store};

pub(crate) use self::store::CallState;
use self::store::{Lane, processor_time, run};

use crate::config::CallLimits;
use crate::engine::Ticker;
use crate::error::CallError;
use crate::guest_log::GuestLog;
use crate::pace::{Pace, Urgency};
use crate::thread::{ended_early, move_away, moved};
use crate::wasi::{Given, LOAD_TIME};

/// What a call took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallReport {
    /// Time in the queue.
    pub queued: Duration,
    /// From leaving the queue to the answer, instantiation included.
    pub duration: Duration,
    /// Instructions, roughly.
    pub fuel_used: u64,
    /// Bytes of linear memory at the end, which is the most there ever was.
    pub memory_bytes: usize,
    /// What the guest wrote. It is in the operator's log already.
    pub log: GuestLog,
    /// How often the guest tried to reach the network, which it has not.
    pub network_attempts: u32,
}

/// An answer with what it took. There is no report for a call that never left the queue.
#[derive(Debug)]
pub struct Reported<T> {
    /// The answer.
    pub result: Result<T, CallError>,
    /// What it took.
    pub report: Option<CallReport>,
}

impl<T> Reported<T> {
    /// Goes on with the answer.
    pub(crate) fn and_then<U>(self, f: impl FnOnce(T) -> Result<U, CallError>) -> Reported<U> {
        Reported { result: self.result.and_then(f), report: self.report }
    }
}

/// What to ask a guest: one implementation for each exported function.
pub(crate) trait Question: Send + Sync + 'static {
    /// What comes back across the border.
    type Answer: Send + 'static;
    /// The exported function, for messages.
    const FUNCTION: &'static str;
    /// How many times the bytes a call may hand over its answer may take in the host. More than 1 where what comes
    /// back is larger here than a typed answer.
    const HOST_COST: usize = 1;
    /// The exported function, where the type does not tell.
    fn function(&self) -> &'static str {
        Self::FUNCTION
    }
    /// About how many bytes go in; they buy fuel.
    fn input_bytes(&self) -> usize {
        0
    }
    /// What the guest's wall clock shows.
    fn at(&self) -> Timestamp {
        LOAD_TIME
    }
    /// Writes what goes in, from which the guest's random numbers follow.
    fn hash_input(&self, _sha: &mut Sha256) {}
    /// Instantiates the guest in the store and calls it. Asked again, in another store, if there was no room to end.
    fn ask(&self, store: &mut Store<CallState>) -> impl Future<Output = wasmtime::Result<Self::Answer>> + Send;
}

/// Who is asked.
pub(crate) struct Callee<'a> {
    /// For the log: its id, or its digest while that is unknown.
    pub(crate) name: &'a str,
    /// Of its bytes.
    pub(crate) digest: &'a str,
    /// Whether it imports WASI.
    pub(crate) uses_wasi: bool,
}

impl Callee<'_> {
    /// What the guest may observe. Its input is not hashed for a guest that cannot see the difference.
    fn given<Q: Question>(&self, question: &Q) -> Given {
        Given::new(self.digest.as_bytes(), question.function(), question.at(), |sha| {
            if self.uses_wasi {
                question.hash_input(sha);
            }
        })
    }
}

/// What all calls of a sandbox share.
pub(crate) struct Calls {
    engine: Engine,
    limits: CallLimits,
    short: Arc<Semaphore>,
    /// Half as many places, for calls of unknown components: at their low priority they keep a place for longer, and must leave some.
    unknown: Arc<Semaphore>,
    long: Arc<Semaphore>,
    /// One place for the long calls of all components that failed recently.
    failing: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    /// Held during a call made while loading: the pool has one slot for these.
    loading: std::sync::Mutex<()>,
    /// Goes on while anything may be called, and while anything runs.
    clock: Arc<Ticker>,
}

impl Calls {
    pub(crate) fn new(
        engine: Engine,
        limits: CallLimits,
        max_concurrent: usize,
        max_long: usize,
        max_waiting: usize,
        clock: Ticker,
    ) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            engine,
            limits,
            short: places(max_concurrent),
            unknown: places(max_concurrent / 2),
            long: places(max_long),
            failing: places(1),
            waiting: AtomicUsize::new(0),
            max_waiting,
            loading: std::sync::Mutex::new(()),
            clock: Arc::new(clock),
        }
    }

    /// Asks from a task of the server.
    pub(crate) async fn ask<Q: Question>(
        &self,
        callee: Callee<'_>,
        pace: &Arc<Pace>,
        question: Q,
    ) -> Reported<Q::Answer> {
        let function = question.function();
        let given = callee.given(&question);
        let reported = self.ask_in_lanes(Instant::now(), given, pace, question).await;
        let reported = reported.unwrap_or_else(|error| Reported { result: Err(error), report: None });
        if let Some(report) = &reported.report {
            report.log.emit(callee.name, function);
        }
        reported
    }

    async fn ask_in_lanes<Q: Question>(
        &self,
        arrived: Instant,
        given: Given,
        pace: &Arc<Pace>,
        question: Q,
    ) -> Result<Reported<Q::Answer>, CallError> {
        if pace.is_slow() {
            return Box::pin(self.ask_in_long_lane(arrived, given, pace, question)).await;
        }
        let turn = if pace.is_unknown() { Some(self.enter(&self.unknown).await?) } else { None };
        let is_unknown = turn.is_some();
        let places = (self.enter(&self.short).await?, turn);
        // Another call has shown it to be slow while this one waited.
        if pace.is_slow() {
            drop(places);
            return Box::pin(self.ask_in_long_lane(arrived, given, pace, question)).await;
        }
        // A thread that has just begun has used nothing yet.
        let began = if is_unknown { Duration::ZERO } else { processor_time() };
        let lane = Lane::Short { places, long: Arc::clone(&self.long), began };
        let mut call = Box::pin(self.run((arrived, given), question, lane, Some(pace)));
        let ended = if is_unknown {
            moved(Urgency::Low, call).await?
        } else {
            // No await lies between the poll and the move, so a caller that is dropped never drops a call half way.
            match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
                Poll::Ready(ended) => ended,
                Poll::Pending => moved(pace.urgency(), call).await?,
            }
        };
        match ended {
            Ended::Answered(reported) => Ok(reported),
            Ended::Displaced(question) => Box::pin(self.ask_in_long_lane(arrived, given, pace, question)).await,
        }
    }

    async fn ask_in_long_lane<Q: Question>(
        &self,
        arrived: Instant,
        given: Given,
        pace: &Arc<Pace>,
        question: Q,
    ) -> Result<Reported<Q::Answer>, CallError> {
        let mut turn = None;
        loop {
            // Those that failed recently wait for each other first, so that they never fill the long lane.
            if turn.is_none() && pace.urgency() == Urgency::None {
                turn = Some(self.enter(&self.failing).await?);
            }
            let place = self.enter(&self.long).await?;
            let urgency = match (&turn, pace.urgency()) {
                (Some(_), _) => Urgency::None,
                (None, Urgency::Low) => Urgency::Low,
                // Another call has failed while this one waited.
                (None, Urgency::None) => continue,
            };
            let call = Box::pin(self.run((arrived, given), question, Lane::Long(place, turn), Some(pace)));
            return match moved(urgency, call).await? {
                Ended::Answered(reported) => Ok(reported),
                Ended::Displaced(_) => Err(ended_early()),
            };
        }
    }

    /// Asks from a thread that may wait, one at a time: for what is asked once, at load.
    pub(crate) fn ask_blocking<Q: Question>(&self, callee: &Callee<'_>, question: Q) -> Result<Q::Answer, CallError> {
        let (arrived, given) = (Instant::now(), callee.given(&question));
        // Nothing is behind the lock that a panic could have left half done.
        let _turn = self.loading.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut call = Box::pin(self.run((arrived, given), question, Lane::Loading, None));
        let ended = match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => ended,
            Poll::Pending => {
                let (send, receive) = mpsc::sync_channel(1);
                move_away(Urgency::Low, call, move |ended| drop(send.send(ended)))?;
                receive.recv().map_err(|_| ended_early())?
            }
        };
        let Ended::Answered(reported) = ended else {
            return Err(CallError::Host("there was no room for it".to_owned()));
        };
        if let Some(report) = &reported.report {
            report.log.emit(callee.name, Q::FUNCTION);
        }
        reported.result
    }

    /// The call itself. It owns what it needs, the clock included: without one it would never end.
    fn run<Q: Question>(
        &self,
        (arrived, given): (Instant, Given),
        question: Q,
        lane: Lane,
        pace: Option<&Arc<Pace>>,
    ) -> impl Future<Output = Ended<Q>> + Send + use<Q> {
        let (engine, limits, clock) = (self.engine.clone(), self.limits, Arc::clone(&self.clock));
        let pace = pace.map(Arc::clone);
        async move {
            let reported = run(&engine, limits, (arrived, given), &question, lane, pace).await;
            drop(clock);
            match reported {
                Some(reported) => Ended::Answered(reported),
                None => Ended::Displaced(question),
            }
        }
    }

    /// Waits for a place in a lane, unless too many wait already.
    async fn enter(&self, lane: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, CallError> {
        if let Ok(place) = Arc::clone(lane).try_acquire_owned() {
            return Ok(place);
        }
        let waiting = Waiting::begin(&self.waiting);
        if waiting.before >= self.max_waiting {
            return Err(CallError::Overloaded(waiting.before));
        }
        let closed = |_| CallError::Host("the sandbox is closing".to_owned());
        Arc::clone(lane).acquire_owned().await.map_err(closed)
    }
}

/// How a call ended.
enum Ended<Q: Question> {
    /// With an answer, or a reason for none.
    Answered(Reported<Q::Answer>),
    /// It is long, and there was no room for it. It left nothing behind.
    Displaced(Q),
}

/// Counts one who waits, also when it stops waiting.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
