//! Bounds on what a tenant may ask for.
