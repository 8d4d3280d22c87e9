//! Keeps a plugin that breaks again and again from being asked for a while.
//!
//! Three faults in a row open the breaker: calls are refused at once, those that still wait for an answer included, and no
//! caller waits for a deadline. What runs already goes on to its end, which nobody hears of.
//! After a pause one call is let through as a trial. If it succeeds the breaker closes; if not, the pause doubles.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

/// Faults in a row that open it.
const FAULTS: u32 = 3;
/// The first pause, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The breaker of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
    opened: Notify,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Calls go through; so many in a row ended in a fault.
    Closed { faults: u32 },
    /// Calls are refused until then.
    Open { until: Instant, pause: Duration },
    /// One call was let through, and its outcome decides. Another one is let through at `patience`: the first may
    /// have been given up by its caller.
    Trial { patience: Instant, pause: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { faults: 0 }
    }
}

/// How a call ended, as far as the breaker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered, a foreseen refusal included.
    Sound,
    /// It broke.
    Fault,
    /// It was not the plugin that failed.
    Unrelated,
}

/// The state of a breaker, human-readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls are refused for so long.
    Open(Duration),
    /// A call is let through as a trial.
    HalfOpen,
}

impl Breaker {
    /// Lets a call through.
    ///
    /// # Errors
    /// It is open: for how long.
    pub(crate) fn enter(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } | State::Trial { patience: until, .. } if now < until => Err(until - now),
            State::Open { pause, .. } | State::Trial { pause, .. } => {
                *state = State::Trial { patience: now + pause.max(FIRST_PAUSE), pause };
                Ok(())
            }
        }
    }

    /// Records how a call ended that was let through. Answers for how long this opened the breaker, if it did.
    pub(crate) fn record(&self, outcome: Outcome, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, opened) = match (*state, outcome) {
            (unchanged, Outcome::Unrelated) => (unchanged, None),
            (State::Closed { .. } | State::Trial { .. }, Outcome::Sound) => (State::default(), None),
            // A call that began before it opened says nothing new.
            (open @ State::Open { .. }, Outcome::Sound | Outcome::Fault) => (open, None),
            (State::Closed { faults }, Outcome::Fault) if faults + 1 < FAULTS => {
                (State::Closed { faults: faults + 1 }, None)
            }
            (State::Closed { .. }, Outcome::Fault) => {
                (State::Open { until: now + FIRST_PAUSE, pause: FIRST_PAUSE }, Some(FIRST_PAUSE))
            }
            (State::Trial { pause, .. }, Outcome::Fault) => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                (State::Open { until: now + pause, pause }, Some(pause))
            }
        };
        *state = next;
        if opened.is_some() {
            self.opened.notify_waiters();
        }
        opened
    }

    /// Ends when it opens, counted from this call on, not from the first poll.
    pub(crate) fn opened(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// How long it refuses calls; zero where it does not.
    pub(crate) fn pause(&self, now: Instant) -> Duration {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => Duration::ZERO,
            State::Open { until, .. } | State::Trial { patience: until, .. } => until.saturating_duration_since(now),
        }
    }

    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until, .. } if now < until => BreakerState::Open(until - now),
            State::Open { .. } | State::Trial { .. } => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn break_it(breaker: &Breaker, now: Instant) -> Option<Duration> {
        (0..FAULTS).filter_map(|_| breaker.record(Outcome::Fault, now)).last()
    }

    #[test]
    fn three_faults_in_a_row_open_it_and_fewer_do_not() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for outcome in [Outcome::Fault, Outcome::Fault, Outcome::Sound, Outcome::Fault, Outcome::Fault] {
            assert_eq!(breaker.record(outcome, now), None);
        }
        assert_eq!(breaker.record(Outcome::Unrelated, now), None);
        assert!(breaker.enter(now).is_ok());
        assert_eq!(breaker.record(Outcome::Fault, now), Some(FIRST_PAUSE));
        assert_eq!(breaker.enter(now), Err(FIRST_PAUSE));
        assert_eq!(breaker.state(now), BreakerState::Open(FIRST_PAUSE));
    }

    #[test]
    fn one_trial_at_a_time_decides() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        break_it(&breaker, now).unwrap();
        let later = now + FIRST_PAUSE;
        assert!(breaker.enter(later).is_ok());
        assert!(breaker.enter(later).is_err(), "the trial is under way");
        assert_eq!(breaker.record(Outcome::Sound, later), None);
        assert!(breaker.enter(later).is_ok() && breaker.enter(later).is_ok());
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        let mut pause = break_it(&breaker, now).unwrap();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            now += pause;
            breaker.enter(now).unwrap();
            pause = breaker.record(Outcome::Fault, now).unwrap();
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_trial_that_never_ends_does_not_keep_it_shut() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        break_it(&breaker, now).unwrap();
        let later = now + FIRST_PAUSE;
        breaker.enter(later).unwrap();
        assert!(breaker.enter(later + FIRST_PAUSE).is_ok());
    }
}
