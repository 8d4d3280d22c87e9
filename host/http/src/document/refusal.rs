//! Errors as the document sees them: each type of error says with which codes it refuses a request.
//!
//! A route names its types of errors in one line, `problems!(Refused: StoreError, Absent)`. That makes a type of error which
//! `?` turns exactly these into, and whose responses are theirs: an error that is not named does not compile.

use std::collections::BTreeSet;

use convergence_access::development::NotLocal;
use convergence_model::code::Area;
use convergence_model::name::NotATenant;
use convergence_model::{Code, Failure, OperationId, Violation};
use convergence_plugin::{ChangeError, InstallError, PluginFailure};
use convergence_provision::{AcceptError, PlanError};
use convergence_runtime::RuntimeError;
use convergence_source::GitError;
use convergence_store::StoreError;
use convergence_work::RequestError;

use crate::extract::NobodyTold;
use crate::problem::Problem;

/// An error that a request is refused because of.
pub(crate) trait Fails: Into<Problem> {
    /// Every code it can have.
    fn codes() -> BTreeSet<Code>;

    /// The problem, held against [`Fails::codes`] in development builds.
    fn problem(self) -> Problem {
        let problem = self.into();
        debug_assert!(
            problem.code() == Code::Internal || Self::codes().contains(&problem.code()),
            "{} has the code {}, which the document does not name for it",
            std::any::type_name::<Self>(),
            problem.code()
        );
        problem
    }
}

/// Makes the type of error of a route from the types of errors it meets.
macro_rules! problems {
    ($name:ident: $($error:ty),+ $(,)?) => {
        /// Why this is refused.
        #[derive(Debug)]
        pub(crate) struct $name($crate::problem::Problem);

        $(impl From<$error> for $name {
            fn from(error: $error) -> Self {
                Self($crate::document::Fails::problem(error))
            }
        })+

        impl From<$name> for $crate::problem::Problem {
            fn from(refused: $name) -> Self {
                refused.0
            }
        }

        impl $crate::document::Fails for $name {
            fn codes() -> std::collections::BTreeSet<convergence_model::Code> {
                let mut codes = std::collections::BTreeSet::new();
                $(codes.append(&mut <$error as $crate::document::Fails>::codes());)+
                codes
            }
        }

        impl axum::response::IntoResponse for $name {
            fn into_response(self) -> axum::response::Response {
                self.0.into_response()
            }
        }

        impl $crate::document::Answers for $name {
            fn describe(draft: &mut $crate::document::Draft) {
                draft.codes(<Self as $crate::document::Fails>::codes());
            }
        }
    };
}

pub(crate) use problems;

fn all(groups: &[&[Code]]) -> BTreeSet<Code> {
    groups.iter().flat_map(|group| group.iter().copied()).collect()
}

fn with(mut codes: BTreeSet<Code>, more: &[Code]) -> BTreeSet<Code> {
    codes.extend(more);
    codes
}

/// What a look into the store can answer.
const STORE: &[Code] = &[Code::StoreBusy, Code::StoreUnavailable, Code::Internal];

/// There is no such thing, or it is somebody else's.
#[derive(Debug)]
pub(crate) struct Absent(pub(crate) &'static str);

impl From<Absent> for Problem {
    fn from(Absent(noun): Absent) -> Self {
        Self::no_such(noun)
    }
}

impl Fails for Absent {
    fn codes() -> BTreeSet<Code> {
        all(&[&[Code::NotFound]])
    }
}

/// Fields that are wrong.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) Vec<Violation>);

impl From<Wrong> for Problem {
    fn from(Wrong(violations): Wrong) -> Self {
        Self::invalid(&violations)
    }
}

impl Fails for Wrong {
    fn codes() -> BTreeSet<Code> {
        all(&[&[Code::Invalid]])
    }
}

impl Fails for NotLocal {
    fn codes() -> BTreeSet<Code> {
        all(&[&[Code::NotLocal]])
    }
}

impl Fails for NobodyTold {
    fn codes() -> BTreeSet<Code> {
        all(&[&[Code::Internal]])
    }
}

impl Fails for NotATenant {
    fn codes() -> BTreeSet<Code> {
        all(&[&[Code::NotATenant]])
    }
}

/// A look for a name.
#[derive(Debug)]
pub(crate) struct ByName(pub(crate) StoreError);

impl From<ByName> for Problem {
    fn from(ByName(error): ByName) -> Self {
        error.into()
    }
}

impl Fails for ByName {
    fn codes() -> BTreeSet<Code> {
        with(StoreError::codes(), &[Code::NameAmbiguous])
    }
}

/// Makes the type of a request about a tenant or an operation that was not accepted: what it is about, and the codes it
/// can have beyond those of every such request.
macro_rules! of_request {
    ($(#[$doc:meta])* $name:ident $noun:literal $($code:ident)+) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(pub(crate) RequestError);

        impl From<$name> for Problem {
            fn from($name(error): $name) -> Self {
                Self::of_request($noun, error)
            }
        }

        impl Fails for $name {
            fn codes() -> BTreeSet<Code> {
                with(StoreError::codes(), &[Code::NotFound, Code::Stopping, $(Code::$code),+])
            }
        }
    };
}

of_request!(
    /// Something about a tenant was not begun.
    OfTenant "tenant" TenantBusy QueueFull NotInThisState
);
of_request!(
    /// A tenant is not destroyed.
    OfDestroy "tenant" TenantBusy QueueFull Protected ConfirmMismatch
);
of_request!(
    /// An operation is not cancelled.
    OfCancel "operation" OperationOver NotCancellable
);
of_request!(
    /// An operation is not tried again.
    OfRetry "operation" NotRetryable TenantBusy QueueFull OperationOver
);

/// An operation that failed.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) OperationId, pub(crate) Failure);

impl From<Failed> for Problem {
    fn from(Failed(id, failure): Failed) -> Self {
        Self::failed(id, &failure)
    }
}

impl Fails for Failed {
    fn codes() -> BTreeSet<Code> {
        let of_step = |code: &&Code| matches!(code.meaning().area, Area::Step | Area::Plugin | Area::Server);
        let of_step = Code::ALL.iter().filter(of_step).copied().collect();
        with(of_step, &[Code::PortsExhausted, Code::SubnetsExhausted, Code::Unsupported, Code::LimitsExceedMachine])
    }
}

/// A look into the store. What writes has a type of its own, which adds the conflicts it can meet.
impl Fails for StoreError {
    fn codes() -> BTreeSet<Code> {
        all(&[STORE])
    }
}

impl Fails for RuntimeError {
    fn codes() -> BTreeSet<Code> {
        all(&[&[Code::EngineUnreachable, Code::EngineTimeout, Code::EngineError]])
    }
}

impl Fails for PluginFailure {
    fn codes() -> BTreeSet<Code> {
        all(&[&[
            Code::Invalid,
            Code::PluginSuspended,
            Code::Overloaded,
            Code::NoTemplates,
            Code::PolicyRejected,
            Code::PluginFailed,
        ]])
    }
}

impl Fails for ChangeError {
    fn codes() -> BTreeSet<Code> {
        let own = &[Code::NotFound, Code::NoSuchVersion, Code::PluginRefused, Code::Contended];
        with(StoreError::codes(), own)
    }
}

impl Fails for InstallError {
    fn codes() -> BTreeSet<Code> {
        with(ChangeError::codes(), &[Code::PluginRejected, Code::RegistryFailed])
    }
}

impl Fails for PlanError {
    fn codes() -> BTreeSet<Code> {
        let own = &[Code::Invalid, Code::NotFound, Code::PlanRefused];
        let asked = &PluginFailure::codes() | &GitError::codes();
        with(&asked | &StoreError::codes(), own)
    }
}

impl Fails for AcceptError {
    fn codes() -> BTreeSet<Code> {
        let own = &[
            Code::NameTaken,
            Code::IdempotencyKeyReused,
            Code::QuotaReached,
            Code::QueueFull,
            Code::PortsExhausted,
            Code::SubnetsExhausted,
            Code::Stopping,
        ];
        with(&PlanError::codes() | &RuntimeError::codes(), own)
    }
}
