//! One call in a store of its own: what it holds, its limits, and how it ended.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Engine, Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::{CallReport, Question, Reported};
use crate::config::CallLimits;
use crate::error::CallError;
use crate::guest_log::{GuestLog, LogLevel};
use crate::limiter::{MemoryExhausted, MemoryLimiter};
use crate::pace::Pace;
use crate::wasi::{Given, PrintedTooMuch, Wasi};

/// Ticks after which a call may be long: at least one whole tick.
const FIRST_SLICE_TICKS: u64 = 2;
/// Processor time after which it is.
const SLICE: Duration = Duration::from_millis(5);
/// Resources a guest may hold. The contract has none; those of WASI are bounded by their table besides.
const MAX_HANDLES: usize = 1000;
/// Functions shown with a trap.
const MAX_FRAMES: usize = 5;

/// What a store holds for its guest.
pub(crate) struct CallState {
    log: GuestLog,
    limits: CallLimits,
    given: Given,
    /// Made when the guest first asks for anything of WASI.
    wasi: Option<Box<Wasi>>,
    limiter: MemoryLimiter,
    lane: Lane,
    /// Of its component; none while that is loaded.
    pace: Option<Arc<Pace>>,
}

impl CallState {
    /// What the guest has of WASI.
    pub(crate) fn wasi(&mut self) -> &mut Wasi {
        self.wasi.get_or_insert_with(|| Box::new(Wasi::new(&self.given, &self.limits)))
    }

    /// Adds a line to the log, after what the guest has printed until now.
    pub(crate) fn write_log(&mut self, level: LogLevel, message: &str) {
        self.print();
        self.log.write(level, message);
    }

    /// Moves what the guest has printed to the log.
    fn print(&mut self) {
        if let Some(wasi) = &self.wasi {
            wasi.print(&mut self.log);
        }
    }

    /// What the guest said last about a fault.
    fn last_words(&self) -> Option<String> {
        let logged = self.log.last_error().map(str::to_owned);
        logged.or_else(|| self.wasi.as_ref().and_then(|wasi| wasi.last_words()))
    }
}

/// Where a call runs. A call in a lane holds an instance, and there are as many of these as places in both.
pub(super) enum Lane {
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
    /// On a thread of its own. Inside, its place, and that among those of components that failed recently.
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
pub(super) fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// Marks the error with which a guest is stopped that is long while the long lane is full.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the call is long, and too many others are")]
struct Displaced;

/// Asks in a fresh store; nothing where it was displaced. The deadline is armed here, after the queue.
pub(super) async fn run<Q: Question>(
    engine: &Engine,
    limits: CallLimits,
    (arrived, given): (Instant, Given),
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
        limits,
        given,
        wasi: None,
        limiter: MemoryLimiter::new(limits.memory_bytes),
        lane,
        pace,
    };
    let mut store = match open(engine, &limits, fuel, output, started, state) {
        Ok(store) => store,
        Err(error) => return Some(Reported { result: Err(CallError::Host(format!("{error:#}"))), report: None }),
    };
    let result = unless_stalled(question.ask(&mut store)).await;
    let fuel_used = fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    // The instance is gone after this. The state holds its place until it goes itself.
    let mut state = store.into_data();
    if matches!(&result, Err(error) if error.is::<Displaced>()) {
        return None;
    }
    let result = result.map_err(|error| explain(&error, &limits, fuel, &state));
    state.print();
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
        network_attempts: state.wasi.as_ref().map_or(0, |wasi| wasi.network_attempts()),
        log: state.log,
    };
    Some(Reported { result, report: Some(report) })
}

/// Goes on with a call while it can. A guest is not ready because a tick has passed, or a timer is about to jump, and
/// wakes itself in both cases; nothing outside a call ever wakes it.
async fn unless_stalled<T>(call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    #[derive(Default)]
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let woken = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&woken));
    let mut call = pin!(call);
    poll_fn(|context| match call.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(answer) => Poll::Ready(answer),
        Poll::Pending if woken.0.swap(false, Ordering::Relaxed) => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(Err(Stalled.into())),
    })
    .await
}

/// Marks the error with which a guest is stopped that waits for something that never comes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("it waits for something that never comes")]
struct Stalled;

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
fn explain(error: &wasmtime::Error, limits: &CallLimits, fuel: u64, state: &CallState) -> CallError {
    if error.is::<DeadlinePassed>() {
        return CallError::DeadlineExceeded(limits.deadline);
    }
    if error.is::<MemoryExhausted>() {
        return CallError::OutOfMemory(limits.memory_bytes);
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return CallError::Host(format!("the pool of instances is used up: {error:#}"));
    }
    if error.is::<PrintedTooMuch>() {
        return CallError::OutputTooLarge(limits.output_bytes);
    }
    if error.is::<Stalled>() {
        return CallError::Stalled;
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return CallError::Exited { code: *code, said: state.last_words() };
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
    CallError::Trap { message, panic: state.last_words() }
}
