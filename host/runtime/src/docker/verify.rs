//! Whether a container is what it should be.
//!
//! Docker accepts a privileged container on the host's network with the host's disk mounted without a word, and
//! an operator may change one by hand. So what the engine reports is compared with what [`body`] asks for, and
//! every field that could widen what a container may do is expected at its default.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;

use bollard::models;
use convergence_model::workload::{Workload, label};

use super::connect::Docker;
use super::container::{body, env};
use crate::error::RuntimeError;
use crate::fingerprint::{fingerprint, is_made_from};
use crate::observed::Deviation;

impl Docker {
    pub(super) async fn compare(&self, workload: &Workload) -> Result<Vec<Deviation>, RuntimeError> {
        match self.look(&workload.name).await? {
            Some(found) => Ok(deviations(workload, &found)),
            None => Err(RuntimeError::NotFound { what: format!("container {}", workload.name) }),
        }
    }
}

/// Everything in which `found` differs from what `workload` asks for.
pub(super) fn deviations(workload: &Workload, found: &models::ContainerInspectResponse) -> Vec<Deviation> {
    let expected = body(workload);
    let mut report = Report::default();
    let default_config = models::ContainerConfig::default();
    let config = found.config.as_ref().unwrap_or(&default_config);
    let default_host = models::HostConfig::default();
    let host = found.host_config.as_ref().unwrap_or(&default_host);
    let expected_host = expected.host_config.clone().unwrap_or_default();

    report.same("Config.Image", &expected.image, &config.image);
    report.same("Config.User", &expected.user, &config.user);
    report.same("Config.Hostname", &expected.hostname, &config.hostname);
    report.same("Config.Cmd", &expected.cmd, &config.cmd);
    report.empty("Config.Entrypoint", &config.entrypoint);
    report.same("Config.Tty", &false, &config.tty.unwrap_or_default());
    report.same("Config.StopSignal", &expected.stop_signal, &config.stop_signal);
    report.same("Config.StopTimeout", &expected.stop_timeout, &config.stop_timeout);
    let test = |check: &Option<models::HealthConfig>| check.as_ref().and_then(|check| check.test.clone());
    report.same("Config.Healthcheck.Test", &test(&expected.healthcheck), &test(&config.healthcheck));
    labels(&mut report, workload, config);
    variables(&mut report, workload, config);

    // What it may do.
    report.same("HostConfig.Privileged", &false, &host.privileged.unwrap_or_default());
    report.same("HostConfig.CapDrop", &expected_host.cap_drop, &host.cap_drop);
    report.empty("HostConfig.CapAdd", &host.cap_add);
    report.same("HostConfig.SecurityOpt", &expected_host.security_opt, &host.security_opt);
    report.same("HostConfig.ReadonlyRootfs", &true, &host.readonly_rootfs.unwrap_or_default());
    report.same("HostConfig.IpcMode", &expected_host.ipc_mode, &host.ipc_mode);
    report.blank("HostConfig.PidMode", &host.pid_mode);
    report.blank("HostConfig.UTSMode", &host.uts_mode);
    report.blank("HostConfig.UsernsMode", &host.userns_mode);
    report.blank("HostConfig.CgroupParent", &host.cgroup_parent);
    report.empty("HostConfig.GroupAdd", &host.group_add);
    report.empty("HostConfig.Devices", &host.devices);
    report.empty("HostConfig.DeviceRequests", &host.device_requests);
    report.empty("HostConfig.DeviceCgroupRules", &host.device_cgroup_rules);
    report.same("HostConfig.Sysctls", &true, &host.sysctls.as_ref().is_none_or(|sysctls| sysctls.is_empty()));
    // Without these paths masked, /proc and /sys show and change the machine.
    if host.masked_paths.as_ref().is_some_and(Vec::is_empty) {
        report.push("HostConfig.MaskedPaths", "the engine's default", "none");
    }
    if host.readonly_paths.as_ref().is_some_and(Vec::is_empty) {
        report.push("HostConfig.ReadonlyPaths", "the engine's default", "none");
    }

    // Where it may write.
    report.empty("HostConfig.Binds", &host.binds);
    report.empty("HostConfig.VolumesFrom", &host.volumes_from);
    report.same("HostConfig.Tmpfs", &ordered(&expected_host.tmpfs), &ordered(&host.tmpfs));
    mounts(&mut report, workload, found);

    // How much it may use.
    report.same("HostConfig.Memory", &expected_host.memory, &host.memory);
    report.same("HostConfig.MemorySwap", &expected_host.memory_swap, &host.memory_swap);
    report.same("HostConfig.NanoCpus", &expected_host.nano_cpus, &host.nano_cpus);
    report.same("HostConfig.CpuShares", &expected_host.cpu_shares, &host.cpu_shares);
    report.same("HostConfig.MemoryReservation", &expected_host.memory_reservation, &host.memory_reservation);
    report.same("HostConfig.PidsLimit", &expected_host.pids_limit, &host.pids_limit);
    report.same("HostConfig.OomKillDisable", &false, &host.oom_kill_disable.unwrap_or_default());
    let most = |limits: &Option<Vec<models::ResourcesUlimits>>| -> BTreeSet<_> {
        limits.iter().flatten().map(|limit| (limit.name.clone(), limit.soft, limit.hard)).collect()
    };
    report.same("HostConfig.Ulimits", &most(&expected_host.ulimits), &most(&host.ulimits));
    let log =
        |log: &Option<models::HostConfigLogConfig>| log.as_ref().map(|log| (log.typ.clone(), ordered(&log.config)));
    report.same("HostConfig.LogConfig", &log(&expected_host.log_config), &log(&host.log_config));

    // Whom it may talk to.
    report.same("HostConfig.NetworkMode", &expected_host.network_mode, &host.network_mode);
    let attached: BTreeSet<_> = found
        .network_settings
        .iter()
        .flat_map(|settings| settings.networks.iter().flatten())
        .map(|(name, _)| name)
        .collect();
    report.same("NetworkSettings.Networks", &BTreeSet::from([&workload.boundary.name]), &attached);
    report.same("HostConfig.PortBindings", &ports(&expected_host.port_bindings), &ports(&host.port_bindings));
    report.same("HostConfig.PublishAllPorts", &false, &host.publish_all_ports.unwrap_or_default());
    let hosts = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    report.same("HostConfig.ExtraHosts", &hosts(&expected_host.extra_hosts), &hosts(&host.extra_hosts));
    report.empty("HostConfig.Links", &host.links);

    // How it lives.
    report.same("HostConfig.Init", &Some(true), &host.init);
    report.same("HostConfig.AutoRemove", &false, &host.auto_remove.unwrap_or_default());
    let policy = |policy: &Option<models::RestartPolicy>| policy.as_ref().and_then(|policy| policy.name);
    report.same("HostConfig.RestartPolicy", &policy(&expected_host.restart_policy), &policy(&host.restart_policy));
    report.0
}

/// Those asked for must be there; an image may add its own. The operation's is that of the one that made it.
fn labels(report: &mut Report, workload: &Workload, config: &models::ContainerConfig) {
    let empty = HashMap::new();
    let found = config.labels.as_ref().unwrap_or(&empty);
    for (key, value) in workload.labels.iter().filter(|(key, _)| key.as_str() != label::OPERATION) {
        report.same(&format!("Config.Labels.{key}"), &Some(value), &found.get(key));
    }
    if !is_made_from(|key| found.get(key), workload) {
        let expected = fingerprint(workload);
        report.push(&format!("Config.Labels.{}", label::SPEC), &expected, &format!("{:?}", found.get(label::SPEC)));
    }
}

/// Names only: a value may be a secret.
fn variables(report: &mut Report, workload: &Workload, config: &models::ContainerConfig) {
    let found: BTreeSet<&str> = config.env.iter().flatten().map(String::as_str).collect();
    for (name, entry) in workload.env.keys().zip(env(workload)) {
        if !found.contains(entry.as_str()) {
            report.push(&format!("Config.Env.{name}"), "the workload's value", "another value or none");
        }
    }
}

/// What is mounted in the end, however it was asked for.
fn mounts(report: &mut Report, workload: &Workload, found: &models::ContainerInspectResponse) {
    let expected: BTreeSet<_> = workload
        .volumes
        .iter()
        .map(|mount| (Some("volume".to_owned()), Some(mount.volume.clone()), Some(mount.path.clone())))
        .collect();
    let mounted: BTreeSet<_> = found
        .mounts
        .iter()
        .flatten()
        .filter(|mount| mount.typ.as_deref() != Some("tmpfs"))
        .map(|mount| (mount.typ.clone(), mount.name.clone(), mount.destination.clone()))
        .collect();
    report.same("Mounts", &expected, &mounted);
}

fn ports(bindings: &Option<models::PortMap>) -> BTreeSet<(String, Option<String>, Option<String>)> {
    bindings
        .iter()
        .flatten()
        .flat_map(|(port, bindings)| {
            bindings.iter().flatten().map(|to| (port.clone(), to.host_ip.clone(), to.host_port.clone()))
        })
        .collect()
}

fn ordered(map: &Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    map.clone().unwrap_or_default().into_iter().collect()
}

#[derive(Default)]
struct Report(Vec<Deviation>);

impl Report {
    fn push(&mut self, field: &str, expected: &str, found: &str) {
        self.0.push(Deviation {
            field: field.to_owned(),
            expected: super::connect::bounded(expected),
            found: super::connect::bounded(found),
        });
    }

    fn same<T: PartialEq + Debug>(&mut self, field: &str, expected: &T, found: &T) {
        if expected != found {
            self.push(field, &format!("{expected:?}"), &format!("{found:?}"));
        }
    }

    fn empty<T: Debug>(&mut self, field: &str, found: &Option<Vec<T>>) {
        if found.as_ref().is_some_and(|list| !list.is_empty()) {
            self.push(field, "nothing", &format!("{found:?}"));
        }
    }

    fn blank(&mut self, field: &str, found: &Option<String>) {
        if found.as_ref().is_some_and(|text| !text.is_empty()) {
            self.push(field, "the engine's default", &format!("{found:?}"));
        }
    }
}
