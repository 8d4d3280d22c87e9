//! The API as a whole, in this process: real routes, a real store, a real template, an engine that does what it is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod codes;
mod container;
mod document;
mod names;
mod registries;
mod site;
mod volumes;
