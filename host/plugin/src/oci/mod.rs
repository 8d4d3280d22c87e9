//! Components from OCI registries, by the conventions of `wkg`: one manifest with a configuration of the media type
//! `application/vnd.wasm.config.v0+json` and one layer, `application/wasm`. Our signature travels as an annotation of
//! the manifest, so that other tools see a component like any other.
//!
//! What comes from a registry is untrusted: every answer is capped in size and time, every blob is held against its
//! digest, and a registry that the operator did not list can have nothing dialled but public addresses
//! ([`RegistrySettings`]). `docs/plugins/registries.md` is the operator's side.
//!
//! Why there is no crate for it: `docs/adr/0014-write-our-own-registry-client.md`.

mod address;
mod connection;
mod error;
mod exchange;
mod manifest;
mod pull;
mod push;
mod reference;
mod settings;
#[cfg(test)]
mod tests;

pub use error::{Refusal, RegistryError};
pub use pull::{Pulled, pull};
pub use push::{Published, Pushed, push};
pub use reference::{Reference, ReferenceError};
pub use settings::{Registry, RegistrySettings};
