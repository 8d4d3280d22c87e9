//! Why there is no bill, in words for an operator.

use std::fmt;

use convergence_sandbox::CallError;

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The terms are something this host can serve.
    Terms,
    /// The currency is one of those in the terms.
    Currency,
    /// The period, what is known of it and its segments fit together.
    Period,
    /// Every need is answered, and nothing that nobody needs.
    Needs,
    /// Balances, coupons and rates are what they can be.
    Facts,
    /// There are not more lines, steps or waivers than there may be, and texts are no longer.
    Bounds,
    /// Keys are unique.
    UniqueKeys,
    /// Kinds of lines and steps, and actions of limits, are known.
    Kinds,
    /// A line belongs to one that is there and belongs to none.
    Parents,
    /// Intervals have a length and are inside the period.
    Intervals,
    /// The steps sum to the line.
    StepsSum,
    /// Quantity times price is the amount of a step.
    StepProduct,
    /// What a line or waiver is about is a series that was given.
    Series,
    /// Every open unit is billed or waived once.
    Coverage,
    /// What is drawn is there, and is for a line that is there.
    Draws,
    /// What draws of money pay for is what credit steps take off.
    Credits,
    /// Limits are about needs and within their bounds.
    Limits,
    /// Sums have few enough digits.
    Overflow,
}

impl Rule {
    /// The rule's name for programs: `steps-sum`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terms => "terms",
            Self::Currency => "currency",
            Self::Period => "period",
            Self::Needs => "needs",
            Self::Facts => "facts",
            Self::Bounds => "bounds",
            Self::UniqueKeys => "unique-keys",
            Self::Kinds => "kinds",
            Self::Parents => "parents",
            Self::Intervals => "intervals",
            Self::StepsSum => "steps-sum",
            Self::StepProduct => "step-product",
            Self::Series => "series",
            Self::Coverage => "coverage",
            Self::Draws => "draws",
            Self::Credits => "credits",
            Self::Limits => "limits",
            Self::Overflow => "overflow",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One rule broken in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which rule.
    pub rule: Rule,
    /// Where: `line requests`, `series requests{route=/}`, `terms`.
    pub place: String,
    /// What was found and what should have been, with the numbers.
    pub message: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.place, self.message, self.rule)
    }
}

/// Why a period was not rated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatingFailure {
    /// A call has no answer.
    #[error("the billing policy gave no answer to `{function}`: {error}")]
    Call {
        /// `terms`, `rate` or `limits`.
        function: &'static str,
        /// How it failed.
        error: CallError,
    },
    /// What is to be rated cannot be: it is not what the policy's terms ask for. Not the policy's fault, unless its
    /// terms are. Nothing was rated.
    #[error("this cannot be rated: {}", list(.0))]
    Input(Vec<Broken>),
    /// The answer breaks rules. All of them are named, up to 50.
    #[error("the billing policy's answer was refused: {}", list(.0))]
    Refused(Vec<Broken>),
}

fn list(broken: &[Broken]) -> String {
    broken.iter().map(Broken::to_string).collect::<Vec<_>>().join("; ")
}

/// Gathers what is broken.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Broken>,
    more: usize,
}

impl Problems {
    /// As many are kept: a policy that gets everything wrong does so on every line.
    pub(crate) const SHOWN: usize = 50;

    /// Adds one.
    pub(crate) fn push(&mut self, rule: Rule, place: impl fmt::Display, message: impl Into<String>) {
        if self.found.len() < Self::SHOWN {
            // Names come from the plugin, and go to terminals and logs.
            let clean =
                |text: String| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
            let (place, message) = (clean(place.to_string()), clean(message.into()));
            self.found.push(Broken { rule, place, message });
        } else {
            self.more += 1;
        }
    }

    /// Adds one unless something holds.
    pub(crate) fn require(
        &mut self,
        holds: bool,
        rule: Rule,
        place: impl fmt::Display,
        message: impl FnOnce() -> String,
    ) -> bool {
        if !holds {
            self.push(rule, place, message());
        }
        holds
    }

    /// Everything found, if anything was.
    pub(crate) fn into_result(mut self) -> Result<(), Vec<Broken>> {
        if self.found.is_empty() {
            return Ok(());
        }
        if self.more > 0
            && let Some(last) = self.found.last_mut()
        {
            last.message.push_str(&format!(" (and {} more problems)", self.more));
        }
        Err(self.found)
    }
}
