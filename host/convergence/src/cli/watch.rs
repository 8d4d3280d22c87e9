//! Following an operation while it is done.

use std::time::Duration;

use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout_at;

use super::client::{Client, PAUSE, SILENCE};
use super::exit::Failure;
use super::output::Output;
use super::spawn::plain;

/// Asks for a tenant and follows it until it runs, or until `patience` runs out. Answers the tenant.
pub(crate) async fn spawn(
    client: &Client,
    body: &Value,
    query: &[(&'static str, String)],
    patience: Option<Duration>,
    output: Output,
) -> Result<Value, Failure> {
    let request = client.request(Method::POST, "/api/v1/tenant/spawn").query(query);
    let (_, accepted) = client.json_once(request.header("prefer", "respond-async").json(body)).await?;
    let mut tenant = accepted.get("tenant").cloned().unwrap_or_default();
    // The key is shown only now: not even a server that dies in the middle takes it away again.
    let part = |key: &str| tenant.get(key).map(plain).unwrap_or_default();
    output.progress(&format!("tenant {} is accepted; API key, shown only now: {}", part("envId"), part("apiKey")));
    if let Some(url) = accepted.pointer("/operation/url").and_then(Value::as_str) {
        follow(client, url, patience, output).await.map_err(|failure| match failure {
            Failure::Pending(text, _) => Failure::Pending(text, accepted.clone()),
            other => other,
        })?;
        // Its port may have moved while it was started.
        let id = tenant.get("envId").and_then(Value::as_i64).unwrap_or_default();
        let (_, status) = client.json(client.request(Method::GET, &format!("/api/v1/tenant/{id}/status"))).await?;
        for key in ["status", "port"] {
            if let (Some(slot), Some(value)) = (tenant.get_mut(key), status.get(key)) {
                *slot = value.clone();
            }
        }
    }
    Ok(tenant)
}

/// Follows an operation to its end, showing its steps.
pub(crate) async fn follow(
    client: &Client,
    url: &str,
    patience: Option<Duration>,
    output: Output,
) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + patience.unwrap_or(Duration::from_secs(24 * 3600));
    let display = Display::new(output);
    let (mut last, mut silence) = (0, Duration::ZERO);
    loop {
        let request = client.request(Method::GET, &format!("{url}/events")).header("last-event-id", last);
        let mut stream = match client.send(request).await {
            Ok(response) => response.bytes_stream(),
            // A server that restarts goes on with the operation, so the watching goes on too.
            Err(Failure::Unreachable(_)) if silence < SILENCE => {
                tokio::time::sleep(PAUSE).await;
                silence += PAUSE;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let mut events = Events::default();
        loop {
            let pending = || Failure::Pending(format!("not finished yet; it goes on at {url}"), Value::Null);
            let chunk = timeout_at(deadline, stream.next()).await.map_err(|_| pending())?;
            let Some(Ok(chunk)) = chunk else { break };
            silence = Duration::ZERO;
            for (id, name, data) in events.push(&chunk) {
                last = id.unwrap_or(last);
                match name.as_str() {
                    "step" => display.step(&data),
                    "outcome" => {
                        display.end();
                        return outcome(&data);
                    }
                    _ => {}
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn outcome(operation: &Value) -> Result<(), Failure> {
    if operation.get("state").and_then(Value::as_str) == Some("succeeded") {
        return Ok(());
    }
    let mut problem = operation.get("failure").cloned().unwrap_or_default();
    let message = problem.get("message").and_then(Value::as_str).unwrap_or("it failed").to_owned();
    let step = problem.get("step").and_then(Value::as_str).unwrap_or("?").to_owned();
    if let Some(problem) = problem.as_object_mut() {
        problem.insert("detail".to_owned(), format!("step {step}: {message}").into());
    }
    Err(Failure::Problem(422, problem))
}

/// Server-sent events, as far as this server sends them: `id`, `event` and one line of `data`.
#[derive(Debug, Default)]
struct Events {
    buffer: Vec<u8>,
}

impl Events {
    fn push(&mut self, bytes: &[u8]) -> Vec<(Option<i64>, String, Value)> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&block);
            let field = |name: &str| {
                text.lines().find_map(|line| {
                    line.strip_prefix(name)?.strip_prefix(':').map(|rest| rest.trim_start().to_owned())
                })
            };
            if let (Some(name), Some(data)) = (field("event"), field("data")) {
                let id = field("id").and_then(|id| id.parse().ok());
                events.push((id, name, serde_json::from_str(&data).unwrap_or_default()));
            }
        }
        events
    }
}

/// A spinner on a terminal, plain lines elsewhere, nothing for programs.
struct Display {
    output: Output,
    spinner: Option<ProgressBar>,
}

impl Display {
    fn new(output: Output) -> Self {
        let spinner = output.is_interactive().then(|| {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>3} {wide_msg}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        Self { output, spinner }
    }

    fn step(&self, event: &Value) {
        let part = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
        let (step, kind) = (part("step"), part("event"));
        let detail: String = part("detail").chars().filter(|c| !c.is_control()).collect();
        match (&self.spinner, kind) {
            (Some(spinner), "line") => spinner.set_message(format!("{step}: {detail}")),
            (Some(spinner), "started") => spinner.set_message(step.to_owned()),
            (Some(spinner), "done") => spinner.println(format!("  ✓ {step}")),
            (Some(spinner), _) => spinner.println(format!("  ✗ {step} {kind} {detail}")),
            (None, "line") => self.output.progress(&format!("{step}: {detail}")),
            (None, _) => self.output.progress(&format!("{step}: {kind} {detail}")),
        }
    }

    fn end(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_arrive_in_any_pieces() {
        let text = b"event: step\ndata: {\"step\":\"image\"}\nid: 7\n\n: keep-alive\n\nevent: outcome\ndata: {}\n\n";
        let mut events = Events::default();
        let got: Vec<_> = text.chunks(5).flat_map(|chunk| events.push(chunk)).collect();
        assert_eq!(got.len(), 2);
        assert_eq!(got.first().map(|(id, name, _)| (*id, name.as_str())), Some((Some(7), "step")));
    }
}
