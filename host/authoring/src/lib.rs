//! What the author of a plugin does at their desk, with no server and no clone of this repository: make a project
//! ([`new`]), build it ([`build`]) into a component, see whether a server would take it ([`check`]), run its test cases
//! ([`test`]) and measure it ([`bench`]).
//!
//! A [`Project`] is a folder with a `plugin.toml`. What it begins with is under `scaffold/<language>/<kind>/`, carried in
//! the binary together with the contract and the Rust SDK. Building runs the author's own toolchain and says how to get
//! what of it is missing; what needs no toolchain (bindings for C, wrapping a core module as a component) is done here.
//!
//! What is looked at is a [`Subject`]: a project, or a component from wherever. It runs in the sandbox of the server, under
//! the limits of a server, and what it answers goes through the checks of a server.
//!
//! This room never talks to a server, and reads and writes nothing outside the project's folder, but for native code that it
//! keeps in a cache folder of the author's.

mod bench;
mod bless;
mod build;
mod check;
mod consequence;
mod embedded;
mod native;
mod new;
mod project;
mod sdk;
mod subject;
mod test;
mod wit;

pub use bench::{BenchError, BenchReport, CaseTimes, bench};
pub use build::{BuildError, build};
pub use check::{CheckReport, Outcome, Step, StepReport, check};
pub use convergence_sandbox::Kind;
pub use new::{NewError, new};
pub use project::{KINDS, Language, Project, ProjectError, kind_named};
pub use subject::{Identity, Subject, SubjectError};
pub use test::{CaseReport, Line, TestReport, Took, test};
pub use wit::{WitError, write_contract};
