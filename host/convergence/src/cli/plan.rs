//! `convergence plan`

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::spec::SpecArguments;

/// What the tenant would be.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,
}

/// Shows what a spawn would build and run.
pub(crate) async fn run(client: &Client, arguments: Arguments, output: &Output) -> Result<(), Failure> {
    show(client, &arguments.spec.body()?, &arguments.spec.query(), output).await
}

/// Shows what a spawn with this body would build and run.
pub(crate) async fn show(
    client: &Client,
    body: &Value,
    query: &[(&'static str, String)],
    output: &Output,
) -> Result<(), Failure> {
    let request = client.request(Method::POST, "/api/v1/tenant/plan").query(query);
    let (_, plan) = client.json(request.json(body)).await?;
    output.result(&plan, || {
        let text = |key: &str| plan.get(key).and_then(Value::as_str).unwrap_or_default();
        let notes = plan.pointer("/decisions/notes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let warnings =
            plan.pointer("/decisions/warnings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut lines: Vec<String> = notes.iter().filter_map(Value::as_str).map(|note| format!("# {note}")).collect();
        lines.extend(warnings.iter().filter_map(Value::as_str).map(|warning| format!("# warning: {warning}")));
        lines.push(format!("\n# Dockerfile\n{}\n# docker-compose.yml\n{}", text("dockerfile"), text("compose")));
        lines.join("\n")
    });
    Ok(())
}
