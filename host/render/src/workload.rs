//! What runs: a tenant, its binding and a checked plan, put together.
//!
//! The one place that decides what a tenant's container is called and which variables it sees. Runtimes create
//! containers from the result, and [`crate::compose`] shows it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use convergence_model::build::Declared;
use convergence_model::plan::Service;
use convergence_model::tenant::{Binding, Tenant};
use convergence_model::workload::{Boundary, EnvValue, LogRotation, Mount, Published, Tmpfs, Workload, label};
use convergence_model::{EnvId, EnvName, Limits, OperationId, RevisionNumber, Secret, TenantSpec};

use crate::guard::GuardedPlan;

/// The home of a tenant's user: scratch space, since the root file system is read-only.
pub(crate) const HOME: &str = "/tmp";
/// MiB of it, where the plan does not say.
const HOME_MB: u32 = 64;
/// What asks a service to stop, where the plan does not say.
pub(crate) const STOP_SIGNAL: &str = "SIGTERM";

/// Where a service listens, where nobody says.
const PORT: u16 = 8080;

/// What is the same for all tenants of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The server as tenants reach it.
    pub api_url: String,
    /// Where tenants' ports are published; loopback unless the operator says otherwise.
    pub publish_address: IpAddr,
    /// Names that resolve to the machine the engine runs on.
    pub host_aliases: Vec<String>,
}

/// What a workload is projected from.
#[derive(Debug, Clone)]
pub struct Projection<'a> {
    /// Which installation it belongs to.
    pub instance: &'a str,
    /// Before the tenant's id in names, normally `convergence-tenant`.
    pub name_prefix: &'a str,
    /// Whose it is.
    pub tenant: &'a Tenant,
    /// What was asked for of the revision: an app is told a new name of its tenant with its next one.
    pub spec: &'a TenantSpec,
    /// What stays the same through all revisions.
    pub binding: &'a Binding,
    /// Which revision made its container.
    pub revision: RevisionNumber,
    /// Which operation makes it.
    pub operation: OperationId,
    /// The image, as the nodes that run it know it.
    pub image: &'a str,
    /// How the image says that it is run, where the plan leaves that to the image.
    pub declared: Option<&'a Declared>,
    /// Whether the tenant's port is published on a host: whether the runtime can.
    pub published: bool,
    /// The limits of the revision.
    pub limits: Limits,
    /// What is the same for all tenants.
    pub platform: &'a Platform,
    /// The tenant's key.
    pub api_key: Secret,
    /// The values of the variables of the spec that are secret.
    pub secrets: BTreeMap<EnvName, Secret>,
}

/// Names in an engine, for those who clean up without a plan.
pub mod names {
    use super::EnvId;

    /// Of a tenant's workload, and of its boundary.
    pub fn container(prefix: &str, tenant: EnvId) -> String {
        format!("{prefix}-{tenant}")
    }

    /// Of the container that proves that a revision comes up.
    pub fn candidate(prefix: &str, tenant: EnvId) -> String {
        format!("{}-candidate", container(prefix, tenant))
    }

    /// Of one of its volumes.
    pub fn volume(prefix: &str, tenant: EnvId, volume: &str) -> String {
        format!("{}-{volume}", container(prefix, tenant))
    }
}

/// Puts a workload together. Variables of the template come first, then those of the tenant, then the platform's:
/// the last one wins.
pub fn project(projection: &Projection<'_>, guarded: &GuardedPlan) -> Workload {
    let service = &guarded.plan().service;
    let Projection { tenant, binding, platform, .. } = projection;
    let name = names::container(projection.name_prefix, tenant.env_id);

    let mut env: BTreeMap<String, EnvValue> = BTreeMap::new();
    for variable in &service.env {
        env.insert(variable.key.clone(), EnvValue::Literal(variable.value.clone()));
    }
    for (name, value) in &projection.spec.env {
        env.insert(name.as_str().to_owned(), EnvValue::Literal(value.clone()));
    }
    for (name, value) in &projection.secrets {
        env.insert(name.as_str().to_owned(), EnvValue::Secret(value.clone()));
    }
    let (command, port) = run(service, projection.declared);
    env.extend(platform_variables(projection, port));

    let mut tmpfs: Vec<Tmpfs> = service
        .writable
        .iter()
        .map(|w| Tmpfs { path: w.path.clone(), size_mb: w.size_mb, executable: w.executable })
        .collect();
    if !tmpfs.iter().any(|tmpfs| tmpfs.path == HOME) {
        tmpfs.push(Tmpfs { path: HOME.to_owned(), size_mb: HOME_MB, executable: false });
    }
    tmpfs.sort_by(|a, b| a.path.cmp(&b.path));

    let volumes = service.volumes.iter().map(|volume| Mount {
        volume: names::volume(projection.name_prefix, tenant.env_id, &volume.name),
        path: volume.path.clone(),
    });

    Workload {
        image: projection.image.to_owned(),
        labels: labels(projection),
        command,
        env,
        container_port: port,
        published: projection.published.then_some(Published { address: platform.publish_address, port: binding.port }),
        boundary: Boundary { name: name.clone(), addresses: Some(binding.subnet) },
        volumes: volumes.collect(),
        tmpfs,
        limits: projection.limits,
        health: service.health.clone(),
        stop_signal: service.stop_signal.clone().unwrap_or_else(|| STOP_SIGNAL.to_owned()),
        stop_grace_seconds: service.stop_grace_seconds,
        host_aliases: platform.host_aliases.clone(),
        log_rotation: LogRotation::DEFAULT,
        name,
    }
}

/// What is run and where it listens: as the plan says, else as the image does.
pub fn run(service: &Service, declared: Option<&Declared>) -> (Vec<String>, u16) {
    let command = match declared {
        Some(declared) if service.command.is_empty() => declared.command.clone(),
        _ => service.command.clone(),
    };
    let port = match (service.port, declared.map(|declared| declared.ports.as_slice())) {
        (0, Some([port])) => *port,
        // An image that exposes none or several ports is told where to listen, as every other application.
        (0, _) => PORT,
        (port, _) => port,
    };
    (command, port)
}

fn platform_variables(projection: &Projection<'_>, port: u16) -> BTreeMap<String, EnvValue> {
    let tenant = projection.tenant;
    let literals = [
        ("CONVERGENCE_API_URL", projection.platform.api_url.clone()),
        ("CONVERGENCE_ORG_ID", tenant.org.to_string()),
        ("CONVERGENCE_ENV_ID", tenant.env_id.to_string()),
        ("TENANT_ID", format!("tenant_{}", tenant.env_id)),
        ("TENANT_NAME", projection.spec.name.to_string()),
        ("NODE_ENV", "production".to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
        ("PORT", port.to_string()),
        ("HOME", HOME.to_owned()),
    ];
    let secret = ("CONVERGENCE_API_KEY".to_owned(), EnvValue::Secret(projection.api_key.clone()));
    literals.into_iter().map(|(name, value)| (name.to_owned(), EnvValue::Literal(value))).chain([secret]).collect()
}

fn labels(projection: &Projection<'_>) -> BTreeMap<String, String> {
    [
        (label::INSTANCE, projection.instance.to_owned()),
        (label::TENANT, projection.tenant.env_id.to_string()),
        (label::ORGANIZATION, projection.tenant.org.to_string()),
        (label::OPERATION, projection.operation.to_string()),
        (label::REVISION, projection.revision.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
