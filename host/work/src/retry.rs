//! How often it is worth trying again, and when.

use std::time::Duration;

use crate::error::{Class, StepError};

/// How often something doubtful is tried again, and how often an effect that nothing can stand in for.
const DOUBTFUL: u32 = 3;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Workers that may die over an operation without it getting any further.
pub(crate) const CRASHES: u32 = 8;

/// Whether an error is worth another attempt after `retries` of them. `last_resort` says that giving up means that
/// somebody has to look; then another side that does not answer at all is waited for like one that is away.
pub(crate) fn is_worth_it(error: &StepError, retries: u32, last_resort: bool) -> bool {
    match error.class() {
        Class::Lost => false,
        Class::Away => true,
        Class::Silent => retries < DOUBTFUL || last_resort,
        Class::Doubtful => retries < DOUBTFUL,
        Class::Final => last_resort && retries < DOUBTFUL,
    }
}

/// How long to wait before the next attempt after `retries` of them: `first`, then twice as long each time. Operations that
/// failed at the same moment, because the same engine went away, do not come back at the same moment: `salt` spreads them
/// over a quarter of the pause.
pub(crate) fn pause(first: Duration, retries: u32, salt: u128) -> Duration {
    let pause = first.saturating_mul(1 << retries.min(16)).min(LONGEST_PAUSE);
    let share = u32::try_from(salt % 256).unwrap_or(0);
    pause.saturating_sub(pause / 4 * share / 256)
}

#[cfg(test)]
mod tests {
    use convergence_store::StoreError;

    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_spread() {
        let first = Duration::from_millis(200);
        assert_eq!(pause(first, 0, 0), first);
        assert_eq!(pause(first, 1, 0), first * 2);
        assert_eq!(pause(first, u32::MAX, 0), LONGEST_PAUSE);
        assert!(pause(first, 3, 255) < pause(first, 3, 0));
        assert!(pause(first, 3, 255) > pause(first, 2, 0));
    }

    #[test]
    fn what_is_away_is_waited_for_and_what_is_wrong_is_not() {
        let away = StepError::Store(StoreError::Unavailable("gone".into()));
        assert!(is_worth_it(&away, 1000, false));
        let slow = StepError::Hung { after: Duration::from_secs(1) };
        assert!(is_worth_it(&slow, 0, false) && !is_worth_it(&slow, DOUBTFUL, false));
        assert!(is_worth_it(&slow, 1000, true), "an undo waits until the other side answers again");
        let wrong = StepError::Panicked(String::new());
        assert!(!is_worth_it(&wrong, 0, false));
        assert!(is_worth_it(&wrong, 0, true) && !is_worth_it(&wrong, DOUBTFUL, true));
        assert!(!is_worth_it(&StepError::LeaseLost, 0, true));
    }
}
