//! Waiting until what was started is ready.
//!
//! The host dials each instance's own address, the one the engine reports: never a name and never an address
//! that a tenant chose. It follows no redirect, reads at most 64 KiB and takes at most two seconds a try.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use convergence_model::plan::Probe;
use convergence_model::workload::Workload;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::error::RuntimeError;
use crate::listeners::listeners;
use crate::observed::{Endpoint, Instance, Observed, Reach, Rollout, State};
use crate::runtime::{LogQuery, Ready, Runtime};

const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_TRY: Duration = Duration::from_secs(2);
const MOST_BYTES: usize = 64 * 1024;
const LOG_LINES: u32 = 20;

/// Asks again and again, 25 ms to 250 ms apart, until every instance of the workload passes its probe.
///
/// # Errors
/// As [`Runtime::wait_ready`].
pub async fn wait_ready(runtime: &dyn Runtime, workload: &Workload, patience: Duration) -> Result<Ready, RuntimeError> {
    let name = &workload.name;
    let began = Instant::now();
    let one_try = Duration::from_secs(u64::from(workload.health.timeout_seconds.max(1))).min(LONGEST_TRY);
    let mut pause = FIRST_PAUSE;
    let mut attempts = 0u32;
    let mut restarts = BTreeMap::new();
    loop {
        let Some(seen) = runtime.observe(name).await? else {
            return Err(RuntimeError::NotFound { what: format!("container {name}") });
        };
        for instance in &seen.instances {
            // One that restarted long ago and runs since is no failure; one that restarts while we wait is.
            let before = *restarts.entry(instance.id.clone()).or_insert(instance.restarts);
            if let Some((code, oom)) = ended(instance, before) {
                return Err(RuntimeError::Exited { code, oom, log: last_lines(runtime, &instance.id).await });
            }
        }
        attempts = attempts.saturating_add(1);
        let last = match attempt(runtime, workload, &seen, one_try).await {
            Ok(()) => return Ok(Ready { after: began.elapsed(), attempts }),
            Err(reason) => reason,
        };
        let failed = matches!(seen.rollout, Rollout::Failed { .. });
        if failed || began.elapsed().saturating_add(pause) >= patience {
            let after = if failed { began.elapsed() } else { patience };
            let (port, listening) = (workload.container_port, listeners(runtime, name).await);
            return Err(RuntimeError::NotReady { after, last, port, listening, log: last_lines(runtime, name).await });
        }
        sleep(pause).await;
        pause = pause.saturating_mul(3).checked_div(2).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
    }
}

/// Exit code and whether memory was the reason, where the instance ended since it was first seen.
fn ended(instance: &Instance, restarts_before: u64) -> Option<(Option<i64>, bool)> {
    let last = instance.last_end;
    let oom = last.is_some_and(|end| end.oom);
    match instance.state {
        State::Exited | State::Restarting => Some((last.and_then(|end| end.code), oom)),
        State::Dead | State::Removing => Some((None, false)),
        State::Running | State::Paused | State::Created if instance.restarts > restarts_before => Some((None, oom)),
        State::Running | State::Paused | State::Created => None,
    }
}

async fn last_lines(runtime: &dyn Runtime, name: &str) -> Vec<String> {
    let query = LogQuery { tail: Some(LOG_LINES), ..LogQuery::default() };
    // They explain an error; without them the error is still the one to report.
    let lines = runtime.logs(name, &query).await.unwrap_or_default();
    lines.into_iter().map(|line| line.text).collect()
}

/// One probe of every instance; the error is what the first that does not pass saw, human-readable.
async fn attempt(runtime: &dyn Runtime, workload: &Workload, seen: &Observed, limit: Duration) -> Result<(), String> {
    match &seen.rollout {
        Rollout::Failed { why } => return Err(why.clone()),
        Rollout::Progressing => return Err("the rollout is in progress".to_owned()),
        Rollout::Complete if seen.instances.is_empty() => return Err("there is no instance".to_owned()),
        Rollout::Complete => {}
    }
    for instance in &seen.instances {
        if instance.state != State::Running {
            return Err(format!("the container is {:?}", instance.state).to_lowercase());
        }
        probe(runtime, workload, seen, instance, limit).await?;
    }
    Ok(())
}

async fn probe(
    runtime: &dyn Runtime,
    workload: &Workload,
    seen: &Observed,
    instance: &Instance,
    limit: Duration,
) -> Result<(), String> {
    let address = || {
        let its_own = |endpoint: &&Endpoint| {
            endpoint.reach == Reach::Instance && endpoint.instance.as_ref() == Some(&instance.id)
        };
        let endpoint = seen.endpoints.iter().find(its_own);
        endpoint.map(|endpoint| endpoint.address).ok_or_else(|| "the container has no address yet".to_owned())
    };
    match &workload.health.probe {
        Probe::Http(path) => get(address()?, path, limit).await,
        Probe::Tcp => open(address()?, limit).await,
        Probe::Command(command) => match runtime.exec(&instance.id, command, limit, &mut |_, _| {}).await {
            Ok(0) => Ok(()),
            Ok(code) => Err(format!("the probe's command ended with exit code {code}")),
            Err(error) => Err(error.to_string()),
        },
    }
}

async fn dial(address: SocketAddr, limit: Duration) -> Result<TcpStream, String> {
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(format!("port {}: {error}", address.port())),
        Err(_) => Err(format!("port {}: no answer in {} s", address.port(), limit.as_secs_f32())),
    }
}

/// A connection; success is one that is accepted, unless what accepts it speaks HTTP and answers `/` that it is broken: an app
/// that listens and has no database would take the place of one that works.
async fn open(address: SocketAddr, limit: Duration) -> Result<(), String> {
    match exchange(address, "/", limit).await?.status {
        Some(code @ 500..=599) => Err(format!("GET / answered {code}")),
        _ => Ok(()),
    }
}

/// `GET`; success is any 2xx.
async fn get(address: SocketAddr, path: &str, limit: Duration) -> Result<(), String> {
    if !path.starts_with('/') || path.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(format!("{path:?} is not the path of a URL"));
    }
    let Exchange { status, ended } = exchange(address, path, limit).await?;
    match (status, ended) {
        (Some(200..=299), _) => Ok(()),
        (Some(code @ 300..=399), _) => Err(format!("GET {path} answered {code}; redirects are not followed")),
        (Some(code), _) => Err(format!("GET {path} answered {code}")),
        (None, Err(reason)) => Err(format!("GET {path}: {reason}")),
        (None, Ok(())) => Err(format!("GET {path}: the answer is not HTTP")),
    }
}

/// What a request was answered with.
struct Exchange {
    /// None where it was not answered in HTTP.
    status: Option<u16>,
    /// Why it did not come to its end, where it did not.
    ended: Result<(), String>,
}

/// Sends a `GET` and reads the answer, as far as it is near.
///
/// # Errors
/// Nothing accepts the connection.
async fn exchange(address: SocketAddr, path: &str, limit: Duration) -> Result<Exchange, String> {
    let mut stream = dial(address, limit).await?;
    let mut answer = Vec::new();
    let exchange = timeout(limit, async {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: convergence-probe\r\n\
             Accept: */*\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut chunk = [0; 4096];
        // Read to the end where it is near, so that the application sees no broken connection.
        while answer.len() < MOST_BYTES && !is_whole(&answer) {
            let read = stream.read(&mut chunk).await?;
            if read == 0 {
                break;
            }
            answer.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
        Ok::<_, std::io::Error>(())
    })
    .await;
    let ended = match exchange {
        Err(_) => Err(format!("no answer in {} s", limit.as_secs_f32())),
        Ok(done) => done.map_err(|error| error.to_string()),
    };
    Ok(Exchange { status: status(&answer), ended })
}

/// The status code, once its line is whole.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next().filter(|line| line.len() < answer.len())?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether head and body have arrived, as far as the head says how long the body is.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len().saturating_sub(end.saturating_add(4)) >= length)
}

#[cfg(test)]
mod tests;
