//! The sandbox with real components, honest and hostile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "says where components are, to tests alone")]

mod calls;
mod json;
mod loading;
mod wasi;

use std::path::PathBuf;
use std::time::Duration;

use convergence_model::plan::PlanRequest;
use convergence_sandbox::{CallLimits, Pooling, Sandbox, SandboxConfig, Template};

/// The bytes of a component that `cargo xtask guests` built, as `fixtures/hostile`.
fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from);
    let path = folder.join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}. Components are built by `cargo xtask guests`; CONVERGENCE_COMPONENTS says where they are",
            path.display()
        )
    })
}

/// Small enough that a guest at a limit is there soon, in a debug build as well.
fn limits() -> CallLimits {
    CallLimits { memory_bytes: 32 << 20, fuel: 200_000_000, deadline: Duration::from_secs(60), ..CallLimits::default() }
}

fn sandbox_with(limits: CallLimits, pooling: Pooling) -> Sandbox {
    Sandbox::new(SandboxConfig { limits, pooling, max_concurrent_calls: 4, ..SandboxConfig::default() }).unwrap()
}

fn template_with(limits: CallLimits, name: &str) -> Template {
    sandbox_with(limits, Pooling::Auto).load(&component(name)).unwrap().as_template().unwrap()
}

fn request(config: &str) -> PlanRequest {
    PlanRequest {
        at: jiff::Timestamp::UNIX_EPOCH,
        tenant_name: "my-app".to_owned(),
        framework: None,
        source: None,
        base_image: None,
        architecture: "amd64".to_owned(),
        memory_mb: 512,
        env_names: vec!["LOG_LEVEL".to_owned()],
        build_args: Vec::new(),
        secret_names: Vec::new(),
        processes: Vec::new(),
        config: config.to_owned(),
        extra: Vec::new(),
    }
}
