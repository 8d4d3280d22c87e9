//! What a running server says of itself.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::{Finding, ok, wrong};
use crate::cli::client::Client;
use crate::cli::spawn::plain;

const CHECK: &str = "server";
/// A server checks its engine and its database before it answers.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks the server for its checks. None where nothing answers.
pub(super) async fn ask(client: &Client) -> Option<Vec<Finding>> {
    let url = client.url();
    let request = client.request(Method::GET, "/ready").timeout(PATIENCE);
    let answer = match request.send().await {
        Ok(response) => response.json::<Value>().await,
        Err(error) if error.is_connect() => return None,
        Err(error) => Err(error),
    };
    let checks =
        answer.as_ref().ok().and_then(|answer| Some((answer.get("status")?, answer.get("checks")?.as_array()?)));
    let Some((status, checks)) = checks else {
        let detail = format!("something answers at {url}, and not like a Convergence server");
        return Some(vec![wrong(CHECK, detail, "name the server with --url, or find what listens there (`ss -ltnp`)")]);
    };
    let mut findings = vec![if status == "ready" {
        ok(CHECK, format!("{url} is ready"))
    } else {
        wrong(CHECK, format!("{url} answers and is not ready"), "fix what is wrong below")
    }];
    findings.extend(checks.iter().map(|check| {
        let part = |key: &str| check.get(key).map(plain).unwrap_or_default();
        let detail = format!("{}: {}", part("name"), part("detail"));
        // The detail says what to do.
        match check.get("ok").and_then(Value::as_bool) {
            Some(true) => ok(CHECK, detail),
            _ => Finding { check: CHECK, verdict: super::Verdict::Wrong, detail, fix: None },
        }
    }));
    Some(findings)
}
