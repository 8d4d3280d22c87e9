//! `convergence destroy`

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::confirm::{self, Confirmation};
use super::exit::Failure;
use super::output::Output;
use super::spawn::plain;
use super::tenant::Tenant;
use super::watch::{Watch, Watching};

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    #[command(flatten)]
    confirmation: Confirmation,
    /// Name a protected tenant again.
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    watching: Watching,
}

/// Removes a tenant and everything it has.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let path = arguments.tenant.path("");
    if arguments.confirmation.is_needed("destroy")? {
        // A number says little: the question names the tenant.
        let (_, status) = client.json(client.request(Method::GET, &arguments.tenant.path("/status"))).await?;
        let part = |key: &str| status.get(key).map(plain).unwrap_or_default();
        let (id, name) = (part("envId"), part("name"));
        confirm::ask(&format!("Destroy tenant {id} `{name}` with its container, its volumes and their data?"))?;
    }
    let watch = Watch::new(client, *output, &arguments.watching, "destroy");
    let confirm: Vec<_> = arguments.confirm.iter().map(|name| ("confirm", name)).collect();
    let request = client.request(Method::DELETE, &path).query(&confirm);
    watch.unless_interrupted(watch.begin(request, false)).await?;
    let document = json!({ "success": true, "result": "Environment removed successfully" });
    output.result(&document, || format!("tenant {} is destroyed", arguments.tenant.as_str()));
    Ok(())
}
