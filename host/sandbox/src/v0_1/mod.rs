//! The contract of version 0.1: `wit/` as components built against any 0.1.x see it.

pub(crate) mod billing;
pub(crate) mod bindings;
pub(crate) mod convert;
mod math;
pub(crate) mod policy;
mod rating;
pub(crate) mod template;

use crate::call::CallState;
use crate::guest_log::LogLevel;
use bindings::template::convergence::host::log;

/// What is spoken here, for messages.
pub(crate) const VERSION: &str = "0.1";

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
        self.log.write(level, &message);
    }
}

// Interfaces of types: nothing to implement, but the linker wants to know who does not.
impl bindings::template::convergence::plugin::plugin_types::Host for CallState {}
impl bindings::template::convergence::template::template_types::Host for CallState {}
impl bindings::policy::convergence::policy::policy_types::Host for CallState {}
impl bindings::billing::convergence::billing::billing_types::Host for CallState {}
