//! What wasmtime generates from `wit/`. Nothing of it leaves this folder.

#![allow(missing_docs, missing_debug_implementations, unreachable_pub)]
#![allow(clippy::all, clippy::restriction, clippy::pedantic)]

/// World `language-template`.
pub(crate) mod template {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/plugin", "../../wit/template"],
        world: "convergence:template/language-template",
        exports: { default: async },
    });
}

/// World `validation-policy`; what it shares with templates is generated once.
pub(crate) mod policy {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/plugin", "../../wit/policy"],
        world: "convergence:policy/validation-policy",
        exports: { default: async },
        with: {
            "convergence:host/log": crate::v0_1::bindings::template::convergence::host::log,
            "convergence:plugin/plugin-types": crate::v0_1::bindings::template::convergence::plugin::plugin_types,
        },
    });
}
