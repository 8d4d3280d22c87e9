//! `convergence plugin install`

use std::fs;
use std::path::PathBuf;

use clap::Args;
use convergence_plugin::trust;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// What to install.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A component, whose signature beside it (FILE.sig) goes with it; or `oci://host/name:version`, which the server fetches.
    #[arg(value_name = "FILE|REFERENCE")]
    what: PathBuf,
}

/// Installs a component on the server.
pub(super) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let file = &arguments.what;
    if let Some(reference) = file.to_str().filter(|text| text.starts_with("oci://")) {
        let request = client.request(Method::POST, "/api/v1/plugins").json(&json!({ "reference": reference }));
        return send(client, request, output).await;
    }
    let cannot_read = |error: std::io::Error| Failure::Failed(format!("cannot read {}: {error}", file.display()));
    let bytes = fs::read(file).map_err(cannot_read)?;
    let signature = trust::read_signature(file).map_err(cannot_read)?;
    let mut request =
        client.request(Method::POST, "/api/v1/plugins").header("content-type", "application/wasm").body(bytes);
    if let Some(signature) = signature {
        // A header is one line; the document is JSON, so its line breaks mean nothing.
        request = request.header("x-plugin-signature", signature.replace(['\n', '\r'], " ").trim());
    }
    send(client, request, output).await
}

async fn send(client: &Client, request: RequestBuilder, output: &Output) -> Result<(), Failure> {
    let (status, installed) = client.json(request).await?;
    output.result(&installed, || text(status.as_u16() == 200, &installed));
    Ok(())
}

fn text(known: bool, installed: &Value) -> String {
    let text = |at: &str| installed.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let (id, kind, version) = (text("/plugin/id"), text("/plugin/kind"), text("/version"));
    let verb = if known { "was installed already" } else { "is installed" };
    let mut line = format!("{kind} {id} {version} {verb}");
    if installed.get("active") == Some(&Value::Bool(true)) {
        line.push_str(" and in use");
    } else {
        let in_use = text("/plugin/version");
        line.push_str(&format!(
            "; {in_use} stays in use, which is higher. `convergence plugin rollback {id} --to {version}` goes down to it"
        ));
    }
    line
}
