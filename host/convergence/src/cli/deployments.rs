//! `convergence deployments`, `diff`, `rollback` and `open`: what a tenant ran, and going back to it.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::age::ago;
use super::client::Client;
use super::confirm::{Confirmation, ask};
use super::deploy::{result, told, url};
use super::exit::Failure;
use super::output::{Output, table};
use super::spawn::plain;
use super::tenant::Tenant;
use super::watch::{Watch, Watching};

/// Whose history.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    tenant: Tenant,
    /// Show at most this many, the newest first.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
}

/// Which revision, compared with which.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    tenant: Tenant,
    /// Show what is different in this revision [default: the one that runs].
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    revision: Option<u32>,
    /// Compare with this revision [default: the one before].
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u32).range(1..))]
    from: Option<u32>,
}

/// Which revision is restored.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    tenant: Tenant,
    /// Restore this revision [default: the newest that ran before the one that runs].
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    revision: Option<u32>,
    /// Record a reason in the history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    confirmation: Confirmation,
    /// Stop waiting after this many seconds (the operation continues).
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=604_800))]
    wait: Option<u64>,
    /// Return as soon as the server has accepted the rollback.
    #[arg(long, conflicts_with = "wait")]
    detach: bool,
    #[command(flatten)]
    watching: Watching,
}

/// Whose address.
#[derive(Debug, Args)]
pub(crate) struct Open {
    #[command(flatten)]
    tenant: Tenant,
}

/// Lists what a tenant ran, runs and is about to run.
pub(crate) async fn list(client: &Client, arguments: &Listing, output: &Output) -> Result<(), Failure> {
    let answer = page(client, &arguments.tenant, arguments.limit).await?;
    let deployments = answer.get("deployments").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    output.result(&answer, || {
        let row = |one: &Value| {
            let part = |key: &str| one.get(key).map(plain).unwrap_or_default();
            let is_current = one.get("current").and_then(Value::as_bool).unwrap_or_default();
            let state = if is_current { "running".to_owned() } else { part("state") };
            let what = match one.get("restores") {
                Some(restores) => format!("revision {}", plain(restores)),
                None => part("source"),
            };
            let language = part("language");
            vec![part("revision"), state, what, language, part("actor"), ago(one, "createdAt"), part("reason")]
        };
        let rows: Vec<Vec<String>> = deployments.iter().map(row).collect();
        table(&["REVISION", "STATE", "FROM", "LANGUAGE", "BY", "CREATED", "REASON"], &rows)
    });
    Ok(())
}

/// Shows what is different in a revision.
pub(crate) async fn diff(client: &Client, arguments: &Diff, output: &Output) -> Result<(), Failure> {
    let revision = match arguments.revision {
        Some(revision) => i64::from(revision),
        None => current(&page(client, &arguments.tenant, 100).await?)?,
    };
    let path = arguments.tenant.path(&format!("/deployments/{revision}/diff"));
    let query: Vec<(&str, u32)> = arguments.from.map(|from| ("from", from)).into_iter().collect();
    let (_, difference) = client.json(client.request(Method::GET, &path).query(&query)).await?;
    output.result(&difference, || {
        let part = |key: &str| difference.get(key).map(plain).unwrap_or_default();
        let text = part("text");
        match (difference.get("from"), text.trim_end()) {
            (_, "") => format!("revisions {} and {} are the same", part("from"), part("to")),
            (None, text) => format!("revision {} is the first one\n{text}", part("to")),
            (Some(_), text) => format!("from revision {} to {}:\n{text}", part("from"), part("to")),
        }
    });
    Ok(())
}

/// Restores a revision.
pub(crate) async fn rollback(client: &Client, arguments: &Rollback, output: &Output) -> Result<(), Failure> {
    let asks = arguments.confirmation.is_needed("rollback")?;
    let revision = match arguments.revision {
        Some(revision) => i64::from(revision),
        None => before(&page(client, &arguments.tenant, 100).await?)?,
    };
    if asks {
        ask(&format!("Restore revision {revision} of {}?", arguments.tenant.as_str()))?;
    }
    let watch = Watch::new(client, *output, &arguments.watching, "rollback");
    let watch = watch.for_at_most(arguments.wait.map(Duration::from_secs));
    let path = arguments.tenant.path(&format!("/deployments/{revision}/rollback"));
    let body = json!({ "reason": arguments.reason });
    let accepted = watch.unless_interrupted(watch.deploy(&path, &body, arguments.detach, |_| ())).await?;
    let (_, tenant) = client.json(client.request(Method::GET, &arguments.tenant.path(""))).await?;
    let revision = accepted.pointer("/deployment/revision").and_then(Value::as_i64).unwrap_or_default();
    let deployed = result(client, &tenant, revision, accepted.get("operation").filter(|_| arguments.detach));
    output.result(&deployed, || told(&deployed));
    Ok(())
}

/// Opens a tenant in a browser where there is one to open; prints its address.
pub(crate) async fn open(client: &Client, arguments: &Open, output: &Output) -> Result<(), Failure> {
    let (_, tenant) = client.json(client.request(Method::GET, &arguments.tenant.path(""))).await?;
    let url = url(client, tenant.get("port").unwrap_or(&Value::Null));
    if output.is_interactive() {
        let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        // A machine without a desktop has no browser; the address below is as good.
        std::process::Command::new(program).arg(&url).stdout(std::process::Stdio::null()).spawn().ok();
    }
    output.result(&json!({ "url": url }), || url.clone());
    Ok(())
}

async fn page(client: &Client, tenant: &Tenant, limit: u32) -> Result<Value, Failure> {
    let request = client.request(Method::GET, &tenant.path("/deployments")).query(&[("limit", limit)]);
    Ok(client.json(request).await?.1)
}

/// The revision that runs.
fn current(page: &Value) -> Result<i64, Failure> {
    let is_current = |one: &&Value| one.get("current").and_then(Value::as_bool).unwrap_or_default();
    let found = deployments(page).find(is_current).and_then(|one| one.get("revision")?.as_i64());
    found.ok_or_else(|| Failure::Usage("no revision of the tenant runs; name the revision".to_owned()))
}

/// The newest revision below the one that runs which can be restored.
fn before(page: &Value) -> Result<i64, Failure> {
    let current = current(page)?;
    let number = |one: &Value| one.get("revision").and_then(Value::as_i64);
    let is_ready = |one: &&Value| one.get("state").and_then(Value::as_str) == Some("ready");
    let found = deployments(page).filter(is_ready).filter_map(number).find(|number| *number < current);
    found.ok_or_else(|| {
        Failure::Usage(
            "there is no earlier revision to restore; `convergence deployments` lists what there is".to_owned(),
        )
    })
}

fn deployments(page: &Value) -> impl Iterator<Item = &Value> {
    page.get("deployments").and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_newest_revision_that_ran_before_is_restored() {
        let one = |revision: i64, state: &str, current: bool| json!({ "revision": revision, "state": state, "current": current });
        let page = json!({ "deployments": [
            one(6, "failed", false), one(5, "ready", true), one(4, "failed", false), one(3, "ready", false), one(2, "retired", false),
        ] });
        assert_eq!(before(&page).unwrap(), 3);
        assert_eq!(current(&page).unwrap(), 5);
        assert!(before(&json!({ "deployments": [one(1, "ready", true)] })).is_err());
        assert!(current(&json!({ "deployments": [] })).is_err());
    }
}
