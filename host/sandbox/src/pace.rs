//! What a component's calls so far say about its next ones: in which lane they begin, and what they may take from others.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

use crate::error::CallError;

/// Calls, since the last one that was slow or failed, after which a component is as any other again.
const CALLS_TO_RECOVER: u32 = 16;
/// Calls that ended well after which a component is known.
const CALLS_UNTIL_KNOWN: u32 = 16;
/// The longest a call takes that is quick.
const QUICK: Duration = Duration::from_millis(2);
/// How much less a long call matters than all else that this process does: where both want a core, it gets a tenth. Less
/// would let a server that is busy with short calls starve a guest that is only slow.
const LONG_NICENESS: i32 = 10;

/// Whether a component's calls are long as a rule, and whether they end well, by those it made so far.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Calls still to end well before they begin on the task that asks.
    unproven: AtomicU32,
    /// Quick calls still to be made before it begins in the short lane again.
    owed: AtomicU32,
    /// Calls still to end well before its long ones get a share of a core that others want.
    failed_recently: AtomicU32,
}

impl Default for Pace {
    /// That of a component nobody has asked yet.
    fn default() -> Self {
        Self {
            unproven: AtomicU32::new(CALLS_UNTIL_KNOWN),
            owed: AtomicU32::new(0),
            failed_recently: AtomicU32::new(0),
        }
    }
}

impl Pace {
    /// Whether too little is known of it to let it have a thread that others wait for.
    pub(crate) fn is_unknown(&self) -> bool {
        self.unproven.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn was_slow(&self) {
        self.owed.store(CALLS_TO_RECOVER, Ordering::Relaxed);
    }

    pub(crate) fn urgency(&self) -> Urgency {
        if self.failed_recently.load(Ordering::Relaxed) > 0 { Urgency::None } else { Urgency::Low }
    }

    /// Counts a call that ran.
    pub(crate) fn count(&self, failed: Option<&CallError>, duration: Duration) {
        // A call counted twice at the same moment is nothing to anybody.
        let one_less = |count: &AtomicU32| {
            let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        };
        if failed.is_some_and(CallError::is_plugins_fault) {
            self.was_slow();
            self.failed_recently.store(CALLS_TO_RECOVER, Ordering::Relaxed);
            return;
        }
        if duration <= QUICK {
            one_less(&self.owed);
        }
        one_less(&self.unproven);
        one_less(&self.failed_recently);
    }
}

/// What a long call may take from others that want the same core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A small share.
    Low,
    /// Nothing: it runs on cores that are idle. A guest that failed recently gets no more, and the
    /// scheduler takes a core from such a thread at once, where another one may keep it until its slice is over.
    None,
}

impl Urgency {
    /// Makes this thread one for such calls. Where that is not allowed it stays an ordinary one.
    pub(crate) fn apply(self) {
        let applied = match self {
            Self::Low => rustix::process::nice(LONG_NICENESS).map(drop).map_err(|error| error.to_string()),
            Self::None => set_thread_priority_and_policy(
                thread_native_id(),
                ThreadPriority::Min,
                ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle),
            )
            .map_err(|error| error.to_string()),
        };
        if let Err(error) = applied {
            tracing::debug!(%error, "a long call runs like any other");
        }
        // A thread that lowers itself keeps its core until the kernel's next tick, up to 4 ms away at 250 Hz.
        std::thread::yield_now();
    }
}
