//! The HTTP API. The only user of axum.
