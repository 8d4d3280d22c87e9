//! What wasmtime generates from `wit/` (see `build.rs`). Nothing of it leaves this folder.

#![allow(missing_docs, missing_debug_implementations, unreachable_pub)]
#![allow(clippy::all, clippy::restriction, clippy::pedantic)]

/// World `language-template`.
pub(crate) mod template {
    include!(concat!(env!("OUT_DIR"), "/template.rs"));
}

/// World `validation-policy`; what it shares with templates is generated once.
pub(crate) mod policy {
    include!(concat!(env!("OUT_DIR"), "/policy.rs"));
}
