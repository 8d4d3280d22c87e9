//! Validation policies: whether a change to a tenant may happen.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::described::exports::convergence::plugin::metadata;
pub use crate::bindings::policy::convergence::policy::policy_types::{
    Limits, Organization, PlanSummary, Review, Severity, Usage, Verdict, Violation,
};
use crate::bindings::policy::exports::convergence::policy::evaluator;
use crate::{Description, PluginError};

/// A validation policy. Make a component of it with [`register_policy!`](crate::register_policy).
///
/// Functions have no `self`: every call runs in a fresh instance, so there is nothing to remember.
pub trait Policy {
    /// The configuration, read from its JSON before every call; [`NoConfig`](crate::NoConfig) where there is none.
    type Config: DeserializeOwned;

    /// Says what the policy is. Always the same.
    fn describe() -> Description;

    /// Judges a change: on the request, where `review.plan` is none, and again with the plan.
    ///
    /// # Errors
    ///
    /// Any error refuses the change. What the caller can fix is a violation, not an error.
    fn evaluate(review: &Review, config: &Self::Config) -> Result<Verdict, PluginError>;
}

impl Verdict {
    /// Lets the change pass as it is.
    pub fn pass() -> Self {
        Self { violations: Vec::new(), tightened: None }
    }
}

impl Violation {
    /// Refuses the change because of the field at `path`. `code` is a slug for programs, `message` is human-readable.
    pub fn deny(path: &str, code: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), code: code.to_owned(), message: message.into(), severity: Severity::Deny }
    }

    /// Lets the change pass and tells the caller about the field at `path`.
    pub fn warn(path: &str, code: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), code: code.to_owned(), message: message.into(), severity: Severity::Warn }
    }
}

/// Joins a [`Policy`] to the component's exports.
#[doc(hidden)]
#[derive(Debug)]
pub struct Export<P>(PhantomData<P>);

impl<P: Policy> metadata::Guest for Export<P> {
    fn describe() -> Description {
        crate::panic::report_to_host();
        P::describe()
    }
}

impl<P: Policy> evaluator::Guest for Export<P> {
    fn evaluate(review: Review) -> Result<Verdict, PluginError> {
        crate::panic::report_to_host();
        P::evaluate(&review, &crate::config::parse(&review.config)?)
    }
}

/// Makes a component of a type that implements [`Policy`]: once in a crate, at its root.
#[macro_export]
macro_rules! register_policy {
    ($policy:ty) => {
        #[allow(dead_code, missing_docs, unsafe_code, unreachable_pub)]
        const _: () = {
            type ConvergenceExport = $crate::__private::PolicyExport<$policy>;
            const fn is_a_policy<P: $crate::policy::Policy>() {}
            is_a_policy::<$policy>();
            // Exports have names that only WebAssembly linkers take.
            #[cfg(target_arch = "wasm32")]
            use $crate::__private::{described, policy};
            #[cfg(target_arch = "wasm32")]
    $crate::__private::described::export_described!(ConvergenceExport with_types_in described);
            #[cfg(target_arch = "wasm32")]
    $crate::__private::policy::export_policy!(ConvergenceExport with_types_in policy);
        };
    };
}
