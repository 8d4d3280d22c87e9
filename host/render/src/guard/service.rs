//! How a plan's image is run.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use convergence_model::plan::{Health, Probe, Service};

use super::report::{Broken, Report, excerpt};
use super::{MOUNTS_MAX, Rules, STOP_GRACE_MAX, VARS_MAX, WRITABLE_MB_MAX, path, text};
use crate::workload::HOME;

/// Signals that ask a program to stop.
const STOP_SIGNALS: [&str; 7] = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"];

pub(super) fn check(service: &Service, rules: &Rules<'_>, report: &mut Report) {
    if !(rules.brings_image && service.command.is_empty()) {
        text::argv("plan.service.command", &service.command, report);
    }
    if service.release_command.is_some() {
        report.deny(
            "plan.service.release-command",
            "unsupported",
            "release commands are not supported yet; run migrations at the start of the service",
        );
    }
    if service.port < 1024 && !rules.brings_image {
        report.deny(
            "plan.service.port",
            "out-of-range",
            format!("the port {} is not within 1024 to 65535: the service runs without privileges", service.port),
        );
    }
    health(&service.health, report);
    variables(service, report);
    mounts(service, report);
    if let Some(signal) = &service.stop_signal
        && !STOP_SIGNALS.contains(&signal.as_str())
    {
        report.deny(
            "plan.service.stop-signal",
            "unknown-signal",
            format!("{} is not one of {}", excerpt(signal), STOP_SIGNALS.join(", ")),
        );
    }
    range("plan.service.stop-grace-seconds", service.stop_grace_seconds, 0..=STOP_GRACE_MAX, "seconds", report);
    if service.min_memory_mb > rules.memory_mb {
        report.deny(
            "limits.memoryMb",
            "too-small",
            format!(
                "this application needs at least {} MiB of memory, but its limit is {} MiB; raise the limit",
                service.min_memory_mb, rules.memory_mb
            ),
        );
    }
    text::attributes("plan.service.extra", &service.extra, report);
}

fn range(field: &str, value: u32, allowed: RangeInclusive<u32>, unit: &str, report: &mut Report) {
    if !allowed.contains(&value) {
        let message = format!("{value} is not within {} to {} {unit}", allowed.start(), allowed.end());
        report.deny(field, "out-of-range", message);
    }
}

fn health(health: &Health, report: &mut Report) {
    match &health.probe {
        Probe::Tcp => {}
        Probe::Http(target) => report.rule("plan.service.health.probe.http", http_target(target)),
        Probe::Command(argv) => text::argv("plan.service.health.probe.command", argv, report),
    }
    if let Some(argv) = &health.in_container {
        text::argv("plan.service.health.in-container", argv, report);
        if argv.first().is_some_and(|first| first == "NONE") {
            report.deny("plan.service.health.in-container", "bad-program", "NONE is not a program");
        }
    }
    range("plan.service.health.interval-seconds", health.interval_seconds, 1..=3600, "seconds", report);
    range("plan.service.health.timeout-seconds", health.timeout_seconds, 1..=60, "seconds", report);
    range("plan.service.health.retries", health.retries.into(), 1..=20, "failures", report);
    range("plan.service.health.start-period-seconds", health.start_period_seconds, 0..=600, "seconds", report);
}

/// Accepts a path that is asked for whether the service is ready, or says what is wrong with it: a code, and human-readable.
///
/// # Errors
/// It is no path of a request.
pub fn health_path(path: &str) -> Result<(), (&'static str, String)> {
    http_target(path).map_err(|broken| (broken.code, broken.message))
}

/// The target of a request for the service itself: it is written into a request line as it is.
fn http_target(target: &str) -> Result<(), Broken> {
    if !target.starts_with('/') || target.starts_with("//") {
        return Err(Broken::new("bad-probe", format!("the path {} must begin with one '/'", excerpt(target))));
    }
    if target.len() > super::PATH_BYTES_MAX {
        return Err(Broken::new("too-long", format!("the path has more than {} bytes", super::PATH_BYTES_MAX)));
    }
    if let Some(bad) = target.chars().find(|c| !c.is_ascii_graphic() || "\\#\"<>^`{|}".contains(*c)) {
        return Err(Broken::new(
            "bad-character",
            format!("the path {} contains {bad:?}; write it as %XX", excerpt(target)),
        ));
    }
    let path = target.split('?').next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    if path.split('/').any(|component| matches!(component, "." | "..")) {
        return Err(Broken::new("bad-component", format!("the path {} must not contain '.' or '..'", excerpt(target))));
    }
    Ok(())
}

fn variables(service: &Service, report: &mut Report) {
    let field = "plan.service.env";
    if service.env.len() > VARS_MAX {
        report.deny(field, "too-many", format!("at most {VARS_MAX} variables are allowed, not {}", service.env.len()));
    }
    let mut seen = BTreeSet::new();
    for (index, variable) in service.env.iter().take(VARS_MAX).enumerate() {
        let field = format!("{field}[{index}]");
        text::variable(&field, variable, true, report);
        if !seen.insert(&variable.key) {
            report.deny(format!("{field}.key"), "duplicate", format!("{} is set twice", excerpt(&variable.key)));
        }
    }
}

fn mounts(service: &Service, report: &mut Report) {
    let mut points: Vec<(String, &str)> = Vec::new();
    if !service.writable.iter().any(|writable| writable.path == HOME) {
        // The host mounts it then; it is never wrong itself.
        points.push(("the home folder".to_owned(), HOME));
    }
    for (name, count) in [("writable", service.writable.len()), ("volumes", service.volumes.len())] {
        if count > MOUNTS_MAX {
            let message = format!("at most {MOUNTS_MAX} are allowed, not {count}");
            report.deny(format!("plan.service.{name}"), "too-many", message);
        }
    }
    for (index, writable) in service.writable.iter().take(MOUNTS_MAX).enumerate() {
        let field = format!("plan.service.writable[{index}]");
        range(&format!("{field}.size-mb"), writable.size_mb, 1..=WRITABLE_MB_MAX, "MiB", report);
        points.push((field, &writable.path));
    }
    let mut names = BTreeSet::new();
    for (index, volume) in service.volumes.iter().take(MOUNTS_MAX).enumerate() {
        let field = format!("plan.service.volumes[{index}]");
        report.rule(&format!("{field}.name"), text::slug(&volume.name));
        if !names.insert(&volume.name) {
            let message = format!("another volume is named {} too", excerpt(&volume.name));
            report.deny(format!("{field}.name"), "duplicate", message);
        }
        points.push((field, &volume.path));
    }
    let mut sound: Vec<&(String, &str)> = Vec::new();
    for entry in &points {
        let (field, point) = entry;
        let rule = path::mount_point(point);
        if rule.is_err() {
            report.rule(&format!("{field}.path"), rule);
            continue;
        }
        if let Some((other, _)) = sound.iter().find(|(_, other)| path::overlap(point, other)) {
            report.deny(
                format!("{field}.path"),
                "overlap",
                format!("the path {} is, holds or lies in that of {other}", excerpt(point)),
            );
        }
        sound.push(entry);
    }
}
