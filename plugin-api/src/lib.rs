//! What the author of a Rust plugin depends on.
