//! Components that mean harm, or were made badly, and what contains them.

mod compiler;
mod forge;
mod leaks;
mod zoo;
