//! The catalogue of installed plugins.
//!
//! Components come from a watched folder, from the API or from a registry. Each is looked at by the sandbox, asked what
//! it is and held to its own examples; what passes is kept in the database, put in use at once, and answers two questions
//! for the rest of the host: what plan does the template of this language make of a request, and what do the policies
//! say to it? What is in use is an immutable [`Snapshot`] that is replaced as a whole, so no call in flight is lost. One bad
//! file costs one entry, with the reason; it never keeps the server from starting, and what it would have replaced stays.
//!
//! Nothing here runs WebAssembly itself, renders a plan or knows what a tenant is.

mod active;
mod admin;
mod breaker;
mod case;
mod catalogue;
mod configuration;
mod examine;
mod failure;
mod folder;
mod install;
mod loading;
pub mod oci;
mod policy;
mod registry;
mod removed;
mod shelf;
mod snapshot;
mod stats;
mod template;
pub mod trust;
mod workbench;

pub use admin::{Choice, Decision, PluginInfo, PluginState, VersionInfo};
pub use breaker::BreakerState;
pub use case::{Case, CaseFailure, CaseOutcome, Difference, check_examples, run_examples};
pub use catalogue::{Catalogue, Settings};
pub use configuration::check as check_configuration;
pub use convergence_sandbox::Kind;
pub use examine::Rejected;
pub use failure::PluginFailure;
pub use install::{InstallError, Outcome};
pub use loading::Loading;
pub use policy::{PolicyInfo, Reviewed};
pub use registry::{FileEntry, State};
pub use shelf::Shelf;
pub use snapshot::Snapshot;
pub use stats::{LATENCY_BOUNDS_US, PluginStats};
pub use template::{ActiveTemplate, TemplateInfo};
pub use workbench::ChangeError;
