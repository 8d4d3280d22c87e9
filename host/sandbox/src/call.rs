//! One call of a guest: a fresh store, its limits, and where it runs.
//!
//! A typical call takes some ten microseconds, less than waking another thread would. So a call starts on the task
//! that asks for it, in the short lane. When it is still running after a tick or two of the clock it is long, and must
//! not keep others waiting: it gives its place in the short lane to the next call and goes on in the long lane, on a
//! thread of its own that yields to all others. Where the long lane is full it is stopped, and begins again when there
//! is room: a guest remembers nothing and changes nothing, so nobody can tell. Hostile calls are long, and meet only
//! each other there; once a component was at fault, its long calls and those of others like it take one place of the lane.
//!
//! A component whose call turned out long, or was ended by one of its limits, begins its next ones in the long lane, until
//! it was quick there a number of times without being slow or faulty again ([`Pace`]). So a guest that loops takes a slice
//! from the others once and not with every call, and one that is slow by nature is not begun twice each time.
//!
//! A call that moved is not interrupted, also when its caller goes away: it ends by itself, within its deadline.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Engine, Store, Trap, UpdateDeadline, WasmBacktrace};

use crate::config::CallLimits;
use crate::engine::Ticker;
use crate::error::CallError;
use crate::guest_log::GuestLog;
use crate::limiter::{MemoryExhausted, MemoryLimiter};
use crate::pace::{Pace, Urgency};
use crate::thread::{ended_early, move_away, moved};

/// Ticks after which a call may be long: at least one whole tick.
const FIRST_SLICE_TICKS: u64 = 2;
/// Processor time after which it is.
const SLICE: Duration = Duration::from_millis(5);
/// Resources a guest may hold. The contract has none; its types may grow some.
const MAX_HANDLES: usize = 1000;
/// Functions shown with a trap.
const MAX_FRAMES: usize = 5;

/// What a store holds for its guest.
pub(crate) struct CallState {
    pub(crate) log: GuestLog,
    limiter: MemoryLimiter,
    lane: Lane,
    /// Of its component; none while that is loaded.
    pace: Option<Arc<Pace>>,
}

/// Where a call runs. A call in a lane holds an instance, and there are as many of these as places in both.
enum Lane {
    /// On the task that asked, or on a thread of its own.
    Short {
        /// Its place, and that among unknown components.
        #[expect(dead_code, reason = "held until the instance is gone, or the call goes on in the long lane")]
        places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
        /// Where it goes on when it is long.
        long: Arc<Semaphore>,
        /// Processor time of this thread when it began.
        began: Duration,
    },
    /// On a thread of its own. Inside, its place, and that among those of components that were at fault.
    #[expect(dead_code, reason = "held until the instance is gone")]
    Long(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
    /// While a component is loaded.
    Loading,
}

impl Lane {
    /// Another tick has passed: goes on in the long lane, or not at all. A call that has hardly run, because others had
    /// the processor, is not long, and goes on where it is.
    fn go_on(&mut self, pace: Option<&Pace>) -> Result<UpdateDeadline, Displaced> {
        if let Self::Short { long, began, .. } = self {
            if processor_time().saturating_sub(*began) < SLICE {
                return Ok(UpdateDeadline::Continue(1));
            }
            pace.inspect(|pace| pace.was_slow());
            let place = Arc::clone(long).try_acquire_owned().map_err(|_| Displaced)?;
            *self = Self::Long(place, None);
        }
        Ok(UpdateDeadline::Yield(1))
    }
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// Marks the error with which a guest is stopped that is long while the long lane is full.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the call is long, and too many others are")]
struct Displaced;

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
    /// Instantiates the guest in the store and calls it. Asked again, in another store, if there was no room to end.
    fn ask(&self, store: &mut Store<CallState>) -> impl Future<Output = wasmtime::Result<Self::Answer>> + Send;
}

/// What all calls of a sandbox share.
pub(crate) struct Calls {
    engine: Engine,
    limits: CallLimits,
    short: Arc<Semaphore>,
    /// Half as many places, for calls of unknown components: at their low priority they keep a place for longer, and must leave some.
    unknown: Arc<Semaphore>,
    long: Arc<Semaphore>,
    /// One place for the long calls of all components that were at fault.
    blamed: Arc<Semaphore>,
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
            blamed: places(1),
            waiting: AtomicUsize::new(0),
            max_waiting,
            loading: std::sync::Mutex::new(()),
            clock: Arc::new(clock),
        }
    }

    /// Asks from a task of the server.
    pub(crate) async fn ask<Q: Question>(&self, plugin: &str, pace: &Arc<Pace>, question: Q) -> Reported<Q::Answer> {
        let function = question.function();
        let reported = self.ask_in_lanes(Instant::now(), pace, question).await;
        let reported = reported.unwrap_or_else(|error| Reported { result: Err(error), report: None });
        if let Some(report) = &reported.report {
            report.log.emit(plugin, function);
        }
        reported
    }

    async fn ask_in_lanes<Q: Question>(
        &self,
        arrived: Instant,
        pace: &Arc<Pace>,
        question: Q,
    ) -> Result<Reported<Q::Answer>, CallError> {
        if pace.is_slow() {
            return Box::pin(self.ask_in_long_lane(arrived, pace, question)).await;
        }
        let turn = if pace.is_unknown() { Some(self.enter(&self.unknown).await?) } else { None };
        let is_unknown = turn.is_some();
        let places = (self.enter(&self.short).await?, turn);
        // Another call has shown it to be slow while this one waited.
        if pace.is_slow() {
            drop(places);
            return Box::pin(self.ask_in_long_lane(arrived, pace, question)).await;
        }
        // A thread that has just begun has used nothing yet.
        let began = if is_unknown { Duration::ZERO } else { processor_time() };
        let lane = Lane::Short { places, long: Arc::clone(&self.long), began };
        let mut call = Box::pin(self.run(arrived, question, lane, Some(pace)));
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
            Ended::Displaced(question) => Box::pin(self.ask_in_long_lane(arrived, pace, question)).await,
        }
    }

    async fn ask_in_long_lane<Q: Question>(
        &self,
        arrived: Instant,
        pace: &Arc<Pace>,
        question: Q,
    ) -> Result<Reported<Q::Answer>, CallError> {
        let mut turn = None;
        loop {
            // Those that were at fault wait for each other first, so that they never fill the long lane.
            if turn.is_none() && pace.urgency() == Urgency::None {
                turn = Some(self.enter(&self.blamed).await?);
            }
            let place = self.enter(&self.long).await?;
            let urgency = match (&turn, pace.urgency()) {
                (Some(_), _) => Urgency::None,
                (None, Urgency::Low) => Urgency::Low,
                // Another call has put its component at fault while this one waited.
                (None, Urgency::None) => continue,
            };
            let call = Box::pin(self.run(arrived, question, Lane::Long(place, turn), Some(pace)));
            return match moved(urgency, call).await? {
                Ended::Answered(reported) => Ok(reported),
                Ended::Displaced(_) => Err(ended_early()),
            };
        }
    }

    /// Asks from a thread that may wait, one at a time: for what is asked once, at load.
    pub(crate) fn ask_blocking<Q: Question>(&self, plugin: &str, question: Q) -> Result<Q::Answer, CallError> {
        let arrived = Instant::now();
        // Nothing is behind the lock that a panic could have left half done.
        let _turn = self.loading.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut call = Box::pin(self.run(arrived, question, Lane::Loading, None));
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
            report.log.emit(plugin, Q::FUNCTION);
        }
        reported.result
    }

    /// The call itself. It owns what it needs, the clock included: without one it would never end.
    fn run<Q: Question>(
        &self,
        arrived: Instant,
        question: Q,
        lane: Lane,
        pace: Option<&Arc<Pace>>,
    ) -> impl Future<Output = Ended<Q>> + Send + use<Q> {
        let (engine, limits, clock) = (self.engine.clone(), self.limits, Arc::clone(&self.clock));
        let pace = pace.map(Arc::clone);
        async move {
            let reported = run(&engine, limits, arrived, &question, lane, pace).await;
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

/// Asks in a fresh store; nothing where it was displaced. The deadline is armed here, after the queue.
async fn run<Q: Question>(
    engine: &Engine,
    limits: CallLimits,
    arrived: Instant,
    question: &Q,
    lane: Lane,
    pace: Option<Arc<Pace>>,
) -> Option<Reported<Q::Answer>> {
    let started = Instant::now();
    let input = u64::try_from(question.input_bytes()).unwrap_or(u64::MAX);
    let fuel = limits.fuel.saturating_add(input.saturating_mul(limits.fuel_per_input_byte));
    let output = limits.output_bytes.saturating_mul(Q::HOST_COST);
    let state = CallState {
        log: GuestLog::new(limits.log_lines, limits.log_line_bytes),
        limiter: MemoryLimiter::new(limits.memory_bytes),
        lane,
        pace,
    };
    let mut store = match open(engine, &limits, fuel, output, started, state) {
        Ok(store) => store,
        Err(error) => return Some(Reported { result: Err(CallError::Host(format!("{error:#}"))), report: None }),
    };
    let result = question.ask(&mut store).await;
    let fuel_used = fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    // The instance is gone after this. The state holds its place until it goes itself.
    let state = store.into_data();
    if matches!(&result, Err(error) if error.is::<Displaced>()) {
        return None;
    }
    let result = result.map_err(|error| explain(&error, &limits, fuel, &state.log));
    let duration = started.elapsed();
    // Before its place is free: the call that takes it asks about its component.
    if let Some(pace) = &state.pace {
        pace.count(result.as_ref().err(), duration);
    }
    let report = CallReport {
        queued: started.duration_since(arrived),
        duration,
        fuel_used,
        memory_bytes: state.limiter.used(),
        log: state.log,
    };
    Some(Reported { result, report: Some(report) })
}

/// A store with every limit armed.
fn open(
    engine: &Engine,
    limits: &CallLimits,
    fuel: u64,
    output_bytes: usize,
    started: Instant,
    state: CallState,
) -> wasmtime::Result<Store<CallState>> {
    let mut store = Store::try_new(engine, state)?;
    store.limiter(|state| &mut state.limiter);
    store.set_fuel(fuel)?;
    store.set_hostcall_fuel(output_bytes);
    store.set_max_component_handles(MAX_HANDLES);
    let deadline = limits.deadline;
    store.epoch_deadline_callback(move |mut context| {
        if started.elapsed() >= deadline {
            return Err(DeadlinePassed.into());
        }
        let state = context.data_mut();
        Ok(state.lane.go_on(state.pace.as_deref())?)
    });
    store.set_epoch_deadline(FIRST_SLICE_TICKS);
    Ok(store)
}

/// Marks the error with which a guest is stopped that takes too long.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the deadline of the call has passed")]
struct DeadlinePassed;

/// Says what ended a call.
fn explain(error: &wasmtime::Error, limits: &CallLimits, fuel: u64, log: &GuestLog) -> CallError {
    if error.is::<DeadlinePassed>() {
        return CallError::DeadlineExceeded(limits.deadline);
    }
    if error.is::<MemoryExhausted>() {
        return CallError::OutOfMemory(limits.memory_bytes);
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return CallError::Host(format!("the pool of instances is used up: {error:#}"));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return CallError::OutOfFuel(fuel),
        Some(Trap::Interrupt) => return CallError::DeadlineExceeded(limits.deadline),
        _ => {}
    }
    let root = error.root_cause().to_string();
    // The engine's type for this is private; a test holds on to the text.
    if root.contains("fuel allocated for hostcalls") {
        return CallError::OutputTooLarge(limits.output_bytes);
    }
    let mut message = root;
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let names: Vec<&str> =
            backtrace.frames().iter().filter_map(|frame| frame.func_name()).take(MAX_FRAMES).collect();
        if !names.is_empty() {
            message.push_str(" in ");
            message.push_str(&names.join(", called by "));
        }
    }
    CallError::Trap { message, panic: log.last_error().map(str::to_owned) }
}
