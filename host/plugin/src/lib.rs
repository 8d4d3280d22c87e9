//! The catalogue of installed plugins.
//!
//! It reads a folder of components, has each one looked at by the sandbox, checks the operator's configuration against
//! what the plugin says it takes, and answers two questions for the rest of the host: what plan does the template of
//! this language make of a request, and what do the policies say to it? One bad file costs one entry, with the reason;
//! it never keeps the server from starting.
//!
//! Nothing here runs WebAssembly itself, renders a plan or keeps state beyond what is loaded.

mod case;
mod catalogue;
mod configuration;
mod failure;
pub mod oci;
mod policy;
mod registry;
mod scan;
mod template;
pub mod trust;

pub use case::{Case, CaseFailure, CaseOutcome, Difference, check_examples, run_examples};
pub use catalogue::Catalogue;
pub use configuration::check as check_configuration;
pub use convergence_sandbox::Kind;
pub use failure::PluginFailure;
pub use policy::{PolicyInfo, Reviewed};
pub use registry::{Entry, State};
pub use template::{ActiveTemplate, TemplateInfo};
