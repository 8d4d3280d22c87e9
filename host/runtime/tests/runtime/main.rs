//! What every runtime must do, on each of them, and what only Docker can show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod build;
mod conformance;
mod fixture;
mod harden;
mod lost;
mod observe;
