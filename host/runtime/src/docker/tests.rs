//! What needs no engine.
#![allow(clippy::unwrap_used)]
