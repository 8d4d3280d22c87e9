//! `convergence plugin install`

use std::fs;
use std::path::{Path, PathBuf};

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
    /// Install this component with the signature beside it (FILE.sig), or the one at `oci://host/name:version`, which the
    /// server fetches.
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
    let cannot_read = |error: std::io::Error| {
        let hint =
            like_a_reference(file).map(|text| format!("; for a registry, write oci://{text}")).unwrap_or_default();
        Failure::Failed(format!("cannot read {}: {error}{hint}", file.display()))
    };
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

/// What is named like an image in a registry, `ghcr.io/acme/ruby:1.2.0`, and is not the name of a component.
fn like_a_reference(file: &Path) -> Option<&str> {
    let text = file.to_str()?;
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("docker://")).unwrap_or(text);
    let (host, path) = text.split_once('/')?;
    let is_host = host == "localhost" || (host.contains(['.', ':']) && !host.starts_with('.'));
    (is_host && !path.is_empty() && !path.ends_with(".wasm")).then_some(text)
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
        let in_use = match text("/plugin/version") {
            "" => "no version is in use".to_owned(),
            in_use => format!("{in_use} stays in use"),
        };
        line.push_str(&format!("; {in_use}. `convergence plugin rollback {id} --to {version}` uses {version}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_without_its_scheme_is_recognised_and_a_file_is_not() {
        let hint = |text: &'static str| like_a_reference(Path::new(text));
        assert_eq!(hint("ghcr.io/acme/ruby:1.2.0"), Some("ghcr.io/acme/ruby:1.2.0"));
        assert_eq!(hint("https://ghcr.io/acme/ruby"), Some("ghcr.io/acme/ruby"));
        assert_eq!(hint("localhost:5000/ruby:1"), Some("localhost:5000/ruby:1"));
        for file in ["ruby.wasm", "./out/ruby", "../ruby", "/srv/ruby.wasm", "out.d/ruby.wasm", "out/ruby"] {
            assert_eq!(hint(file), None, "{file}");
        }
    }
}
