//! Rates usage with billing policies, and refuses what does not add up.
//!
//! A billing policy is somebody's program: it may be wrong, and money must not be. [`rate`] asks a policy what its
//! configuration needs, holds the facts against that, asks for lines in a fresh instance, and holds the lines against
//! the facts: steps sum to their line, every unit is billed or waived exactly once, nothing is drawn that is not there.
//! What passes is rounded, once a line; the total is the sum of rounded lines. What does not pass is a
//! [`RatingFailure`] with every rule that was broken, where, and the numbers, and never a bill.
//!
//! [`check`] is the same without the call, for answers that are there already. The rules are those that `wit/billing`
//! promises. Nothing here meters, stores, taxes, converts currencies or numbers invoices.

mod answer;
mod coverage;
mod draws;
mod facts;
mod failure;
mod limits;
mod rate;
mod terms;
#[cfg(test)]
mod tests;

pub use answer::{Rated, RatedLine, check};
pub use failure::{Broken, RatingFailure, Rule};
pub use limits::check_limits;
pub use rate::{limits, rate, rate_json};
