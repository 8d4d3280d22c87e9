//! `GET /api/v1/plugins/{id}/stats`

use axum::Json;
use axum::extract::State;
use convergence_plugin::{BreakerState, ChangeError, LATENCY_BOUNDS_US, PluginStats};
use serde::Serialize;
use utoipa::ToSchema;

use super::wire;
use crate::App;
use crate::document::problems;
use crate::extract::{Authenticated, PluginPath};

problems!(Refused: ChangeError);

/// What a plugin's calls took and how they ended, since its version came into use in this server.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    id: String,
    version: Option<String>,
    breaker: Option<&'static str>,
    /// Seconds until the breaker lets a call through.
    breaker_opens_in_seconds: Option<f64>,
    /// Calls that reached the plugin.
    calls: u64,
    /// Of these: it broke.
    traps: u64,
    /// It was stopped by the clock.
    timeouts: u64,
    /// It used up its instructions.
    out_of_fuel: u64,
    /// It wanted more memory than a call may have, or handed over more.
    out_of_memory: u64,
    /// It answered what the contract forbids, or said that it failed.
    invalid_answers: u64,
    /// It answered that it cannot serve the request: no fault.
    refusals: u64,
    /// The server failed, not the plugin.
    host_failures: u64,
    /// Kept away from it by the breaker.
    suspended: u64,
    /// How often it tried to reach the network, which no plugin has.
    network_attempts: u64,
    /// Units of fuel, about one an instruction, in all and of the hungriest call.
    fuel: u64,
    fuel_most: u64,
    /// Bytes of linear memory of the largest call.
    memory_most: u64,
    /// Microseconds that half of the calls stayed below, as a bound of a bucket; and so on.
    p50_us: Option<u64>,
    p90_us: Option<u64>,
    p99_us: Option<u64>,
    /// How many calls took how long.
    latency: Vec<Bucket>,
}

/// Calls that took at most so long, and longer than the bucket before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bucket {
    /// Microseconds; absent in the last bucket.
    up_to_us: Option<u64>,
    calls: u64,
}

/// What a plugin's calls took and how they ended.
#[utoipa::path(get, path = "/api/v1/plugins/{id}/stats", tag = "plugin")]
pub(crate) async fn stats(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
) -> Result<Json<Stats>, Refused> {
    caller.administrator();
    let plugin = wire::find(&app, &id).await?;
    let counted = plugin.stats.unwrap_or_default();
    let bounds = LATENCY_BOUNDS_US.into_iter().map(Some).chain([None]);
    let latency = bounds.zip(&counted.latency).map(|(up_to_us, calls)| Bucket { up_to_us, calls: *calls }).collect();
    let (p50_us, p90_us, p99_us) = (counted.quantile_us(0.5), counted.quantile_us(0.9), counted.quantile_us(0.99));
    let PluginStats {
        calls,
        traps,
        timeouts,
        out_of_fuel,
        out_of_memory,
        invalid_answers,
        refusals,
        host_failures,
        suspended,
        network_attempts,
        fuel,
        fuel_most,
        memory_most,
        latency: _,
    } = counted;
    Ok(Json(Stats {
        id: plugin.id,
        version: plugin.version.map(|version| version.to_string()),
        breaker: plugin.breaker.map(wire::breaker),
        breaker_opens_in_seconds: match plugin.breaker {
            Some(BreakerState::Open(pause)) => Some(pause.as_secs_f64()),
            _ => None,
        },
        calls,
        traps,
        timeouts,
        out_of_fuel,
        out_of_memory,
        invalid_answers,
        refusals,
        host_failures,
        suspended,
        network_attempts,
        fuel,
        fuel_most,
        memory_most,
        p50_us,
        p90_us,
        p99_us,
        latency,
    }))
}
