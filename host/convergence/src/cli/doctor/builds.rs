//! What builds may use, and whether the server can fetch from Git.

use convergence_runtime::Runtime;

use super::{Finding, Verdict, ok, warn, wrong};
use crate::config::Config;

/// Looks at the configuration, at what the engine can bound and at the git of this machine.
pub(super) async fn check(config: &Config, runtime: &dyn Runtime) -> Vec<Finding> {
    // An engine that does not answer is told of already.
    let driver = runtime.engine().await.ok().map(|engine| engine.cgroup_driver);
    let mut findings = vec![bounds(config, driver.as_deref())];
    if !config.sources.git_hosts.is_empty() {
        findings.push(git(config));
    }
    findings
}

fn bounds(config: &Config, driver: Option<&str>) -> Finding {
    const CHECK: &str = "builds";
    if let Some(reason) = config.build.futile_bounds(config.docker.socket.as_deref(), driver) {
        // The reason says what to do.
        return Finding { check: CHECK, verdict: Verdict::Wrong, detail: reason, fix: None };
    }
    match config.build.memory_mb {
        None => warn(
            CHECK,
            "a build may use all memory of this machine",
            "set `memory-mb` in [build], for all builds together",
        ),
        Some(mb) => ok(CHECK, format!("all builds together may use {mb} MiB of memory; a server that starts sets it")),
    }
}

fn git(config: &Config) -> Finding {
    const CHECK: &str = "git";
    let settings = match config.sources.git() {
        Ok(settings) => settings,
        Err(error) => return wrong(CHECK, format!("{error:#}"), "correct the path, or let this user read the file"),
    };
    match settings.version() {
        Ok(version) => ok(CHECK, version),
        Err(error) => warn(
            CHECK,
            format!("nothing can be deployed from a Git repository: {error}"),
            "install it in one of the usual folders such as /usr/bin, whatever PATH says, or set `git-hosts = []` in [sources]",
        ),
    }
}
