//! Stopping a tenant whose app ends again and again, so that it wears nobody out.

use convergence_model::Code;
use convergence_model::operation::{Failure, Lane, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_store::Entry;
use convergence_work::{Effect, Failing, Kind};

use crate::recipe::{Leaves, Recipe};
use crate::step::removal;

/// The container stays, stopped, with what it printed; the tenant has failed until somebody repairs or destroys it.
pub static KIND: Kind = Kind {
    name: "halt",
    lane: Lane::Engine,
    exclusive: true,
    yields: true,
    cancellable: true,
    checkpoint: 0,
    failing: Failing::Stay { state: OperationState::Stuck, effect: Effect::TenantFailed },
    stuck: Effect::TenantFailed,
    asked_action: "tenant.halt",
    done_action: "tenant.halted",
    failed_action: "tenant.halt-failed",
};

pub(crate) static RECIPE: Recipe = Recipe { kind: &KIND, steps: &[&removal::Stop], leaves: Leaves::Halted };

/// Only what runs, or tries to, is stopped.
pub(crate) const FOUND: Entry<'static> = Entry::found(&[TenantStatus::Running], "tenant.halt");

/// Characters kept of one line of an app: it may print megabytes without a line break.
const LINE_MAX: usize = 500;
/// Lines of an app kept with the reason for which it is stopped.
pub(crate) const LINES_MAX: u32 = 20;

/// Why a tenant is stopped, from a halt that the version before asked for: the reason and the app's last lines are one text.
pub(crate) fn why_of_text(text: &str) -> Option<Failure> {
    let mut lines = text.lines();
    let reason = lines.next()?;
    Some(why(Code::AppExited, reason, lines.map(str::to_owned).collect()))
}

/// Why a tenant is stopped, told with its status.
pub(crate) fn why(code: Code, reason: &str, log: Vec<String>) -> Failure {
    let likely_cause = match code {
        Code::AppNotReady => "the app runs and does not answer its health check; its last lines may say why",
        _ => "the app does not stay up; its last lines say why",
    };
    Failure {
        step: "run".to_owned(),
        code: code.into(),
        message: format!("the tenant was stopped: {reason}"),
        likely_cause: likely_cause.to_owned(),
        next: "fix the app or raise its limits, then repair the tenant (`convergence repair`) or destroy it".to_owned(),
        log: (0..LINES_MAX).zip(log).map(|(_, line)| bounded(line)).collect(),
    }
}

fn bounded(mut line: String) -> String {
    if let Some((cut, _)) = line.char_indices().nth(LINE_MAX) {
        line.truncate(cut);
        line.push('…');
    }
    line
}
