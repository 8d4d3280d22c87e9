//! Plans in, text out: what is refused, what is written, and that it reads back as what was meant.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod golden;
mod parse_back;
mod plans;
mod refusals;
mod roundtrip;
mod strategies;
