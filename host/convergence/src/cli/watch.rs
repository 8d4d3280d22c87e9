//! Following an operation while it is done, and what to say when it is followed no longer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use super::client::{Client, PAUSE, SILENCE};
use super::exit::Failure;
use super::output::Output;
use super::progress::Progress;
use super::sse::Events;

/// A stream of events sends something at least this often, if only to say that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(45);

/// How much of an operation is shown.
#[derive(Debug, Args)]
pub(crate) struct Watching {
    /// Show everything that the steps print, not only where one fails.
    #[arg(long, short)]
    verbose: bool,
}

/// How far a request has got, for when Ctrl-C ends the command.
#[derive(Debug, Default)]
enum Stage {
    /// It may have reached the server.
    #[default]
    Asked,
    /// The server works on the operation at this URL, and answered this.
    Accepted(String, Value),
}

/// Follows operations for one command.
pub(crate) struct Watch<'a> {
    client: &'a Client,
    output: Output,
    verbose: bool,
    patience: Option<Duration>,
    /// What is done, as people call it.
    what: &'static str,
    stage: Mutex<Stage>,
}

impl<'a> Watch<'a> {
    /// `what` is done: `spawn`, `destroy`, ….
    pub(crate) fn new(client: &'a Client, output: Output, watching: &Watching, what: &'static str) -> Self {
        let stage = Mutex::default();
        Self { client, output, verbose: watching.verbose, patience: None, what, stage }
    }

    /// The same, showing steps alone.
    pub(crate) fn brief(client: &'a Client, output: Output, what: &'static str) -> Self {
        Self::new(client, output, &Watching { verbose: false }, what)
    }

    /// Stops waiting after some time.
    pub(crate) fn for_at_most(self, patience: Option<Duration>) -> Self {
        Self { patience, ..self }
    }

    /// Does the work until Ctrl-C ends it: then the answer says what continues on the server.
    pub(crate) async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            heard = interrupted() => match heard {
                Ok(()) => Err(self.interruption()),
                Err(error) => Err(Failure::Failed(format!("cannot listen for Ctrl-C: {error}"))),
            },
        }
    }

    /// Asks for a tenant and follows it until it runs. `told` hears of the tenant as soon as it is accepted. Answers the tenant.
    pub(crate) async fn spawn(
        &self,
        body: &Value,
        query: &[(&'static str, String)],
        told: impl FnOnce(&Value),
    ) -> Result<Value, Failure> {
        let client = self.client;
        let request = client.request(Method::POST, "/api/v1/tenant/spawn").query(query);
        let (_, accepted) = client.json_once(request.header("prefer", "respond-async").json(body)).await?;
        let mut tenant = accepted.get("tenant").cloned().unwrap_or_default();
        let part = |key: &str| tenant.get(key).map(super::spawn::plain).unwrap_or_default();
        let (id, name) = (part("envId"), part("name"));
        told(&tenant);
        self.output.progress(&format!("tenant {id} `{name}` is accepted"));
        let Some(url) = accepted.pointer("/operation/url").and_then(Value::as_str) else { return Ok(tenant) };
        self.accepted(url, &accepted);
        self.follow(url).await?;
        // Its port may have moved while it was started.
        let path = format!("/api/v1/tenant/{id}/status");
        let status = match client.json(client.request(Method::GET, &path)).await {
            Ok((_, status)) => status,
            Err(Failure::Unreachable(text)) => {
                let text = format!("the spawn succeeded, and then {text}\nstatus: convergence status {id}");
                return Err(Failure::Pending(text, accepted));
            }
            Err(other) => return Err(other),
        };
        for key in ["status", "port"] {
            if let (Some(slot), Some(value)) = (tenant.get_mut(key), status.get(key)) {
                *slot = value.clone();
            }
        }
        Ok(tenant)
    }

    /// Sends a request that may begin an operation, and follows that to its end, unless `detach`. Answers what the server did.
    pub(crate) async fn begin(&self, request: RequestBuilder, detach: bool) -> Result<Value, Failure> {
        let (_, answer) = self.client.json(request.header("prefer", "respond-async")).await?;
        if let Some(url) = answer.pointer("/operation/url").and_then(Value::as_str).filter(|_| !detach) {
            self.accepted(url, &answer);
            self.follow(url).await?;
        }
        Ok(answer)
    }

    /// Asks for a deployment at a path of the API and follows it until it runs, unless `detach`. `told` hears of what was
    /// accepted as soon as it is. Answers the same.
    pub(crate) async fn deploy(
        &self,
        path: &str,
        body: &Value,
        detach: bool,
        told: impl FnOnce(&Value),
    ) -> Result<Value, Failure> {
        let client = self.client;
        let request = client.request(Method::POST, path).header("prefer", "respond-async").json(body);
        let (_, accepted) = client.json_once(request).await?;
        told(&accepted);
        let revision = accepted.pointer("/deployment/revision").map(super::spawn::plain).unwrap_or_default();
        if detach {
            return Ok(accepted);
        }
        self.output.progress(&format!("revision {revision} is accepted"));
        if let Some(url) = accepted.pointer("/operation/url").and_then(Value::as_str) {
            self.accepted(url, &accepted);
            self.follow(url).await?;
        }
        Ok(accepted)
    }

    /// Remembers what the server accepted: from here on it continues whatever becomes of this command.
    fn accepted(&self, url: &str, answer: &Value) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Stage::Accepted(url.to_owned(), answer.clone());
    }

    /// Follows an operation to its end, showing its steps.
    pub(crate) async fn follow(&self, url: &str) -> Result<(), Failure> {
        let answer = match &*self.stage.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Accepted(at, answer) if at == url => answer.clone(),
            _ => Value::Null,
        };
        self.accepted(url, &answer);
        let deadline = Instant::now() + self.patience.unwrap_or(Duration::from_secs(24 * 3600));
        match timeout_at(deadline, self.until_over(url, &answer)).await {
            Ok(over) => over,
            Err(_) => {
                let seconds = self.patience.unwrap_or_default().as_secs();
                let text = format!("the {} is not finished after {seconds} s and continues", self.what);
                Err(Failure::Pending(format!("{text}\n{}", self.next(url)), answer))
            }
        }
    }

    async fn until_over(&self, url: &str, answer: &Value) -> Result<(), Failure> {
        let client = self.client;
        let mut progress = Progress::new(self.output, self.verbose);
        let (mut last, mut heard) = (0, Instant::now());
        loop {
            let request = client.request(Method::GET, &format!("{url}/events")).header("last-event-id", last);
            let answered = tokio::time::timeout(KEEP_ALIVE, client.send(request)).await;
            let mut stream = match answered {
                Ok(Ok(response)) => response.bytes_stream(),
                // A server that restarts goes on with the operation, so the watching goes on too.
                Err(_) | Ok(Err(Failure::Unreachable(_))) if heard.elapsed() < SILENCE => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(_) | Ok(Err(Failure::Unreachable(_))) => {
                    drop(progress);
                    let seconds = heard.elapsed().as_secs();
                    let text = format!(
                        "the server has not answered for {seconds} s; it continues the {} once it runs again",
                        self.what
                    );
                    return Err(Failure::Pending(format!("{text}\n{}", self.next(url)), answer.clone()));
                }
                Ok(Err(failure)) => return Err(failure),
            };
            let mut events = Events::default();
            while let Ok(Some(Ok(piece))) = tokio::time::timeout(KEEP_ALIVE, stream.next()).await {
                heard = Instant::now();
                for event in events.push(&piece) {
                    last = event.id.unwrap_or(last);
                    match event.name.as_str() {
                        "step" => progress.event(&event.data),
                        "outcome" => return outcome(&event.data, progress.has_shown_the_log()),
                        // A newer server may tell more.
                        _ => {}
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn interruption(&self) -> Failure {
        match std::mem::take(&mut *self.stage.lock().unwrap_or_else(PoisonError::into_inner)) {
            Stage::Accepted(url, answer) => {
                let text = format!("stopped watching; the {} continues on the server", self.what);
                Failure::Interrupted(format!("{text}\n{}", self.next(&url)), answer)
            }
            Stage::Asked => Failure::Interrupted(
                format!(
                    "interrupted before the server answered; the {} may have been accepted all the same\n\
                     check: convergence operation list",
                    self.what
                ),
                Value::Null,
            ),
        }
    }

    /// What can be done about an operation that is no longer followed.
    fn next(&self, url: &str) -> String {
        let id = url.rsplit('/').next().unwrap_or_default();
        let watch = format!("watch:  convergence operation watch {id}");
        // What is removed is not given back.
        let goes_forward = ["destroy", "removal"].contains(&self.what);
        if goes_forward { watch } else { format!("{watch}\ncancel: convergence operation cancel {id}") }
    }
}

/// Returns when somebody presses Ctrl-C, closes the terminal or asks the process to end.
async fn interrupted() -> std::io::Result<()> {
    let mut signals = [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::terminate()].map(signal);
    let [interrupt, hangup, terminate] = &mut signals;
    let (Ok(interrupt), Ok(hangup), Ok(terminate)) = (interrupt, hangup, terminate) else {
        return signals.into_iter().find_map(Result::err).map_or(Ok(()), Err);
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn outcome(operation: &Value, log_is_shown: bool) -> Result<(), Failure> {
    let state = operation.get("state").and_then(Value::as_str).unwrap_or_default();
    if state == "succeeded" {
        return Ok(());
    }
    let mut problem = operation.get("failure").filter(|failure| failure.is_object()).cloned().unwrap_or_default();
    let part = |key: &str| problem.get(key).and_then(Value::as_str).map(str::to_owned);
    let detail = match (part("step"), part("message")) {
        (Some(step), Some(message)) => format!("step {step}: {message}"),
        (_, Some(message)) => message,
        _ => format!("the operation ended {state}"),
    };
    if problem.is_null() {
        problem = serde_json::json!({});
    }
    if let Some(problem) = problem.as_object_mut() {
        problem.insert("detail".to_owned(), detail.into());
        if log_is_shown {
            problem.remove("log");
        }
    }
    Err(Failure::Problem(422, problem))
}
