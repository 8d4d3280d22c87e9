//! One quantity between two bounds.

use convergence_plugin_api::policy::Violation;

/// How a quantity is named and written to people and programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity {
    /// Where the API's client finds it.
    pub(crate) path: &'static str,
    /// The first part of its codes: `memory` in `memory-above-maximum`.
    pub(crate) code: &'static str,
    /// What a number of it is followed by: ` MiB of memory`.
    pub(crate) unit: &'static str,
    /// How a number of it is written.
    pub(crate) write: fn(u32) -> String,
}

/// The smallest and the largest value allowed; no largest one where `maximum` is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    /// Allowed, like everything above it.
    pub(crate) minimum: u32,
    /// Allowed, like everything below it.
    pub(crate) maximum: Option<u32>,
}

impl Bounds {
    /// What is wrong with a value, if anything.
    pub(crate) fn violation(self, quantity: Quantity, value: u32) -> Option<Violation> {
        let (side, bound) = match self.maximum {
            Some(maximum) if value > maximum => ("above the maximum", maximum),
            _ if value < self.minimum => ("below the minimum", self.minimum),
            _ => return None,
        };
        let code = format!("{}-{}", quantity.code, side.replace("the ", "").replace(' ', "-"));
        let write = quantity.write;
        let advice = match self.maximum {
            Some(maximum) if maximum == self.minimum => write(maximum),
            Some(maximum) => format!("{} to {}", write(self.minimum), write(maximum)),
            None => format!("{} or more", write(self.minimum)),
        };
        let message = format!("{}{} is {side} of {}; ask for {advice}", write(value), quantity.unit, write(bound));
        Some(Violation::deny(quantity.path, &code, message))
    }
}
