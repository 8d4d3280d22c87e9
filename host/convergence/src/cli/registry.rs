//! `convergence registry login|list|logout`

use clap::{Args, Subcommand};
use convergence_model::RegistryHost;
use reqwest::Method;
use serde_json::{Value, json};

use super::age::ago;
use super::client::Client;
use super::exit::Failure;
use super::output::{Output, table};
use super::spawn::plain;
use super::variables::secret::hidden;

/// What to do with private registries.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Log in to a registry: its images are pulled as this user from then on. The password is asked for on the terminal, or read
    /// from standard input.
    Login(Login),
    /// List the registries that the organization is logged in to, without the passwords.
    List,
    /// Log out of a registry. What was built from its images stays.
    Logout(Logout),
}

#[derive(Debug, Args)]
struct Login {
    /// Log in to the registry with this host, as images name it: `name` or `name:port`. Docker Hub is `docker.io`.
    #[arg(value_name = "HOST", value_parser = host)]
    host: String,
    /// Log in as this user of the registry.
    #[arg(long, value_name = "NAME")]
    user: String,
}

#[derive(Debug, Args)]
struct Logout {
    /// Log out of the registry with this host.
    #[arg(value_name = "HOST", value_parser = host)]
    host: String,
}

/// Shows or changes the registries of the organization.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::Login(Login { host, user }) => {
            let password = hidden(&format!("Password of {user} at {host}"))?;
            let body = json!({ "user": user, "password": password });
            let (_, registry) = client.json(client.request(Method::PUT, &path(host)).json(&body)).await?;
            output.result(&registry, || format!("images of {host} are pulled as {user} from now on"));
            Ok(())
        }
        Command::List => list(client, output).await,
        Command::Logout(Logout { host }) => {
            client.send(client.request(Method::DELETE, &path(host))).await?;
            output.result(&json!({ "success": true }), || {
                format!("images of {host} are pulled without a login from now on")
            });
            Ok(())
        }
    }
}

async fn list(client: &Client, output: &Output) -> Result<(), Failure> {
    let (_, found) = client.json(client.request(Method::GET, "/api/v1/registries")).await?;
    output.result(&found, || {
        let registries = found.get("registries").and_then(Value::as_array).into_iter().flatten();
        let row = |registry: &Value| {
            let part = |field: &str| registry.get(field).map(plain).unwrap_or_default();
            vec![part("host"), part("user"), ago(registry, "createdAt"), part("actor")]
        };
        let rows: Vec<_> = registries.map(row).collect();
        match rows.as_slice() {
            [] => "the organization is logged in to no registry; `convergence registry login HOST --user NAME` logs in"
                .to_owned(),
            rows => table(&["HOST", "USER", "SINCE", "BY"], rows),
        }
    });
    Ok(())
}

/// A host has no character that a path would need to encode.
fn path(host: &str) -> String {
    format!("/api/v1/registries/{host}")
}

fn host(text: &str) -> Result<String, String> {
    RegistryHost::parse(text).map(|host| host.to_string())
}
