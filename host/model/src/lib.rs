//! The nouns of Convergence: plain data and pure decisions.
//!
//! Every other room of the host may use this one; it uses none of them. It never does IO, never reads a
//! clock, never draws a random number: what changes from call to call comes in as a parameter.

pub mod build;
pub mod code;
/// The SDK's file, which must stand alone in the projects of authors: one arithmetic for the host and its guests.
#[path = "../../../plugin-api/src/decimal.rs"]
pub mod decimal;
#[cfg(test)]
mod decimal_tests;
pub mod failure;
pub mod field;
pub mod ids;
pub mod limits;
pub mod name;
pub mod operation;
pub mod plan;
pub mod plugin;
pub mod policy;
pub mod rating;
pub mod registry;
pub mod scope;
pub mod sealed;
pub mod secret;
pub mod source;
pub mod spec;
pub mod tenant;
pub mod verb;
pub mod workload;

pub use code::{Code, Exit, Retry};
pub use decimal::Decimal;
pub use failure::{Failure, FailureCode};
pub use field::{Severity, Violation};
pub use ids::{EnvId, OperationId, OrgId, RevisionNumber, TenantId};
pub use limits::Limits;
pub use name::{TenantName, TenantRef};
pub use registry::{ImageRepository, RegistryCredentials, RegistryHost};
pub use scope::Scope;
pub use sealed::{Sealed, SealingKeyId};
pub use secret::Secret;
pub use source::{GitCommit, GitSource, Source, SourceDigest};
pub use spec::{EnvName, ServiceSpec, TenantSpec};
pub use verb::Verb;
