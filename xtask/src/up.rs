//! `cargo xtask up`: from a fresh clone to a tenant that answers.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use crate::guests::Which;
use crate::server::Server;
use crate::step::Steps;
use crate::workspace::Workspace;
use crate::{command, engine, guests, images, settings};

/// The first tenant's name.
const FIRST: &str = "hello";

/// What the person asked of `cargo xtask up`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The port of 127.0.0.1 that the server listens on.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

/// The chore.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Steps::new();
    steps.run("container engine", || engine::ensure(workspace))?;
    steps.run("base images", || images::ensure(workspace).map(drop))?;
    steps.run("plugins, as WebAssembly components", || guests::build(workspace, Which::Product))?;
    let binary = steps.run("server, in release (the first build takes minutes)", || build_server(workspace))?;
    let settings = steps.run("configuration", || settings::prepare(workspace, options.port))?;
    let mut server = steps.run("start the server", || {
        let mut server = Server::start(&binary, &settings, options.port)?;
        server.await_ready()?;
        Ok(server)
    })?;
    let port = steps.run("first tenant", || first_tenant(&server))?;
    steps.summary();

    let url = format!("http://127.0.0.1:{port}");
    println!("\nThe tenant `{FIRST}` runs at {url}. Try:\n");
    println!("  curl {url}/health");
    println!("  curl http://127.0.0.1:{}/api/v1/tenant", options.port);
    println!("  {} --url http://127.0.0.1:{} list", binary.display(), options.port);
    println!("\nAPI reference: http://127.0.0.1:{}/api-docs", options.port);
    println!("Plugins folder: {} (put a component in and start again)", settings.plugins.display());
    println!("Ctrl-C stops the server. Tenants keep running.\n");

    server.stay()?;
    println!("\n    draining the server (Ctrl-C again ends it at once)");
    let status = server.drain()?;
    println!("    the server ended with {status}");
    println!(
        "    tenants still run: `cargo xtask up` finds them again; `convergence destroy` removes one while the server runs,"
    );
    println!("    `cargo xtask clean --yes` removes all of them and the server's state");
    Ok(())
}

/// Builds the server in release and says where it is.
pub(crate) fn build_server(workspace: &Workspace) -> Result<PathBuf> {
    command::run(workspace.cargo().args(["build", "--release", "--package", "convergence"]))?;
    Ok(workspace.target().join("release").join("convergence"))
}

/// Spawns the first tenant unless it is there; returns its port.
fn first_tenant(server: &Server) -> Result<u64> {
    if let Some(port) = port_of_first(server)? {
        println!("    `{FIRST}` is there already");
        return Ok(port);
    }
    server.client_shown(&["spawn", FIRST, "--language", "node"])?;
    port_of_first(server)?.with_context(|| format!("the tenant `{FIRST}` was spawned but is not listed with a port"))
}

fn port_of_first(server: &Server) -> Result<Option<u64>> {
    find_port(&server.client(&["list", "--json"])?)
}

/// Finds the first tenant's port in what `convergence list --json` prints: `{"tenants": […]}`.
fn find_port(listing: &str) -> Result<Option<u64>> {
    let listing: Value =
        serde_json::from_str(listing).context("`convergence list --json` printed something other than JSON")?;
    let tenants =
        listing.get("tenants").and_then(Value::as_array).context("`convergence list --json` lists no tenants")?;
    let first = tenants.iter().find(|tenant| tenant.get("name").and_then(Value::as_str) == Some(FIRST));
    Ok(first.and_then(|tenant| tenant.get("port")).and_then(Value::as_u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tenant_is_found_by_name() {
        let listing = r#"{"tenants":[{"name":"other","port":3002},{"name":"hello","port":3001}]}"#;
        assert_eq!(find_port(listing).expect("it parses"), Some(3001));
        assert_eq!(find_port(r#"{"tenants":[]}"#).expect("it parses"), None);
        assert!(find_port("[]").is_err());
    }
}
