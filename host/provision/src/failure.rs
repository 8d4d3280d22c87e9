//! What a failed step means to the person who asked: likely cause, next thing to try, last lines.

use convergence_model::Violation;
use convergence_model::operation::Failure;
use convergence_runtime::RuntimeError;
use convergence_store::{Conflict, StoreError};

use crate::step::StepError;

/// Lines of a log kept with a failure.
const LOG_LINES: usize = 20;

/// Tells why a step failed.
pub(crate) fn explain(step: &str, error: &StepError) -> Failure {
    let told = match error {
        StepError::Runtime(error) => runtime(error),
        StepError::BaseRefused { reference, violations } => base_refused(reference, violations),
        StepError::PlanRefused(_) => Told {
            code: "plan-refused",
            cause: "the operator narrowed what is allowed after this was accepted".to_owned(),
            next: "send the request again, with another base image if it names one",
            log: Vec::new(),
        },
        StepError::PortsTaken(_) => Told {
            code: "ports-taken",
            cause: "other programs on this machine listen inside the range that `ports` gives to tenants".to_owned(),
            next: "find them (`ss -ltnp`), or choose another range for `ports` in the configuration",
            log: Vec::new(),
        },
        StepError::Work(convergence_work::StepError::Store(StoreError::Conflict(conflict))) => Told {
            code: match conflict {
                Conflict::PortsExhausted { .. } => "ports-exhausted",
                Conflict::SubnetsExhausted { .. } => "subnets-exhausted",
                _ => "store-conflict",
            },
            cause: "other programs on this machine use what the configuration gives to tenants, and no more is left"
                .to_owned(),
            next: "widen `ports` or `subnets` in [tenants] of the configuration, or destroy a tenant",
            log: Vec::new(),
        },
        StepError::BuildTooLong { .. } => Told {
            code: "build-failed",
            cause: "a command of the build never ends, or downloads more than the network gives in that time"
                .to_owned(),
            next: "look at its last lines (`GET /api/v1/operations/{id}/events`), or raise `timeout-seconds` in [build]",
            log: Vec::new(),
        },
        StepError::Work(error) => return error.explain(step),
        StepError::Gone => Told {
            code: "store-failed",
            cause: "the platform's own database did not answer or lost rows".to_owned(),
            next: "look at the server's log and at `convergence doctor`, then send the request again",
            log: Vec::new(),
        },
    };
    Failure {
        step: step.to_owned(),
        code: told.code.to_owned(),
        message: error.to_string(),
        likely_cause: told.cause,
        next: told.next.to_owned(),
        log: last(&told.log),
    }
}

struct Told {
    code: &'static str,
    cause: String,
    next: &'static str,
    log: Vec<String>,
}

fn runtime(error: &RuntimeError) -> Told {
    let told = |code, cause: &str, next| Told { code, cause: cause.to_owned(), next, log: Vec::new() };
    match error {
        RuntimeError::Unreachable { .. } => told(
            "engine-unreachable",
            "the container engine stopped or restarted while it worked",
            "run `convergence doctor` on the server, then send the request again",
        ),
        RuntimeError::Timeout { .. } => told(
            "engine-timeout",
            "the machine is overloaded, or a build or pull is stuck on the network",
            "look at the load of the machine and at the network it builds with, then send the request again",
        ),
        RuntimeError::BuildFailed { log, .. } => build_failed(log),
        RuntimeError::PullFailed { .. } => told(
            "base-image-unavailable",
            "the registry cannot be reached from the server, or has no such image",
            "run `convergence doctor`; map the image to one that exists with [images] in the configuration, or load it (`docker load`, `docker import`)",
        ),
        RuntimeError::Exited { oom: true, log, .. } => Told {
            code: "app-exited",
            cause: "the app needs more memory than its limit".to_owned(),
            next: "give it more: `limits.memoryMb`",
            log: log.clone(),
        },
        RuntimeError::Exited { code, log, .. } => Told {
            code: "app-exited",
            cause: match code {
                Some(0) => "the app ended by itself; a server has to stay in the foreground".to_owned(),
                Some(126 | 127) => {
                    "the command of the app cannot be run: the file is missing or not executable".to_owned()
                }
                _ => "the app stopped with an error while it started; its last lines say which".to_owned(),
            },
            next: "mend what its last lines complain about; the root filesystem is read-only and it runs as uid 10001",
            log: log.clone(),
        },
        RuntimeError::NotReady { log, .. } => Told {
            code: "app-not-ready",
            cause:
                "the app does not listen on $PORT on all addresses (0.0.0.0), or its health path does not answer 2xx"
                    .to_owned(),
            next: "listen on 0.0.0.0:$PORT and answer the health path the plan names (`POST /api/v1/tenant/plan` shows it)",
            log: log.clone(),
        },
        RuntimeError::Deviates { deviations } => Told {
            code: "container-deviates",
            cause: format!(
                "the engine changed {}; a plugin or a default of the engine interferes",
                deviations.iter().map(|d| format!("{} to {}", d.field, d.found)).collect::<Vec<_>>().join(", ")
            ),
            next: "look at the engine's configuration (`docker info`, daemon.json); the container was never started",
            log: Vec::new(),
        },
        RuntimeError::Unsupported { .. } => told(
            "engine-error",
            "the runtime that this server uses cannot do what the tenant asks for",
            "change the tenant so that it does not need this, or use another runtime",
        ),
        RuntimeError::SubnetTaken { .. } => told(
            "subnet-taken",
            "another network of this machine uses addresses of the pool for tenants",
            "choose another pool for `subnets` in the configuration",
        ),
        RuntimeError::Conflict { .. } => told(
            "name-taken-in-engine",
            "something that is not this installation's has the name; another server may use the same engine",
            "remove it, or give this server another `name-prefix` in the configuration",
        ),
        RuntimeError::NotFound { .. } | RuntimeError::Ambiguous { .. } | RuntimeError::Engine { .. } => told(
            "engine-error",
            "the container engine refused what it was asked",
            "look at the engine's log, then send the request again",
        ),
    }
}

/// The usual reasons for which builds fail, by the words package managers use for them.
fn build_failed(log: &[String]) -> Told {
    let all = log.join("\n").to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| all.contains(word));
    let (cause, next) = if any(&["certificate", "self_signed", "self-signed", "x509", "ssl: "]) {
        (
            "the build does not trust the certificate of the server it downloads from",
            "give the operator's certificate authorities with `ca-bundle` in [build] of the configuration",
        )
    } else if any(&[
        "eai_again",
        "enotfound",
        "could not resolve",
        "temporary failure in name resolution",
        "no such host",
        "etimedout",
        "econnrefused",
        "network is unreachable",
        "connection timed out",
    ]) {
        (
            "the build cannot reach the registry it downloads packages from",
            "check that containers on this machine reach the package registry, or configure a mirror",
        )
    } else if any(&["no space left on device"]) {
        ("the engine's disk is full", "free space (`docker system df`), then send the request again")
    } else if any(&["eusage", "lock file", "lockfile", "package-lock.json"]) {
        (
            "the lock file does not fit the manifest",
            "run the package manager once where you develop, and commit its lock file",
        )
    } else if any(&["no matching distribution", "etarget", "404 not found", "could not find a version"]) {
        ("a dependency does not exist in the version that is asked for", "mend the manifest, and update its lock file")
    } else {
        (
            "a command of the build failed; its last lines say why",
            "mend what the last lines complain about, then send the request again",
        )
    };
    Told { code: "build-failed", cause: cause.to_owned(), next, log: log.to_vec() }
}

fn base_refused(reference: &str, violations: &[Violation]) -> Told {
    Told {
        code: "base-image-refused",
        cause: violations.iter().map(|v| v.message.as_str()).collect::<Vec<_>>().join("; "),
        next: if reference.is_empty() { "" } else { "use another base image" },
        log: Vec::new(),
    }
}

fn last(log: &[String]) -> Vec<String> {
    log.get(log.len().saturating_sub(LOG_LINES)..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(line: &str) -> Failure {
        let log = (0..30).map(|n| format!("line {n}")).chain([line.to_owned()]).collect();
        let error = RuntimeError::BuildFailed {
            instruction: "RUN".into(),
            exit_code: Some(1),
            message: "exit code 1".into(),
            log,
        };
        explain("image", &StepError::Runtime(error))
    }

    #[test]
    fn a_failed_build_names_the_usual_suspects_and_keeps_the_last_lines() {
        let failure = build("npm ERR! code SELF_SIGNED_CERT_IN_CHAIN");
        assert!(failure.next.contains("ca-bundle"), "{failure:?}");
        assert_eq!(failure.log.len(), 20);
        assert_eq!(failure.log.last().map(String::as_str), Some("npm ERR! code SELF_SIGNED_CERT_IN_CHAIN"));
        assert!(build("getaddrinfo EAI_AGAIN").likely_cause.contains("cannot reach"));
        assert!(build("npm error code EUSAGE").likely_cause.contains("lock file"));
        assert!(build("something else").likely_cause.contains("last lines"));
    }

    #[test]
    fn too_little_memory_is_told_apart_from_a_crash() {
        let exited = |oom| StepError::Runtime(RuntimeError::Exited { code: Some(137), oom, log: vec![] });
        assert!(explain("probe", &exited(true)).next.contains("memoryMb"));
        assert!(!explain("probe", &exited(false)).next.contains("memoryMb"));
    }
}
