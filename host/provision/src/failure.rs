//! What a failed step means to the person who asked: likely cause, next thing to try, last lines.

use std::net::SocketAddr;

use convergence_model::{Code, Failure, Violation};
use convergence_runtime::RuntimeError;
use convergence_store::{Conflict, StoreError};

use crate::registries;
use crate::step::StepError;

/// Lines of a log kept with a failure.
const LOG_LINES: usize = 20;

/// Tells why a step failed.
pub(crate) fn explain(step: &str, error: &StepError) -> Failure {
    let mut login = None;
    let told = match error {
        StepError::Runtime(error) => {
            if let RuntimeError::PullFailed { reference, message } = error {
                login = registries::login_needed(reference, message);
            }
            runtime(error)
        }
        StepError::BaseRefused { reference, violations } => base_refused(reference, violations),
        StepError::PlanRefused(_) => Told {
            code: Code::PlanRefused,
            cause: "the operator narrowed what is allowed after this was accepted".to_owned(),
            next: "send the request again, with another base image if it names one",
            log: Vec::new(),
        },
        StepError::PortsTaken(_) => Told {
            code: Code::PortsTaken,
            cause: "other programs on this machine listen inside the range that `ports` gives to tenants".to_owned(),
            next: "find them (`ss -ltnp`), or choose another range for `ports` in the configuration",
            log: Vec::new(),
        },
        StepError::Work(convergence_work::StepError::Store(StoreError::Conflict(conflict))) => Told {
            code: match conflict {
                Conflict::PortsExhausted { .. } => Code::PortsExhausted,
                Conflict::SubnetsExhausted { .. } => Code::SubnetsExhausted,
                _ => Code::StoreConflict,
            },
            cause: "other programs on this machine use what the configuration gives to tenants, and no more is left"
                .to_owned(),
            next: "widen `ports` or `subnets` in [tenants] of the configuration, or destroy a tenant",
            log: Vec::new(),
        },
        StepError::BuildTooLong { .. } => Told {
            code: Code::BuildFailed,
            cause: "a command of the build never ends, or downloads more than the network gives in that time"
                .to_owned(),
            next: "look at its last lines (`GET /api/v1/operations/{id}/events`), or raise `timeout-seconds` in [build]",
            log: Vec::new(),
        },
        StepError::CommandTooLong { .. } => Told {
            code: Code::BaseImageRefused,
            cause: "the ENTRYPOINT and CMD of the image hold a whole program or a long list".to_owned(),
            next: "move them into a script in the image, and let CMD name only that script",
            log: Vec::new(),
        },
        StepError::NothingToRun => Told {
            code: Code::BaseImageRefused,
            cause: "the image is a base for others, or its Dockerfile does not say what to run".to_owned(),
            next: "add a CMD to the Dockerfile, or use an image that has one",
            log: Vec::new(),
        },
        StepError::VolumeInUse { .. } => Told {
            code: Code::VolumeInUse,
            cause: "a deployment that was accepted since mounts it, or a container in the engine does".to_owned(),
            next: "look which one (`docker ps -a --filter volume=…`), and send the request again when it is gone",
            log: Vec::new(),
        },
        StepError::Ring(_) => Told {
            code: Code::RingUnusable,
            cause: "the file of the key ring cannot be read or written, or was changed by hand".to_owned(),
            next: "make the file `keyring` in the server's data folder what it should be, then retry the operation",
            log: Vec::new(),
        },
        StepError::Secret(_) => Told {
            code: Code::SecretUnreadable,
            cause: "the server's key ring is not the one that sealed the secret, or the database was altered"
                .to_owned(),
            next: "restore the file `keyring` in the server's data folder from a backup, or set the secret (log in to the registry) again",
            log: Vec::new(),
        },
        StepError::SourceGone { .. } => Told {
            code: Code::SourceGone,
            cause: "the image was removed by hand and has to be built again, and its source was removed too".to_owned(),
            next: "deploy the application again",
            log: Vec::new(),
        },
        StepError::Source(_) => Told {
            code: Code::SourceGone,
            cause: "the folder of sources on the server was changed or cannot be read".to_owned(),
            next: "look at the server's log and at the folder `sources` in its data folder, then deploy again",
            log: Vec::new(),
        },
        StepError::Work(error) => return error.explain(step),
        StepError::Gone => Told {
            code: Code::StoreFailed,
            cause: "the platform's own database did not answer or lost rows".to_owned(),
            next: "look at the server's log and at `convergence doctor`, then send the request again",
            log: Vec::new(),
        },
    };
    let (likely_cause, next) = login.unwrap_or_else(|| (told.cause, told.next.to_owned()));
    Failure {
        step: step.to_owned(),
        code: told.code.into(),
        message: error.to_string(),
        likely_cause,
        next,
        log: last(&told.log),
    }
}

struct Told {
    code: Code,
    cause: String,
    next: &'static str,
    log: Vec<String>,
}

/// Why an app ended while it started, from its exit code and last lines, and what to do.
fn exited(code: Option<i64>, log: &[String]) -> (&'static str, &'static str) {
    let all = log.join("\n").to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| all.contains(word));
    if code == Some(0) {
        (
            "the app ended by itself; a server has to stay in the foreground",
            "start it without a daemon mode, so that its command runs for as long as the app does",
        )
    } else if matches!(code, Some(126 | 127)) {
        (
            "the command of the app cannot be run: the file is missing or not executable",
            "correct the command in the Procfile, in convergence.toml or in the start script",
        )
    } else if any(&["erofs", "read-only file system"]) {
        (
            "the app writes to the root filesystem, which is read-only",
            "let it write below /tmp, which is empty at every start, or to a database",
        )
    } else if any(&["keyerror:", "environment variable", "env var", "must be set", "is not set", "is missing"]) {
        (
            "the app seems to miss a variable; its last lines say which",
            "set it with `env` in the request, on the command line `-e NAME=VALUE`",
        )
    } else {
        (
            "the app stopped with an error while it started; its last lines say which",
            "fix what its last lines report; the root filesystem is read-only and it runs as uid 10001",
        )
    }
}

/// Why an app that runs is not ready, from what it listens on, and what to do.
fn unready(port: u16, listening: Option<&[SocketAddr]>) -> (String, &'static str) {
    let Some(listening) = listening else {
        return (
            "the app does not listen on $PORT on all addresses (0.0.0.0), or its health path does not answer 2xx"
                .to_owned(),
            "listen on 0.0.0.0:$PORT and answer the health path the plan names (`POST /api/v1/tenant/plan` shows it)",
        );
    };
    let shown = || listening.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut on_port = listening.iter().filter(|address| address.port() == port).peekable();
    if listening.is_empty() {
        (
            format!("the app runs and listens on no port; port {port} is expected (the variable PORT says so)"),
            "let it listen on 0.0.0.0:$PORT; if it needs longer to start, the operator can raise `ready-seconds` in [tenants]",
        )
    } else if on_port.peek().is_none() {
        (
            format!("the app listens on {} instead of port {port}, which the variable PORT tells it", shown()),
            "let it listen on the port in the variable PORT instead of a fixed one",
        )
    } else if on_port.all(|address| address.ip().is_loopback()) {
        (
            format!("the app listens on {} only, which nothing outside of its container reaches", shown()),
            "let it listen on all addresses (0.0.0.0) instead of localhost",
        )
    } else {
        (
            format!("the app listens on port {port} and does not pass its health check in time"),
            "answer the health path of the plan (`convergence deploy --plan` shows it) with 2xx; where it has none, `/` with less than 500",
        )
    }
}

fn runtime(error: &RuntimeError) -> Told {
    let told = |code, cause: &str, next| Told { code, cause: cause.to_owned(), next, log: Vec::new() };
    match error {
        RuntimeError::Unreachable { .. } => told(
            Code::EngineUnreachable,
            "the container engine stopped or restarted while it worked",
            "run `convergence doctor` on the server, then send the request again",
        ),
        RuntimeError::Timeout { .. } => told(
            Code::EngineTimeout,
            "the machine is overloaded, or a build or pull is stuck on the network",
            "look at the load of the machine and at the network it builds with, then send the request again",
        ),
        RuntimeError::BuildFailed { exit_code: Some(137), log, .. } => Told {
            code: Code::BuildFailed,
            cause: "a program of the build was killed, most likely because builds may not use more memory".to_owned(),
            next: "let the build use less memory, or ask the operator to raise `memory-mb` in [build]",
            log: log.clone(),
        },
        RuntimeError::BuildFailed { log, .. } => build_failed(log),
        RuntimeError::Unbounded { .. } => told(
            Code::EngineError,
            "the server may not write to the control groups of this machine, or they are not where they are expected",
            "run the server as root on the machine of the engine, or remove `memory-mb`, `cpu-millis` and `pids` from [build]",
        ),
        RuntimeError::PullFailed { .. } => told(
            Code::BaseImageUnavailable,
            "the registry cannot be reached from the server, or has no such image",
            "run `convergence doctor`; map the image to one that exists with [images] in the configuration, or load it (`docker load`, `docker import`)",
        ),
        RuntimeError::Exited { oom: true, log, .. } => Told {
            code: Code::AppExited,
            cause: "the app needs more memory than its limit".to_owned(),
            next: "give it more: `limits.memoryMb`, on the command line `--memory-mb`",
            log: log.clone(),
        },
        RuntimeError::Exited { code, log, .. } => {
            let (cause, next) = exited(*code, log);
            Told { code: Code::AppExited, cause: cause.to_owned(), next, log: log.clone() }
        }
        RuntimeError::NotReady { log, port, listening, .. } => {
            let (cause, next) = unready(*port, listening.as_deref());
            Told { code: Code::AppNotReady, cause, next, log: log.clone() }
        }
        RuntimeError::Deviates { deviations } => Told {
            code: Code::ContainerDeviates,
            cause: format!(
                "the engine changed {}; a plugin or a default of the engine interferes",
                deviations.iter().map(|d| format!("{} to {}", d.field, d.found)).collect::<Vec<_>>().join(", ")
            ),
            next: "look at the engine's configuration (`docker info`, daemon.json); the container was never started",
            log: Vec::new(),
        },
        RuntimeError::Unsupported { .. } => told(
            Code::Unsupported,
            "the runtime that this server uses cannot do what the tenant asks for",
            "change the tenant so that it does not need this, or use another runtime",
        ),
        RuntimeError::SubnetTaken { .. } => told(
            Code::SubnetTaken,
            "another network of this machine uses addresses of the pool for tenants",
            "choose another pool for `subnets` in the configuration",
        ),
        RuntimeError::Conflict { .. } => told(
            Code::NameTakenInEngine,
            "something that is not this installation's has the name; another server may use the same engine",
            "remove it, or give this server another `name-prefix` in the configuration",
        ),
        RuntimeError::NotFound { .. } | RuntimeError::Ambiguous { .. } | RuntimeError::Engine { .. } => told(
            Code::EngineError,
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
        ("a dependency does not exist in the version that is asked for", "fix the manifest, and update its lock file")
    } else {
        (
            "a command of the build failed; its last lines say why",
            "fix what the last lines report, then send the request again",
        )
    };
    Told { code: Code::BuildFailed, cause: cause.to_owned(), next, log: log.to_vec() }
}

fn base_refused(reference: &str, violations: &[Violation]) -> Told {
    Told {
        code: Code::BaseImageRefused,
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
    #![allow(clippy::unwrap_used)]
    use convergence_access::OpenError;
    use convergence_model::code::Area;
    use convergence_model::{SealingKeyId, SourceDigest};
    use convergence_runtime::Capability;

    use super::*;
    use crate::secrets::SecretError;

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

    #[test]
    fn why_an_app_ended_is_seen_from_its_code_and_its_last_lines() {
        let told = |code: i64, line: &str| exited(Some(code), &[line.to_owned()]);
        assert!(told(0, "").0.contains("foreground"));
        assert!(told(127, "").0.contains("cannot be run"));
        assert!(told(1, "EROFS: read-only file system, open '/app/data.json'").1.contains("/tmp"));
        assert!(told(1, "KeyError: 'DATABASE_URL'").1.contains("-e NAME=VALUE"));
        assert!(told(1, "DATABASE_URL is missing").1.contains("-e NAME=VALUE"));
        assert!(told(1, "Segmentation fault").0.contains("last lines"));
    }

    #[test]
    fn what_an_app_listens_on_says_why_it_is_not_ready() {
        let told = |listening: &[&str]| {
            let listening: Vec<SocketAddr> = listening.iter().filter_map(|text| text.parse().ok()).collect();
            unready(3000, Some(&listening))
        };
        assert!(told(&[]).0.contains("no port"));
        assert!(told(&["0.0.0.0:8080"]).0.contains("0.0.0.0:8080 instead of port 3000"));
        assert!(told(&["127.0.0.1:3000", "[::1]:3000"]).1.contains("instead of localhost"));
        assert!(told(&["[::]:3000"]).0.contains("health check"));
        assert!(told(&["127.0.0.1:3000", "0.0.0.0:3000"]).0.contains("health check"));
    }

    /// Every error of a step of this room, and the code it is answered with. The room of durable work tests its own.
    fn every_error() -> Vec<(Code, StepError)> {
        let (text, after) = (|| "x".to_owned(), std::time::Duration::from_secs(1));
        let runtime = StepError::Runtime;
        let store = |conflict: Conflict| StepError::from(StoreError::Conflict(conflict));
        let log = Vec::new;
        let key = SealingKeyId::parse("0a0b0c0d").unwrap();
        vec![
            (Code::PlanRefused, StepError::PlanRefused(vec![])),
            (Code::BaseImageRefused, StepError::BaseRefused { reference: text(), violations: vec![] }),
            (Code::ContainerDeviates, runtime(RuntimeError::Deviates { deviations: vec![] })),
            (Code::PortsTaken, StepError::PortsTaken(vec![3001])),
            (Code::BuildFailed, StepError::BuildTooLong { limit: after }),
            (Code::BaseImageRefused, StepError::NothingToRun),
            (Code::BaseImageRefused, StepError::CommandTooLong { args: 1000, bytes: 1000 }),
            (Code::SourceGone, StepError::SourceGone { digest: SourceDigest::new([1; 32]) }),
            (Code::SourceGone, StepError::Source(std::io::Error::other("told to fail"))),
            (
                Code::SecretUnreadable,
                StepError::Secret(SecretError::Closed { what: text(), why: OpenError::NoKey(key.clone()) }),
            ),
            (
                Code::SecretUnreadable,
                StepError::Secret(SecretError::Closed { what: text(), why: OpenError::Altered(key) }),
            ),
            (Code::VolumeInUse, StepError::VolumeInUse { volume: text(), why: text() }),
            (Code::RingUnusable, StepError::Ring(text())),
            (Code::StoreFailed, StepError::Gone),
            (Code::StoreFailed, StepError::from(StoreError::Refused("told to fail".into()))),
            (Code::StoreConflict, store(Conflict::KeyReused)),
            (Code::PortsExhausted, store(Conflict::PortsExhausted { first: 1, last: 2 })),
            (Code::SubnetsExhausted, store(Conflict::SubnetsExhausted { count: 1 })),
            (
                Code::EngineUnreachable,
                runtime(RuntimeError::Unreachable { socket: text(), cause: text(), hint: text() }),
            ),
            (Code::EngineTimeout, runtime(RuntimeError::Timeout { what: text(), after })),
            (Code::EngineError, runtime(RuntimeError::NotFound { what: text() })),
            (Code::Unsupported, runtime(RuntimeError::Unsupported { capability: Capability::Replicas })),
            (Code::SubnetTaken, runtime(RuntimeError::SubnetTaken { subnet: text() })),
            (Code::EngineError, runtime(RuntimeError::Ambiguous { what: text() })),
            (
                Code::BuildFailed,
                runtime(RuntimeError::BuildFailed {
                    instruction: text(),
                    exit_code: None,
                    message: text(),
                    log: log(),
                }),
            ),
            (Code::BaseImageUnavailable, runtime(RuntimeError::PullFailed { reference: text(), message: text() })),
            (Code::NameTakenInEngine, runtime(RuntimeError::Conflict { what: text(), message: text() })),
            (Code::AppExited, runtime(RuntimeError::Exited { code: Some(1), oom: false, log: log() })),
            (
                Code::AppNotReady,
                runtime(RuntimeError::NotReady { after, last: text(), port: 1, listening: None, log: log() }),
            ),
            (Code::EngineError, runtime(RuntimeError::Unbounded { cause: text() })),
            (
                Code::BuildFailed,
                runtime(RuntimeError::BuildFailed {
                    instruction: text(),
                    exit_code: Some(137),
                    message: text(),
                    log: log(),
                }),
            ),
            (Code::EngineError, runtime(RuntimeError::Engine { status: 400, message: text() })),
        ]
    }

    #[test]
    fn every_error_of_a_step_has_its_code_and_every_code_of_a_step_its_error() {
        let mut reached = Vec::new();
        for (code, error) in every_error() {
            let failure = explain("probe", &error);
            assert_eq!(failure.code, code, "{error}");
            assert!(!failure.message.is_empty() && !failure.next.is_empty(), "{failure:?}");
            reached.push(code);
        }
        for code in Code::ALL.iter().filter(|code| code.meaning().area == Area::Step) {
            // `convergence-work` answers these and tests them; `http` tests the last one.
            let of_others = matches!(
                code,
                Code::Cancelled | Code::DeadlinePassed | Code::GaveUp | Code::StepPanicked | Code::UnknownCode
            );
            assert!(of_others || reached.contains(code), "no error of a step is answered with {code}");
        }
    }
}
