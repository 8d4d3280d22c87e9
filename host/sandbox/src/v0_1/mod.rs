//! The contract of version 0.1: `wit/` as components built against any 0.1.x see it.

pub(crate) mod billing;
pub(crate) mod bindings;
pub(crate) mod convert;
mod math;
pub(crate) mod policy;
mod rating;
pub(crate) mod template;
mod text;

use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmtime::component::{Component, Linker};

use crate::call::{CallState, Callee};
use crate::guest_log::LogLevel;
use crate::wasi;
use bindings::template::convergence::host::log;

/// What is spoken here, for messages.
pub(crate) const VERSION: &str = "0.1";

/// A component on its way to becoming a plugin.
pub(crate) struct Compiled<'a> {
    /// Its native code.
    pub(crate) component: &'a Component,
    /// `sha256:…` of its bytes.
    pub(crate) digest: &'a str,
    /// Whether it imports WASI.
    pub(crate) uses_wasi: bool,
}

impl Compiled<'_> {
    /// Begins to link it: what it has of WASI.
    fn linker(&self) -> wasmtime::Result<Linker<CallState>> {
        let mut linker = Linker::new(self.component.engine());
        if self.uses_wasi {
            wasi::link(&mut linker)?;
        }
        Ok(linker)
    }

    /// It, while its id is unknown.
    fn callee(&self) -> Callee<'_> {
        Callee { name: self.digest, digest: self.digest, uses_wasi: self.uses_wasi }
    }
}

/// Adds a value to a hash, in the same way on every machine.
fn hash(sha: &mut Sha256, value: &impl Serialize) {
    // Records of the contract have no part that JSON cannot hold.
    sha.update(serde_json::to_vec(value).unwrap_or_default());
}

/// The one thing every guest may ask of the host.
impl log::Host for CallState {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.write_log(level, &message);
    }
}

// Interfaces of types: nothing to implement, but the linker wants to know who does not.
impl bindings::template::convergence::plugin::plugin_types::Host for CallState {}
impl bindings::template::convergence::template::template_types::Host for CallState {}
impl bindings::policy::convergence::policy::policy_types::Host for CallState {}
impl bindings::billing::convergence::billing::billing_types::Host for CallState {}
