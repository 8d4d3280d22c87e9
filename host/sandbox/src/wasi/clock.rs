//! Clocks that say the same whenever and wherever a call runs.
//!
//! The wall clock stands still. The monotonic clock moves on by [`READING`] each time it is read, so that a guest which
//! waits in a loop comes to an end, and jumps to the time a guest sleeps until: nothing sleeps for real.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use jiff::Timestamp;
use wasmtime::component::Resource;
use wasmtime_wasi::HostWallClock;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::call::CallState;

/// Nanoseconds that pass between two readings.
const READING: u64 = 10_000;
/// Nanoseconds at the start of a call. Go takes 0 for a broken clock and ends.
const START: u64 = 1_000_000_000;
/// How often a guest may wait: waiting costs the host more than the guest.
const MAX_TIMERS: u64 = 10_000;

/// A wall clock that stands still.
pub(super) struct FixedWallClock {
    /// Since the start of 1970.
    now: Duration,
}

impl FixedWallClock {
    pub(super) fn new(at: Timestamp) -> Self {
        // Before 1970 there are no calls.
        Self { now: Duration::try_from(at.as_duration()).unwrap_or_default() }
    }
}

impl HostWallClock for FixedWallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.now
    }
}

/// The monotonic clock of one call, shared with the timers the guest has set.
#[derive(Clone)]
pub(super) struct Clock(Arc<Mutex<Time>>);

struct Time {
    now: u64,
    /// What the guest waits for at this moment: the time, and which timer.
    awaited: BTreeSet<(u64, u64)>,
    timers: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Time { now: START, awaited: BTreeSet::new(), timers: 0 })))
    }
}

impl Clock {
    fn time(&self) -> MutexGuard<'_, Time> {
        // Nothing is behind the lock that a panic could have left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> u64 {
        let mut time = self.time();
        time.now = time.now.saturating_add(READING);
        time.now
    }

    fn timer(&self, due: u64) -> wasmtime::Result<Timer> {
        let mut time = self.time();
        if time.timers == MAX_TIMERS {
            return Err(wasmtime::format_err!("it waits for the clock more than {MAX_TIMERS} times"));
        }
        time.timers += 1;
        Ok(Timer { clock: self.clone(), due, number: time.timers })
    }
}

/// Becomes ready at a time of the clock.
struct Timer {
    clock: Clock,
    due: u64,
    number: u64,
}

#[async_trait::async_trait]
impl Pollable for Timer {
    /// All that a guest waits for is asked in one go, so at the second question every timer is known: the clock jumps to the
    /// earliest. What is ready without waiting has answered at the first.
    async fn ready(&mut self) {
        let awaited = Awaited { timer: self };
        poll_fn(|context| {
            let (clock, key) = (&awaited.timer.clock, (awaited.timer.due, awaited.timer.number));
            let mut time = clock.time();
            let is_first = time.awaited.first() == Some(&key);
            if is_first {
                time.now = time.now.max(key.0);
            }
            if time.now >= key.0 {
                return Poll::Ready(());
            }
            time.awaited.insert(key);
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Takes a timer from those that are awaited when the guest no longer waits.
struct Awaited<'a> {
    timer: &'a Timer,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.timer.clock.time().awaited.remove(&(self.timer.due, self.timer.number));
    }
}

impl monotonic_clock::Host for CallState {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        Ok(self.wasi().clock.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(READING)
    }

    fn subscribe_instant(&mut self, when: monotonic_clock::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let wasi = self.wasi();
        let timer = wasi.table.push(wasi.clock.timer(when)?)?;
        subscribe(&mut wasi.table, timer)
    }

    fn subscribe_duration(&mut self, when: monotonic_clock::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let due = self.wasi().clock.time().now.saturating_add(when);
        self.subscribe_instant(due)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn every_reading_is_later_by_the_same() {
        let clock = Clock::default();
        assert_eq!([clock.read(), clock.read()], [START + READING, START + 2 * READING]);
    }

    #[test]
    fn waiting_for_two_timers_jumps_to_the_earlier() {
        let clock = Clock::default();
        let (mut late, mut early) = (clock.timer(START + 2_000).unwrap(), clock.timer(START + 1_000).unwrap());
        let mut context = Context::from_waker(Waker::noop());
        let (mut late, mut early) = (pin!(late.ready()), pin!(early.ready()));
        assert!(late.as_mut().poll(&mut context).is_pending());
        assert!(early.as_mut().poll(&mut context).is_pending());
        assert!(late.as_mut().poll(&mut context).is_pending());
        assert!(early.as_mut().poll(&mut context).is_ready());
        assert_eq!(clock.time().now, START + 1_000);
    }

    #[test]
    fn a_timer_that_is_no_longer_awaited_holds_up_nobody() {
        let clock = Clock::default();
        let (mut given_up, mut next) = (clock.timer(START + 1).unwrap(), clock.timer(START + 1_000).unwrap());
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(given_up.ready()).poll(&mut context).is_pending());
        let mut next = pin!(next.ready());
        assert!(next.as_mut().poll(&mut context).is_pending());
        assert!(next.as_mut().poll(&mut context).is_ready());
    }
}
