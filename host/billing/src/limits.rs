//! What is watched between invoices.

use convergence_model::decimal::Decimal;
use convergence_model::rating::{LIMIT_ACTIONS, RatingTerms, UsageLimit};

use crate::coverage::name;
use crate::failure::{Broken, Problems, Rule};

const MAX_LIMITS: usize = 1000;
const MAX_WINDOW_SECONDS: u32 = 31_622_400;
const MAX_ALERTS: usize = 16;
const MAX_SHARE: i64 = 10;

/// Whether the limits are about what the terms need, and within their bounds. All that is broken is named.
pub fn check_limits(terms: &RatingTerms, limits: &[UsageLimit]) -> Result<(), Vec<Broken>> {
    let mut problems = Problems::default();
    problems.require(limits.len() <= MAX_LIMITS, Rule::Bounds, "limits", || {
        format!("there are {}, and {MAX_LIMITS} are allowed", limits.len())
    });
    for (index, limit) in limits.iter().enumerate().take(MAX_LIMITS) {
        let at = format!("limit {index} on {}", name(&limit.need, &limit.dimensions));
        let mut require = |holds: bool, rule, message: String| {
            problems.require(holds, rule, &at, || message);
        };
        match terms.needs.iter().find(|need| need.id == limit.need) {
            Some(need) => {
                let known = limit.dimensions.iter().all(|dimension| need.group_by.contains(&dimension.key));
                require(known, Rule::Limits, format!("the need is grouped by {:?} only", need.group_by));
            }
            None => require(false, Rule::Limits, "the terms have no such need".to_owned()),
        }
        require(
            limit.window_seconds <= MAX_WINDOW_SECONDS,
            Rule::Limits,
            format!("its window of {} s is above {MAX_WINDOW_SECONDS}", limit.window_seconds),
        );
        require(!limit.maximum.is_negative(), Rule::Limits, format!("its maximum is {}", limit.maximum));
        let known = LIMIT_ACTIONS.contains(&limit.action.as_str());
        require(known, Rule::Kinds, format!("`{}` is no action; there are {}", limit.action, LIMIT_ACTIONS.join(", ")));
        let rising = limit.alerts.is_sorted_by(|a, b| a < b);
        let shares = limit.alerts.iter().all(|share| *share > Decimal::ZERO && *share <= Decimal::from(MAX_SHARE));
        require(
            limit.alerts.len() <= MAX_ALERTS && rising && shares,
            Rule::Limits,
            format!("its alerts must be at most {MAX_ALERTS} rising shares above 0, at most {MAX_SHARE}"),
        );
    }
    problems.into_result()
}
