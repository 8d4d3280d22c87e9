//! `convergence up`

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::serve;
use super::watch::Watch;
use crate::{boot, lifecycle, telemetry};

/// How the server is run, and which tenant comes first.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    serve: serve::Arguments,
    /// Name the first tenant.
    #[arg(long, default_value = "hello", value_name = "NAME")]
    tenant: String,
    /// Use the template for this language for the first tenant.
    #[arg(long, default_value = "node", value_name = "LANGUAGE")]
    language: String,
}

/// Runs the server, spawns a first tenant if there is none, and stays until told to stop. A tenant that cannot be
/// spawned does not end the server: `doctor` and the log say why.
pub(crate) async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let config = arguments.serve.configuration()?;
    let lost_lines = telemetry::start(&config.log)?;
    lifecycle::outlive_hangups()?;
    let lifecycle = boot::start(&config, arguments.serve.engine(&config), lost_lines).await?;
    let url = format!("http://{}", config.listen);
    let client = Client::new(&url)?;
    let meanwhile = async {
        match first_tenant(&client, arguments, output).await {
            Ok(()) => output.progress(&format!(
                "  curl {url}/api/v1/tenant\n\nAPI reference: {url}/api-docs\n\
                 Plugins folder (components copied into it are used at once): {}\nCtrl-C stops the server; tenants keep running.\n",
                config.plugins_dir().display()
            )),
            Err(failure) => output.failure(&failure),
        }
    };
    Ok(lifecycle.until_stopped_while(meanwhile).await?)
}

async fn first_tenant(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let (_, listing) = client.json(client.request(Method::GET, "/api/v1/tenant")).await?;
    let tenants = listing.get("tenants").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (name, port) = match tenants.first() {
        Some(first) => (first.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(), port(first)),
        None => {
            let body = json!({ "name": arguments.tenant, "language": arguments.language });
            let tenant = Watch::brief(client, *output, "spawn").spawn(&body, &[], |_| ()).await?;
            (arguments.tenant.clone(), port(&tenant))
        }
    };
    let at = format!("http://127.0.0.1:{port}");
    output.progress(&format!("\nThe tenant `{name}` runs at {at}. Try:\n  curl {at}/health"));
    Ok(())
}

fn port(tenant: &Value) -> u64 {
    tenant.get("port").and_then(Value::as_u64).unwrap_or_default()
}
