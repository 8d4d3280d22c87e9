//! Installing Debian packages, where this machine lets us: Debian or Ubuntu, as root.

use std::fs;
use std::path::Path;
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

/// Unpacks a package into a folder, without installing it: nothing of it runs, and root is not needed where the package
/// lists are fresh.
///
/// `why` completes the sentence "… is needed".
pub(crate) fn unpack(package: &str, folder: &Path, why: &str) -> Result<()> {
    if !is_debian_like() || command::find("apt-get").is_none() {
        bail!("{why} is needed, and a chore can get it on Debian or Ubuntu alone: install {package} yourself");
    }
    println!("    {why} is needed: unpacking {package} into {}", folder.display());
    // Beside what it becomes, so that half of it is never taken for the whole.
    let fresh = folder.with_extension("fresh");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot empty {}", fresh.display()))?;
    }
    command::create_folder(&fresh)?;
    let download = || {
        let mut download = apt_get();
        command::capture(download.args(["download", "--quiet", package]).current_dir(&fresh))
    };
    if download().is_err() {
        if command::is_root() {
            refresh();
        }
        download().with_context(|| format!("cannot download {package}"))?;
    }
    let files = fs::read_dir(&fresh).with_context(|| format!("cannot look into {}", fresh.display()))?;
    let mut files = files.filter_map(Result::ok).map(|entry| entry.path());
    let package_file = files
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get downloaded no package {package}"))?;
    command::capture(Command::new("dpkg-deb").arg("--extract").arg(&package_file).arg(&fresh))
        .with_context(|| format!("cannot unpack {package}"))?;
    fs::remove_file(&package_file).ok();
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    fs::rename(&fresh, folder).with_context(|| format!("cannot make {}", folder.display()))
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
