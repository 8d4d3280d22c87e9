//! What wasmtime generates from `wit/`. Nothing of it leaves this folder.

#![allow(missing_docs, missing_debug_implementations, unreachable_pub)]
#![allow(clippy::all, clippy::restriction, clippy::pedantic)]

/// World `language-template`.
pub(crate) mod template {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/plugin", "../../wit/template"],
        world: "convergence:template/language-template",
        exports: { default: async },
        // As JSON, what goes in is what a guest's random numbers follow from.
        additional_derives: [serde::Serialize],
    });
}

/// World `validation-policy`; what it shares with templates is generated once.
pub(crate) mod policy {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/plugin", "../../wit/policy"],
        world: "convergence:policy/validation-policy",
        exports: { default: async },
        // As JSON, what goes in is what a guest's random numbers follow from.
        additional_derives: [serde::Serialize],
        with: {
            "convergence:host/log": crate::v0_1::bindings::template::convergence::host::log,
            "convergence:plugin/plugin-types": crate::v0_1::bindings::template::convergence::plugin::plugin_types,
        },
    });
}

/// World `billing-policy`. Its `math` is linked by hand: a call costs fuel, which only the store knows of.
pub(crate) mod billing {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/plugin", "../../wit/billing"],
        world: "convergence:billing/billing-policy",
        exports: { default: async },
        // As JSON, what goes in is what a guest's random numbers follow from.
        additional_derives: [serde::Serialize],
        with: {
            "convergence:host/log": crate::v0_1::bindings::template::convergence::host::log,
            "convergence:plugin/plugin-types": crate::v0_1::bindings::template::convergence::plugin::plugin_types,
        },
    });
}
