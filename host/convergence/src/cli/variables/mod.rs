//! `convergence env` and `convergence secret`

mod dotenv;
pub(crate) mod env;
pub(crate) mod secret;

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::spawn::plain;
use super::tenant::Tenant;
use super::watch::{Watch, Watching};

/// How a change is carried out.
#[derive(Debug, Args)]
pub(crate) struct Changing {
    /// Keep the change for the next deployment; the app is not replaced.
    #[arg(long)]
    later: bool,
    /// Record a reason in the history.
    #[arg(long, value_name = "TEXT", conflicts_with = "later")]
    reason: Option<String>,
    /// Return as soon as the server has accepted the deployment.
    #[arg(long, conflicts_with = "later")]
    detach: bool,
    #[command(flatten)]
    watching: Watching,
}

/// Changes variables of a kind, `env` or `secrets`, and watches the revision that has them.
async fn change(
    client: &Client,
    tenant: &Tenant,
    (method, kind): (Method, &str),
    variables: Map<String, Value>,
    changing: &Changing,
    output: &Output,
) -> Result<(), Failure> {
    let mut body = json!({ kind: variables });
    if let (Some(reason), Some(body)) = (&changing.reason, body.as_object_mut()) {
        body.insert("reason".to_owned(), json!(reason));
    }
    let path = tenant.path(&format!("/{kind}"));
    let request = client.request(method, &path).query(&[("deploy", !changing.later)]).json(&body);
    let watch = Watch::new(client, *output, &changing.watching, "deployment");
    let answer = watch.unless_interrupted(watch.begin(request, changing.detach)).await?;
    output.result(&answer, || told(tenant, &answer, changing));
    Ok(())
}

fn told(tenant: &Tenant, answer: &Value, changing: &Changing) -> String {
    let tenant = tenant.as_str();
    match (answer.pointer("/deployment/revision").map(plain), answer.get("revision").map(plain)) {
        (Some(revision), _) if changing.detach => format!("revision {revision} of tenant {tenant} is accepted"),
        (Some(revision), _) => format!("tenant {tenant} runs revision {revision} with the change"),
        (None, Some(revision)) => {
            format!("nothing is different: revision {revision} of tenant {tenant} has these variables")
        }
        (None, None) if changing.later => format!(
            "the change is kept for the next deployment of tenant {tenant}; `convergence env apply {tenant}` makes one"
        ),
        (None, None) => {
            format!("tenant {tenant} is stopped, or is being deployed: its next revision has these variables")
        }
    }
}
