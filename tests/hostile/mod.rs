//! Components that mean harm, or were made badly, and what contains them.

mod compiler;
pub(crate) mod forge;
mod leaks;
mod zoo;
