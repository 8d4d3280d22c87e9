//! What wit-bindgen makes of `wit/`. The rest of the crate gives these types constructors and traits, so that
//! authors meet neither wit-bindgen nor its module paths.
//!
//! A kind's world is `metadata` and one interface of its own. wit-bindgen names the macros it exports after
//! interfaces, so `metadata` can be generated only once in a crate: the worlds are generated in parts, and
//! registering a plugin joins two of them. What comes out is a component of the world in `wit/`.
#![allow(
    unsafe_code,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::indexing_slicing,
    clippy::semicolon_if_nothing_returned,
    clippy::unwrap_used
)]

pub mod described {
    //! What both worlds have in common: the host's log, and the plugin's description.

    wit_bindgen::generate!({
        inline: "
            package convergence:sdk-described;
            world described {
                import convergence:host/log@0.1.0;
                export convergence:plugin/metadata@0.1.0;
            }
        ",
        path: ["../wit/host", "../wit/plugin"],
        generate_all,
        // Errors are not part of a description, and the other two modules take them from here.
        generate_unused_types: true,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_described",
    });
}

pub mod template {
    //! What is the template world's own.

    wit_bindgen::generate!({
        inline: "
            package convergence:sdk-template;
            world template {
                export convergence:template/generator@0.1.0;
            }
        ",
        path: ["../wit/host", "../wit/plugin", "../wit/template"],
        with: { "convergence:plugin/plugin-types@0.1.0": crate::bindings::types },
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_template",
    });
}

pub mod policy {
    //! What is the policy world's own.

    wit_bindgen::generate!({
        inline: "
            package convergence:sdk-policy;
            world policy {
                export convergence:policy/evaluator@0.1.0;
            }
        ",
        path: ["../wit/host", "../wit/plugin", "../wit/policy"],
        with: { "convergence:plugin/plugin-types@0.1.0": crate::bindings::types },
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_policy",
    });
}

pub mod billing {
    //! What is the billing world's own.

    wit_bindgen::generate!({
        inline: "
            package convergence:sdk-billing;
            world billing {
                import convergence:host/math@0.1.0;
                export convergence:billing/rater@0.1.0;
            }
        ",
        path: ["../wit/host", "../wit/plugin", "../wit/billing"],
        with: { "convergence:plugin/plugin-types@0.1.0": crate::bindings::types },
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_billing",
    });
}

pub use described::convergence::host;
pub use described::convergence::plugin::plugin_types as types;
