//! Builds images and runs workloads: the contract between the platform and what runs containers.
//!
//! [`Builder`] and [`Runtime`] are what the rest of the host knows. [`docker::Docker`] speaks to a Docker engine, is both of
//! them, and is the only user of bollard. [`fake::FakeRuntime`] keeps everything in memory and fails where it is told to.
//! This room never reads the database, never decides *what* should run, and spawns no task.
//!
//! # How to implement a runtime
//!
//! Make a folder here, implement [`Runtime`] (and [`Builder`], or use one that is there), add a test to
//! `tests/runtime/conformance.rs` that runs the suite on it, and a line to the binary's `boot.rs`. Nothing else in the host
//! changes: nobody asks which runtime it is. What must hold:
//!
//! **Everything may be repeated.** Any method may be called again after any error, and by another server at the same time.
//! `ensure*` ends with the thing as it was asked for, or with an error. `remove*` and `stop` end with the owner's thing absent
//! or stopped, and one that is so already is success. A lost reply is no failure: look by name, and adopt what the call made
//! before. `exec` is the exception.
//!
//! **Names decide what exists, labels decide whose it is, a fingerprint decides what it is.** A workload, a boundary or a
//! volume has the name it was asked for with; there is at most one of a name. What has the name and not the labels of the same
//! installation and tenant ([`Owner`]) is never adopted, changed or removed: `ensure*` answers [`RuntimeError::Conflict`],
//! `remove*` answers [`Removal::Foreign`]. Put the [`fingerprint`] of a workload on what is made from it, as
//! [`label::SPEC`](convergence_model::workload::label::SPEC): the same fingerprint, and nothing altered since, is adopted;
//! everything else of the owner's is replaced. Where a name is taken to look at, stop or remove something, the id that
//! [`Runtime::owned`] and [`Runtime::observe`] answer is taken as well: it means the same thing under any name.
//!
//! **Nothing runs that was not compared.** After the engine made something and before it may run, read back what was made and
//! compare it field by field with the workload: privileges, mounts, limits, networks, ports, variables, labels. An engine, an
//! admission controller or a person may have changed it. What differs is removed, and `ensure` answers
//! [`RuntimeError::Deviates`]. Start what was compared: by its id or version, and not by its name. Where the engine makes and
//! runs in one request, ask for no instances first (a service of 0 replicas), compare, then scale, with the version that was
//! compared as the condition. An engine that makes containers one at a time gets this from `single::ensure`.
//!
//! **What is replaced is stopped as a destroy stops it**: its signal, its grace, then the kill. A runtime that claims
//! [`Capabilities::start_first`] starts the replacement before.
//!
//! **Boundaries.** Instances in different boundaries cannot reach each other, whatever their apps do; they reach the names in
//! [`Workload::host_aliases`](convergence_model::workload::Workload::host_aliases) and the outside.
//! [`Capabilities::boundary`] says who sees to that. A boundary may be a network (Docker), an overlay network (Swarm) or a
//! namespace with a policy that denies by default (Kubernetes). It comes with the addresses that the platform leased for it,
//! to be used by a runtime that claims [`Capabilities::leased_addresses`] and ignored by others.
//!
//! **Endpoints are told, not assumed.** [`Runtime::observe`] answers where each running instance is dialled
//! ([`Reach::Instance`]), and which ports of hosts lead to one ([`Reach::Published`]). A workload has a published port only
//! where [`Capabilities::host_ports`] is claimed.
//!
//! **Capabilities are shown.** What is claimed in [`Runtime::capabilities`] the conformance suite tries, and fails when it
//! does not happen; what is not claimed must answer [`RuntimeError::Unsupported`] ([`Capabilities::allow`] and
//! [`Capabilities::require`] do that). A new capability is a field of [`Capabilities`], a check in the table of
//! `tests/runtime/capabilities.rs`, and a way for the fake to claim it without having it, which must make the check fail.
//!
//! **Errors say whether it is worth trying again.** [`RuntimeError::Unreachable`]: the engine is away, nothing is known to have
//! happened. [`RuntimeError::Timeout`]: it may yet happen. [`RuntimeError::Engine`] with the status 0 or 500 and above: it may
//! have. Everything else is an answer. Every call to an engine has a limit of its own.
//!
//! On Swarm, for example: a workload is a service of that name with its labels, [`Runtime::ensure`] creates it with 0
//! replicas, compares `Spec` as the manager stored it, and updates it to the number of replicas with the version it compared; an
//! update of an existing one that conflicts on its version is looked at again. `Stopped` and [`Runtime::stop`] scale to 0.
//! Instances are the service's running tasks, their address is that on the boundary's overlay network, [`Rollout`] is the
//! service's `UpdateStatus` and whether the running tasks' image digests are the service's. The published port is in mode
//! `host`. [`Builder::publish`] pushes to the registry that the nodes pull from, and answers the digest.

mod builder;
mod capability;
pub mod docker;
mod error;
pub mod fake;
mod fingerprint;
mod listeners;
mod observed;
mod owned;
mod owner;
pub mod probe;
mod runtime;
mod single;

pub use builder::{Builder, ImageRemoval, Progress, Pull};
pub use capability::{Capabilities, Capability, Enforcer};
pub use error::RuntimeError;
pub use fingerprint::fingerprint;
pub use observed::{
    Change, Changeable, Changed, Deviation, End, Endpoint, HealthStatus, Instance, Observed, Reach, Rollout, State,
    Usage,
};
pub use owned::{Owned, OwnedItem};
pub use owner::Owner;
pub use runtime::{
    ChangeStream, Desired, EngineInfo, Ensured, LOCAL_NODE, LogLine, LogQuery, LogSource, LogStream, Node, Output,
    Placement, Ready, Removal, Runtime,
};
