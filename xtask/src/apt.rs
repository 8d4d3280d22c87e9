//! Installing Debian packages, where this machine lets us: Debian or Ubuntu, as root.

use std::fs;
use std::process::Command;
use std::sync::Once;

use anyhow::{Context, Result, bail};

use crate::command;

/// Whether [`install`] can work here.
pub(crate) fn available() -> bool {
    command::is_root() && is_debian_like() && command::find("apt-get").is_some()
}

/// Whether this machine runs Debian, Ubuntu or one of their children.
pub(crate) fn is_debian_like() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .any(|value| value.trim_matches('"').split_whitespace().any(|id| id == "debian" || id == "ubuntu"))
}

/// Installs packages, saying so; the package lists are refreshed once a run.
///
/// `why` completes the sentence "… is needed".
pub(crate) fn install(packages: &[&str], why: &str) -> Result<()> {
    if !available() {
        bail!(
            "{why} is needed, and only root on Debian or Ubuntu lets a chore install it: install {} yourself",
            packages.join(", ")
        );
    }
    println!("    {why} is needed: installing {} with apt-get", packages.join(", "));
    refresh();
    let mut install = apt_get();
    install.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages);
    command::capture(&mut install).with_context(|| format!("cannot install {}", packages.join(", ")))?;
    Ok(())
}

/// Makes sure `program` is there, installing `packages` when it is not.
pub(crate) fn ensure(program: &str, packages: &[&str], why: &str) -> Result<()> {
    if command::find(program).is_none() {
        install(packages, why)?;
    }
    Ok(())
}

/// Refreshes the package lists. Some other repository of this machine may fail to; whether that matters shows when
/// a package cannot be installed.
fn refresh() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut update = apt_get();
        update.args(["update", "--quiet"]);
        if let Err(error) = command::capture(&mut update) {
            println!("    note: {error:#}; going on with what is known");
        }
    });
}

/// `apt-get` that asks nothing, waits a while for another one to finish, and not long for a repository out of reach.
fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    for option in
        ["DPkg::Lock::Timeout=120", "Acquire::Retries=2", "Acquire::http::Timeout=20", "Acquire::https::Timeout=20"]
    {
        command.args(["--option", option]);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive").env("NEEDRESTART_MODE", "l").env("LC_ALL", "C.UTF-8");
    command
}
