//! The catalogue of installed plugins.
