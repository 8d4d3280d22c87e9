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

/// Which tenant.
#[derive(Debug, Args)]
struct Named {
    #[command(flatten)]
    tenant: Tenant,
}

/// What is to be removed from which tenant.
#[derive(Debug, Args)]
struct Unset {
    #[command(flatten)]
    tenant: Tenant,
    /// Remove these.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    changing: Changing,
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

/// What a list ends with where nothing runs with what it has.
fn unless_running(found: &Value) -> &'static str {
    match found.get("revision") {
        Some(_) => "",
        None => "\nThese are not running yet: they are kept for the next deployment, or one is under way.",
    }
}

/// Names that are to be removed, each of which is among those that are `there`.
fn gone<'a>(
    tenant: &Tenant,
    names: &[String],
    what: &str,
    command: &str,
    there: impl Iterator<Item = &'a str>,
) -> Result<Map<String, Value>, Failure> {
    let there: Vec<&str> = there.collect();
    if let Some(absent) = names.iter().find(|name| !there.contains(&name.as_str())) {
        return Err(Failure::Usage(format!(
            "tenant {} has no {what} {absent}; `convergence {command} list {0}` shows which it has",
            tenant.as_str()
        )));
    }
    once(names.iter().map(|name| (name.clone(), Value::Null)))
}

/// Variables by name; a name that is there twice is an error.
fn once(variables: impl Iterator<Item = (String, Value)>) -> Result<Map<String, Value>, Failure> {
    let mut map = Map::new();
    for (name, value) in variables {
        if map.insert(name.clone(), value).is_some() {
            return Err(Failure::Usage(format!("{name} is given more than once")));
        }
    }
    Ok(map)
}
