//! What builds may use, and whether the server can fetch from Git.

use std::process::Command;

use super::{Finding, ok, warn};
use crate::config::Config;

/// Looks at the configuration and at the git of this machine.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![bounds(config)];
    if !config.sources.git_hosts.is_empty() {
        findings.push(git());
    }
    findings
}

fn bounds(config: &Config) -> Finding {
    const CHECK: &str = "builds";
    match config.build.memory_mb {
        None => warn(
            CHECK,
            "a build may use all memory of this machine",
            "set `memory-mb` in [build], for all builds together",
        ),
        Some(mb) => ok(CHECK, format!("all builds together may use {mb} MiB of memory; a server that starts sets it")),
    }
}

fn git() -> Finding {
    const CHECK: &str = "git";
    let version = Command::new("git").arg("--version").output().ok().filter(|output| output.status.success());
    match version {
        Some(output) => ok(CHECK, String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        None => warn(
            CHECK,
            "there is none, so that nothing can be deployed from a Git repository",
            "install git 2.37 or later, or set `git-hosts = []` in [sources]",
        ),
    }
}
