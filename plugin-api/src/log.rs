//! Lines for the operator: [`info!`](crate::info) and its siblings format like `println!`.
//!
//! In a component they go to the host, which shows them with the plugin's id. In a test on the author's machine
//! they go to standard error.

pub use crate::bindings::host::log::Level;

/// Writes one line. Cannot fail; the host cuts what is too long or too much.
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::host::log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    {
        #![allow(clippy::print_stderr)]
        eprintln!("{level:?}: {message}");
    }
}

/// Writes a line of level `trace`.
#[macro_export]
macro_rules! trace {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Trace, &::std::format!($($part)+)) };
}

/// Writes a line of level `debug`.
#[macro_export]
macro_rules! debug {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($part)+)) };
}

/// Writes a line of level `info`.
#[macro_export]
macro_rules! info {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($part)+)) };
}

/// Writes a line of level `warn`.
#[macro_export]
macro_rules! warn {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($part)+)) };
}

/// Writes a line of level `error`.
#[macro_export]
macro_rules! error {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($part)+)) };
}
