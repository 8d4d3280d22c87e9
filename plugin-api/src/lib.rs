//! What the author of a Rust plugin depends on.
//!
//! A plugin is a WebAssembly component that the server calls with data and that answers with data. It has no
//! clock, no network and no files; its configuration arrives with every call. This crate holds the kinds as
//! traits, [`template::Template`], [`policy::Policy`] and [`billing::BillingPolicy`], the records they speak in, and the
//! macros that make a component of a type. It never touches Docker, and nothing in it is needed by the server.
//!
//! A whole template, for sites made of files:
//!
//! ```
//! use convergence_plugin_api::template::{Detection, BuildPlan, Health, Language, Request, Service, Stage, Template};
//! use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};
//!
//! struct Site;
//!
//! impl Template for Site {
//!     type Config = NoConfig;
//!     fn describe() -> Description {
//!         Description::template("site", "Files over HTTP", "0.1.0", "Serves a folder of files.").example(Example::new("starter", "{}", r#"{"tenantName":"demo","architecture":"amd64","memoryMb":256}"#))
//!     }
//!     fn languages() -> Vec<Language> { vec![Language::new("site", ["plain"], ["3.12"], ["python:3.12-slim-bookworm"])] }
//!     fn detect(_: &Request, _: &NoConfig) -> Result<Option<Detection>, PluginError> { Ok(None) }
//!     fn plan(request: &Request, _: &NoConfig) -> Result<BuildPlan, PluginError> {
//!         let image = request.base_image_or("python:3.12-slim-bookworm");
//!         let service = Service::new(["python3", "-m", "http.server", "8080"], 8080, Health::http("/"));
//!         Ok(BuildPlan::new(service).file("index.html", "hello\n").stage(Stage::from_image("run", &image).workdir("/site").copy_plan(["."], "/site/")))
//!     }
//! }
//!
//! register_template!(Site);
//! # fn main() {}
//! ```
//!
//! Built for `wasm32-unknown-unknown` and turned into a component, that is the whole plugin; the same code compiles
//! for the machine it is written on, so that `cargo test` covers it. `docs/plugins/writing-a-template.md` leads from
//! an empty folder to a running tenant.
//!
//! A component's allocator comes with this crate: a call's first allocations lie in memory that is there when it begins.
//! Who wants another one turns off the feature `arena`.
//!
//! A panic becomes a log line that the operator sees (there is no standard error in a component) and a trap that
//! counts against the plugin; whatever can be foreseen is a [`PluginError`].

#[cfg(any(test, all(feature = "arena", target_family = "wasm", target_os = "unknown")))]
mod arena;
pub mod billing;
mod bindings;
mod config;
pub mod decimal;
mod description;
pub mod log;
mod panic;
pub mod policy;
pub mod template;

pub use bindings::types::{Attribute, Description, Example, FieldError, PluginError};
pub use config::NoConfig;

/// What the registration macros expand to. Not an interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::billing::Export as BillingExport;
    pub use crate::bindings::{billing, described, policy, template};
    pub use crate::policy::Export as PolicyExport;
    pub use crate::template::Export as TemplateExport;
}
