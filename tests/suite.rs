//! The whole product, as its users meet it: the real server, real plugins, real containers.
//!
//! Tests that use the container engine have `docker` in their path; a missing engine fails them with what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr, clippy::panic)]

mod chaos;
mod harness;
mod hostile;
mod platform;
mod tenant;
