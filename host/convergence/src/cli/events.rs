//! `convergence events`

use clap::Args;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::client::{Client, PAUSE, SILENCE};
use super::exit::Failure;
use super::output::{Output, has_lost_its_reader, reader_left};
use super::spawn::plain;
use super::sse::Events;

/// Which events.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print every line that the steps print as well.
    #[arg(long, short)]
    verbose: bool,
}

/// Prints what happens to all operations in reach, from now on and until Ctrl-C. A server that restarts is waited for.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    // Nothing is waited for that never answered.
    let mut away: Option<Instant> = None;
    loop {
        let answer = client.send(client.request(Method::GET, "/api/v1/events")).await;
        let mut stream = match (answer, away) {
            (Ok(response), _) => response.bytes_stream().take_until(Box::pin(reader_left())),
            (Err(Failure::Unreachable(_)), Some(since)) if since.elapsed() < SILENCE => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            (Err(failure), _) => return Err(failure),
        };
        output.progress(match away {
            None => "following the operations of this server; Ctrl-C stops",
            Some(_) => "the server answers again; what happened in between is in `convergence operation list`",
        });
        let mut events = Events::default();
        while let Some(Ok(piece)) = stream.next().await {
            for event in events.push(&piece) {
                let is_line = event.data.get("event").is_some_and(|kind| kind == "line");
                if arguments.verbose || !is_line {
                    output.news(&event.data, || line(&event.name, &event.data));
                }
            }
            if has_lost_its_reader() {
                return Ok(());
            }
        }
        if has_lost_its_reader() {
            return Ok(());
        }
        output.progress("the server ended the connection; waiting for it");
        away = Some(Instant::now());
    }
}

/// The time of day, the operation, and what happened to it.
fn line(name: &str, event: &Value) -> String {
    let part = |key: &str| event.get(key).map(plain).unwrap_or_default();
    let (kind, subject) = (part("kind"), part("subject"));
    let (at, what) = match name {
        "outcome" => {
            let why = event.pointer("/failure/message").and_then(Value::as_str);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            (part("updatedAt"), format!("{}{why}", part("state")))
        }
        _ => (part("at"), format!("{} {} {}", part("step"), part("event"), part("detail"))),
    };
    let time = at.get(11..19).unwrap_or(&at);
    format!("{time}  {kind} {subject}  {}", what.trim_end())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_that_says_when_what_and_how() {
        let step = json!({ "operation": "0198", "kind": "spawn", "subject": "tenant/7", "seq": 2, "step": "image",
            "event": "done", "detail": "", "at": "2026-01-15T10:00:01Z" });
        assert_eq!(line("step", &step), "10:00:01  spawn tenant/7  image done");
        let over = json!({ "id": "0198", "kind": "spawn", "subject": "tenant/7", "state": "failed",
            "failure": { "message": "the build failed" }, "updatedAt": "2026-01-15T10:00:02Z" });
        assert_eq!(line("outcome", &over), "10:00:02  spawn tenant/7  failed: the build failed");
    }
}
