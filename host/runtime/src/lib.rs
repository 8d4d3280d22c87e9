//! Runs containers: builds images, and creates, watches and removes containers, networks and volumes.
//!
//! [`Runtime`] is what the rest of the host knows. [`docker::Docker`] speaks to a Docker engine and is the
//! only user of bollard; [`fake::FakeRuntime`] keeps everything in memory and fails where it is told to.
//! Every method may be called again after any failure: names decide what exists, a digest of what was asked
//! for decides whether to adopt or to replace it, and a lost reply is not a failure.
//!
//! This room never reads the database, never decides *what* should run, and spawns no task.

pub mod docker;
mod error;
pub mod fake;
mod fingerprint;
mod owner;
pub mod probe;
mod runtime;

pub use error::RuntimeError;
pub use fingerprint::fingerprint;
pub use owner::Owner;
pub use runtime::{
    ChangeStream, Changed, Deviation, EngineInfo, Ensured, HealthStatus, ImageRemoval, LogLine, LogQuery, LogSource,
    LogStream, Observed, Owned, OwnedItem, Progress, Ready, Removal, Runtime, State, Usage,
};
