//! What every runtime must do, on each of them, and what only Docker can show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test reads where its engine is, and its servers are tasks")]

mod build;
mod capabilities;
mod changes;
mod conformance;
mod fake;
mod fixture;
mod harden;
mod lost;
mod observe;
