//! The validation policy `limits`: bounds on what a tenant may ask for.
//!
//! It judges what would be created or changed and lets everything else pass, so that a tenant from before a bound was
//! tightened can still be stopped and destroyed. It never tightens by itself: a caller who asks for too much is told
//! so, rather than given less.

use convergence_plugin_api::policy::{Policy, Review, Verdict, Violation};
use convergence_plugin_api::{Description, Example, PluginError, register_policy};

mod bounds;
mod config;
#[cfg(test)]
mod tests;

use config::Config;

/// Actions that give a tenant what it asks for.
const JUDGED: [&str; 5] = ["spawn", "deploy", "scale", "configure", "rollback"];

/// The policy.
#[derive(Debug)]
pub struct Limits;

impl Policy for Limits {
    type Config = Config;

    fn describe() -> Description {
        Description::policy(
            "limits",
            "Limits",
            env!("CARGO_PKG_VERSION"),
            "Keeps names, CPU, memory, disk and replicas of tenants within bounds.",
        )
        .config_schema(include_str!("../config.schema.json"))
        .example(
            Example::new("defaults pass", "{}", include_str!("../examples/defaults.json"))
                .expect(r#"{"violations":[]}"#),
        )
        .example(
            Example::new(
                "memory above a lowered maximum is refused",
                r#"{"memoryMb":{"maximum":256}}"#,
                include_str!("../examples/defaults.json"),
            )
            .expect(
                r#"{"violations":[{"path":"limits.memoryMb","code":"memory-above-maximum","severity":"deny",
                    "message":"512 MiB of memory is above the maximum of 256; ask for 256"}]}"#,
            ),
        )
        .example(
            Example::new(
                "bounds that exclude each other are a configuration error",
                r#"{"memoryMb":{"minimum":1024,"maximum":512}}"#,
                include_str!("../examples/defaults.json"),
            )
            .expect(r#"{"error":"invalid-config"}"#),
        )
    }

    fn evaluate(review: &Review, config: &Config) -> Result<Verdict, PluginError> {
        config.check()?;
        let mut verdict = Verdict::pass();
        if JUDGED.contains(&review.action.as_str()) {
            verdict.violations.extend(config.violations(review));
            verdict.violations.extend(scratch_space(review));
        }
        Ok(verdict)
    }
}

register_policy!(Limits);

/// Scratch space is memory: an application that fills it is killed for it.
fn scratch_space(review: &Review) -> Option<Violation> {
    let writable_mb = review.plan.as_ref()?.writable_mb;
    let memory_mb = review.limits.memory_mb;
    (writable_mb >= memory_mb).then(|| {
        Violation::warn(
            "limits.memoryMb",
            "scratch-above-memory",
            format!(
                "{writable_mb} MiB of scratch space count against {memory_mb} MiB of memory; ask for more memory if the \
                 application fills it"
            ),
        )
    })
}
