//! From a spec to a checked plan: policies, template, guard, policies again.

use std::collections::BTreeMap;

use convergence_access::Caller;
use convergence_model::field::Severity;
use convergence_model::plan::{BuildPlan, PlanRequest, Probe};
use convergence_model::policy::{Organization, PlanSummary, Review};
use convergence_model::spec::TenantSpec;
use convergence_model::tenant::{Binding, PluginPin, Tenant, TenantStatus};
use convergence_model::workload::Subnet;
use convergence_model::{
    EnvId, EnvName, Limits, OperationId, OrgId, RevisionNumber, Scope, Secret, ServiceSpec, Source, TenantId, Violation,
};
use convergence_plugin::{PluginFailure, Reviewed};
use convergence_render::{GuardedPlan, Projection, Rules};
use convergence_source::GitError;
use convergence_store::StoreError;
use jiff::Timestamp;

use crate::recognize::Application;
use crate::{Provisioner, own};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Fields of the request are wrong, or a policy refuses it.
    #[error("the request is refused: {}", .0.iter().map(|violation| violation.message.as_str()).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Violation>),
    /// The organization is absent or out of reach.
    #[error("there is no organization {0}")]
    NoOrganization(OrgId),
    /// A plugin failed, or there is none for the language.
    #[error(transparent)]
    Plugin(#[from] PluginFailure),
    /// The template returned a plan that the guard refuses: the template's fault, not the caller's.
    #[error("the template {plugin} returned a plan that is not allowed ({} violations); tell its author", violations.len())]
    BadPlan {
        /// The template's id.
        plugin: String,
        /// What is wrong with the plan.
        violations: Vec<Violation>,
    },
    /// The repository was not fetched.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The folder of sources cannot be read.
    #[error("the source cannot be read: {0}")]
    Source(#[from] std::io::Error),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Notes of a plan, as the guard has it.
const NOTES_MAX: usize = 64;

/// A plan that may be carried out.
#[derive(Debug, Clone)]
pub struct Planned {
    /// When the request was accepted: what clocks showed to the plugins.
    pub at: Timestamp,
    /// What was asked for, with the language that was recognized.
    pub spec: TenantSpec,
    /// What to build and run.
    pub plan: GuardedPlan,
    /// Limits after policies tightened them.
    pub limits: Limits,
    /// Which components decided.
    pub plugins: BTreeMap<String, PluginPin>,
    /// What policies warn of.
    pub warnings: Vec<Violation>,
}

/// A plan and what it would be rendered to.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The plan.
    pub planned: Planned,
    /// With images as they resolve, not yet pinned by digest.
    pub dockerfile: String,
    /// With placeholders for what only a spawn assigns.
    pub compose: String,
}

impl Provisioner {
    /// Asks policies and the template, and checks what they answer. Changes nothing. `action` is what policies are told.
    pub(crate) async fn plan(
        &self,
        scope: &Scope,
        caller: &Caller,
        org: OrgId,
        spec: TenantSpec,
        action: &str,
    ) -> Result<Planned, PlanError> {
        refuse_doubled(&spec)?;
        // An upload is answered with its notes; a fetch has no answer of its own.
        let mut received = Vec::new();
        let spec = match spec.source {
            Source::Image(_) => own::of_image(spec)?,
            Source::Git(git) => {
                let (git, notes) = self.fetched(org, git).await?;
                received = notes;
                TenantSpec { source: Source::Git(git), ..spec }
            }
            _ => spec,
        };
        let application = self.application(org, &spec.source).await?;
        let mut request = PlanRequest {
            at: self.now_as_stored(),
            tenant_name: spec.name.to_string(),
            framework: spec.framework.clone(),
            source: None,
            base_image: spec.base_image.clone(),
            architecture: architecture().to_owned(),
            memory_mb: spec.limits.memory_mb,
            env_names: spec.variable_names(),
            build_args: Vec::new(),
            secret_names: Vec::new(),
            processes: Vec::new(),
            config: String::new(),
            extra: Vec::new(),
        };
        // The same plugins throughout, whatever is installed meanwhile.
        let plugged = self.catalogue.snapshot();
        let (spec, decided) = match &application {
            Some(application) => application.decide(&plugged, spec, &mut request, self.settings.own_dockerfile).await?,
            None if spec.language.is_empty() => {
                let message = "a starter needs a language; name one that `GET /api/v1/templates` lists";
                return Err(PlanError::Refused(vec![Violation::deny("language", "required", message)]));
            }
            None => (spec, Vec::new()),
        };
        let says = application.as_ref().map(Application::service).unwrap_or_default();
        refuse_service(&spec.service, ["port", "healthPath"], spec.brings_image())?;
        let fields = ["convergence.toml: port of [service]", "convergence.toml: health of [service]"];
        refuse_service(&says, fields, spec.brings_image())?;
        let mut review = Review { at: request.at, ..self.review(scope, caller, org, &spec, action).await? };
        let reviewed = plugged.review(review.clone()).await?;
        let refused = self.machine().await.refuses(&reviewed.limits);
        let first = passed(reviewed, refused)?;
        let mut plugins = first.pins;
        let mut warnings = first.violations;

        request.memory_mb = first.limits.memory_mb;
        let at = request.at;
        let (mut plan, asked) = match self.own_plan(&spec, application.as_ref()).await? {
            Some(plan) => (plan, None),
            None => {
                if let Some(application) = &application {
                    request.source = Some(application.seen_by(plugged.template_for(&spec.language).as_deref()).await?);
                }
                let (mut plan, asked) = plugged.plan(&spec.language, request).await?;
                apply(&spec.service.or(&says), &mut plan);
                (plan, Some(asked))
            }
        };
        if plan.service.min_memory_mb > first.limits.memory_mb {
            return Err(too_little_memory(first.limits.memory_mb, plan.service.min_memory_mb));
        }
        // What the host decided comes before what the template did. No more notes than a plan may have.
        let room = NOTES_MAX.saturating_sub(plan.notes.len());
        plan.notes.splice(0..0, received.into_iter().chain(decided).take(room));
        let rules = self.rules(&spec, first.limits.memory_mb);
        let plan = convergence_render::guard(plan, &rules).map_err(|violations| match &asked {
            Some((template, _)) => PlanError::BadPlan { plugin: template.clone(), violations },
            None => PlanError::Refused(violations),
        })?;
        plugins.extend(asked);

        review.limits = first.limits;
        review.plan = Some(PlanSummary::from(plan.plan()));
        let second = passed(plugged.review(review).await?, Vec::new())?;
        // What a policy says with and without the plan is told once.
        let more: Vec<_> = second.violations.into_iter().filter(|warning| !warnings.contains(warning)).collect();
        warnings.extend(more);
        let limits = first.limits.tightened_by(second.limits);
        // A policy may also tighten them to less than there can be.
        let refused = self.machine().await.refuses(&limits);
        if !refused.is_empty() {
            return Err(PlanError::Refused(refused));
        }
        if plan.plan().service.min_memory_mb > limits.memory_mb {
            return Err(too_little_memory(limits.memory_mb, plan.plan().service.min_memory_mb));
        }
        Ok(Planned { at, spec, plan, limits, plugins, warnings })
    }

    /// What policies are asked about a spec, before there is a plan.
    pub(crate) async fn review(
        &self,
        scope: &Scope,
        caller: &Caller,
        org: OrgId,
        spec: &TenantSpec,
        action: &str,
    ) -> Result<Review, PlanError> {
        let organization = self.store.organization(scope, org).await?.ok_or(PlanError::NoOrganization(org))?;
        let usage = self.store.usage(scope, org).await?;
        if let Some(image) = &spec.base_image {
            self.refuse_image("baseImage", image)?;
        }
        Ok(Review {
            at: self.now_as_stored(),
            action: action.to_owned(),
            organization: Organization { id: org.to_string(), name: organization.name, plan: organization.plan, usage },
            actor_role: caller.role().as_str().to_owned(),
            tenant_name: spec.name.to_string(),
            language: spec.language.clone(),
            framework: spec.framework.clone(),
            base_image: spec.base_image.clone(),
            source: spec.source.kind().to_owned(),
            limits: spec.limits,
            env_names: spec.variable_names(),
            labels: Vec::new(),
            plan: None,
            config: String::new(),
            extra: Vec::new(),
        })
    }

    /// The time, as exactly as the store keeps it.
    fn now_as_stored(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// What a plan of this spec is held against.
    pub(crate) fn rules<'a>(&'a self, spec: &'a TenantSpec, memory_mb: u32) -> Rules<'a> {
        let source = spec.source.digest().is_some();
        Rules {
            images: &self.settings.images,
            base_image: spec.base_image.as_deref(),
            source,
            brings_image: spec.brings_image(),
            memory_mb,
        }
    }

    /// The dry run: a plan and what it would be rendered to.
    ///
    /// # Errors
    /// As a spawn would answer before it changes anything.
    pub async fn preview(
        &self,
        scope: &Scope,
        caller: &Caller,
        org: OrgId,
        spec: TenantSpec,
    ) -> Result<Preview, PlanError> {
        let planned = self.plan(scope, caller, org, spec, "spawn").await?;
        let files = self.build_files(org, &planned.spec, &planned.plan, &BTreeMap::new()).await?;
        let (dockerfile, context) = (files.dockerfile, files.context);
        let tag = convergence_render::image_tag(
            &self.settings.name_prefix,
            org,
            &dockerfile,
            &context,
            planned.spec.source.digest(),
            [],
        );
        let now = self.clock.now();
        let nobody = uuid::Uuid::nil();
        let tenant = Tenant {
            id: TenantId(nobody),
            env_id: EnvId(0),
            org,
            spec: planned.spec.clone(),
            status: TenantStatus::Provisioning,
            protected: false,
            staged: 0,
            secrets_set: 0,
            current_revision: None,
            failure: None,
            created_at: now,
            updated_at: now,
        };
        let binding = Binding {
            port: *self.settings.ports.start(),
            subnet: Subnet::containing(self.settings.subnets.first),
            key_version: 1,
        };
        let workload = convergence_render::project(
            &Projection {
                instance: &self.settings.instance,
                name_prefix: &self.settings.name_prefix,
                tenant: &tenant,
                spec: &planned.spec,
                binding: &binding,
                revision: RevisionNumber(1),
                operation: OperationId(nobody),
                image: &tag,
                declared: None,
                published: self.runtime.capabilities().host_ports,
                limits: planned.limits,
                platform: &self.settings.platform,
                api_key: Secret::new(""),
                secrets: BTreeMap::new(),
            },
            &planned.plan,
        );
        Ok(Preview { dockerfile, compose: convergence_render::compose(&workload), planned })
    }
}

/// What policies said, if neither they nor the machine refuse; then all that is left of their violations is warnings. Of a
/// field that a policy refuses already, what the machine has against it is not told as well.
pub(crate) fn passed(reviewed: Reviewed, by_machine: Vec<Violation>) -> Result<Reviewed, PlanError> {
    if !reviewed.is_denied() && by_machine.is_empty() {
        return Ok(reviewed);
    }
    let denied = reviewed.violations.into_iter().filter(|violation| violation.severity == Severity::Deny);
    let mut denied: Vec<Violation> = denied.collect();
    for violation in by_machine {
        if !denied.iter().any(|denied| denied.path == violation.path) {
            denied.push(violation);
        }
    }
    Err(PlanError::Refused(denied))
}

/// What the request or the application says of how it answers is stronger than what its template does.
fn apply(service: &ServiceSpec, plan: &mut BuildPlan) {
    let health = &mut plan.service.health;
    if service.port.is_some() || service.health_path.is_some() {
        // The check inside the container asks what the template expects.
        health.in_container = None;
    }
    if let Some(path) = &service.health_path {
        health.probe = Probe::Http(path.clone());
    }
    if let Some(port) = service.port {
        plan.service.port = port;
    }
}

/// Refuses what an application cannot listen on or be asked for. `fields` are the names of port and path where they are said.
fn refuse_service(service: &ServiceSpec, fields: [&str; 2], brings_image: bool) -> Result<(), PlanError> {
    let [port_field, path_field] = fields;
    let mut wrong = Vec::new();
    let least = if brings_image { 1 } else { 1024 };
    if let Some(port) = service.port.filter(|port| *port < least) {
        let message =
            format!("the port {port} is not within {least} to 65535: the application runs without privileges");
        wrong.push(Violation::deny(port_field, "out-of-range", message));
    }
    if let Some(Err((code, message))) = service.health_path.as_deref().map(convergence_render::guard::health_path) {
        wrong.push(Violation::deny(path_field, code, message));
    }
    if wrong.is_empty() { Ok(()) } else { Err(PlanError::Refused(wrong)) }
}

/// Refuses plain variables with the names of secret ones.
pub(crate) fn refuse_doubled(spec: &TenantSpec) -> Result<(), PlanError> {
    let doubled = spec.env.keys().filter(|name| spec.secrets.contains_key(*name));
    let told = |name: &EnvName| {
        let message = format!("{name} is a secret of this tenant; choose another name, or unset the secret first");
        Violation::deny(format!("env.{name}"), "taken", message)
    };
    let wrong: Vec<_> = doubled.map(told).collect();
    if wrong.is_empty() { Ok(()) } else { Err(PlanError::Refused(wrong)) }
}

fn too_little_memory(given: u32, least: u32) -> PlanError {
    PlanError::Refused(vec![Violation::deny(
        "limits.memoryMb",
        "too-small",
        format!("{given} MiB are too few for this application; give at least {least}"),
    )])
}

/// The machine's architecture as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
