//! What the author of a plugin does at their desk, with no server and no clone of this repository: make a project
//! ([`new`]), and build it ([`build`]) into a component.
//!
//! A [`Project`] is a folder with a `plugin.toml`. What it begins with is under `scaffold/<language>/<kind>/`, carried in
//! the binary together with the contract and the Rust SDK. Building runs the author's own toolchain and says how to get
//! what of it is missing; what needs no toolchain (bindings for C, wrapping a core module as a component) is done here.
//!
//! This room never talks to a server, and reads and writes nothing outside the project's folder.

mod build;
mod embedded;
mod new;
mod project;
mod sdk;

pub use build::{BuildError, build};
pub use convergence_sandbox::Kind;
pub use new::{NewError, new};
pub use project::{KINDS, Language, Project, ProjectError, kind_named};
