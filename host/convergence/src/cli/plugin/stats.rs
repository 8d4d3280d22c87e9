//! `convergence plugin stats`

use reqwest::Method;
use serde_json::Value;

use super::decide::Plain;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// Shows what a plugin's calls took and how they ended.
pub(super) async fn run(client: &Client, arguments: &Plain, output: &Output) -> Result<(), Failure> {
    let (_, stats) = client.json(client.request(Method::GET, &arguments.plugin().path("/stats"))).await?;
    output.result(&stats, || text(&stats));
    Ok(())
}

fn text(stats: &Value) -> String {
    let number = |key: &str| stats.get(key).and_then(Value::as_u64);
    let micros = |key: &str| number(key).map_or("-".to_owned(), |us| format!("≤ {us} µs"));
    let count = |key: &str| number(key).unwrap_or(0);
    let memory = count("memoryMost") as f64 / f64::from(1 << 20);
    [
        format!(
            "calls          {} (p50 {}, p90 {}, p99 {})",
            count("calls"),
            micros("p50Us"),
            micros("p90Us"),
            micros("p99Us")
        ),
        format!(
            "faults         {} traps, {} timeouts, {} out of fuel, {} out of memory, {} invalid answers",
            count("traps"),
            count("timeouts"),
            count("outOfFuel"),
            count("outOfMemory"),
            count("invalidAnswers")
        ),
        format!("refusals       {} (foreseen by the plugin)", count("refusals")),
        format!(
            "server's       {} failures, {} calls kept away by the breaker",
            count("hostFailures"),
            count("suspended")
        ),
        format!("network        {} attempts, all denied", count("networkAttempts")),
        format!("most in a call {} units of fuel, {memory:.1} MiB of memory", count("fuelMost")),
        format!("breaker        {}", stats.get("breaker").and_then(Value::as_str).unwrap_or("-")),
    ]
    .join("\n")
}
