//! Runs untrusted WebAssembly components under hard limits. The only user of wasmtime.
//!
//! A [`Sandbox`] owns one engine. [`Sandbox::load`] takes the bytes of a component, refuses what is not a plugin of
//! a kind and version this server knows, compiles it (or finds the native code of an earlier run in an
//! authenticated cache) and asks it what it is. The [`Component`] it gives is called through [`Template`], [`Policy`] or
//! [`Billing`], or in JSON by [`Component::call_json`]: every call runs in a fresh instance with its own memory, fuel and
//! deadline, so nothing survives a call
//! and no guest can take more than its share.
//!
//! The crate knows the contract in `wit/` and the nouns of `convergence-model`; types of wasmtime never leave it. It
//! does not know which plugins exist, what their configuration means or what a plan is good for, and it gives a
//! guest nothing but a log, and a billing policy exact decimals: no clock, no randomness, no files, no network. What a guest's
//! toolchain imports of WASI is there and holds nothing (`wasi`).

mod cache;
mod call;
mod compiler;
mod component;
mod config;
mod engine;
mod error;
mod guest_log;
mod json;
mod layer;
mod limiter;
mod pace;
mod sandbox;
mod structure;
mod thread;
mod v0_1;
mod wasi;

pub use call::{CallReport, Reported};
pub use compiler::{ChildCompiler, Compiler, compile_in_child};
pub use component::{Component, Description, Example, Kind};
pub use config::{CallLimits, Pooling, SandboxConfig, Wasi};
pub use error::{CallError, CompileError, DescriptionProblem, LoadError, PluginError, PluginFieldError, SandboxError};
pub use guest_log::{GuestLog, LogLevel, LogLine};
pub use json::{JsonAnswer, JsonInputError};
pub use layer::Layer;
pub use sandbox::Sandbox;
pub use structure::Interfaces;
pub use v0_1::billing::Billing;
pub use v0_1::policy::Policy;
pub use v0_1::template::Template;
