//! Between the records of the contract and the nouns of the model, field by field.

use convergence_model::field::{Severity, Violation};
use convergence_model::limits::Limits;
use convergence_model::plan::{self, BuildPlan, PlanRequest};
use convergence_model::policy::{self, Review};

use super::bindings::policy::convergence::policy::policy_types as wit_policy;
use super::bindings::template::convergence::plugin::plugin_types as wit_plugin;
use super::bindings::template::convergence::template::template_types as wit;
use super::text;
use crate::component::{Example, RawDescription};
use crate::error::{CallError, PluginError, PluginFieldError};

/// What the contract says of codes.
pub(super) const CODE_IS_A_SLUG: &str = "it must be a slug such as `memory-above-maximum`";

pub(crate) fn description(from: wit_plugin::Description) -> RawDescription {
    let example = |from: wit_plugin::Example| Example {
        name: from.name,
        config: from.config,
        input: from.input,
        expect: from.expect,
    };
    RawDescription {
        id: from.id,
        kind: from.kind,
        name: from.name,
        version: from.version,
        summary: from.summary,
        homepage: from.homepage,
        config_schema: from.config_schema,
        examples: from.examples.into_iter().map(example).collect(),
    }
}

pub(crate) fn plugin_error(from: wit_plugin::PluginError) -> PluginError {
    let fields = |errors: Vec<wit_plugin::FieldError>| {
        let cleaned = errors.into_iter().map(|error| (text::path(&error.path), text::one_line(&error.message)));
        let (kept, _) = text::counted(cleaned.collect());
        kept.into_iter().map(|((path, message), _)| PluginFieldError { path, message }).collect()
    };
    match from {
        wit_plugin::PluginError::InvalidConfig(errors) => PluginError::InvalidConfig(fields(errors)),
        wit_plugin::PluginError::InvalidInput(errors) => PluginError::InvalidInput(fields(errors)),
        wit_plugin::PluginError::Unsupported(message) => PluginError::Unsupported(text::one_line(&message)),
        wit_plugin::PluginError::Internal(message) => PluginError::Internal(text::one_line(&message)),
    }
}

pub(super) fn attributes_in(from: &[plan::Attribute]) -> Vec<wit_plugin::Attribute> {
    from.iter().map(|a| wit_plugin::Attribute { key: a.key.clone(), value: a.value.clone() }).collect()
}

fn attribute(from: wit_plugin::Attribute) -> plan::Attribute {
    plan::Attribute { key: from.key, value: from.value }
}

pub(super) fn attributes(from: Vec<wit_plugin::Attribute>) -> Vec<plan::Attribute> {
    from.into_iter().map(attribute).collect()
}

// Templates.

pub(crate) fn request(from: &PlanRequest) -> wit::Request {
    wit::Request {
        tenant_name: from.tenant_name.clone(),
        framework: from.framework.clone(),
        source: from.source.as_ref().map(|source| wit::Source {
            paths: source.paths.clone(),
            files: source.files.iter().map(file_in).collect(),
        }),
        base_image: from.base_image.clone(),
        architecture: from.architecture.clone(),
        memory_mb: from.memory_mb,
        env_names: from.env_names.clone(),
        build_args: attributes_in(&from.build_args),
        secret_names: from.secret_names.clone(),
        processes: attributes_in(&from.processes),
        config: from.config.clone(),
        extra: attributes_in(&from.extra),
    }
}

/// About how many bytes a request has: the parts that can be large.
pub(crate) fn request_bytes(request: &wit::Request) -> usize {
    let source = request.source.as_ref().map_or(0, |source| {
        let paths: usize = source.paths.iter().map(String::len).sum();
        let files: usize = source.files.iter().map(|file| file.path.len() + file.contents.len()).sum();
        paths + files
    });
    let names: usize = request.env_names.iter().chain(&request.secret_names).map(String::len).sum();
    let pairs: usize =
        [&request.build_args, &request.processes, &request.extra].into_iter().map(|list| attribute_bytes(list)).sum();
    source + names + pairs + request.config.len()
}

pub(super) fn attribute_bytes(list: &[wit_plugin::Attribute]) -> usize {
    list.iter().map(|a| a.key.len() + a.value.len()).sum()
}

fn file_in(from: &plan::File) -> wit::File {
    wit::File { path: from.path.clone(), contents: from.contents.0.clone(), executable: from.executable }
}

fn file(from: wit::File) -> plan::File {
    plan::File { path: from.path, contents: plan::Contents(from.contents), executable: from.executable }
}

pub(crate) fn language(from: wit::Language) -> plan::Language {
    plan::Language { name: from.name, frameworks: from.frameworks, versions: from.versions, images: from.images }
}

pub(crate) fn detection(from: wit::Detection) -> plan::Detection {
    plan::Detection {
        confidence: from.confidence.min(100),
        language: from.language,
        framework: from.framework,
        version: from.version,
        reason: from.reason,
    }
}

pub(crate) fn build_plan(from: wit::BuildPlan) -> BuildPlan {
    BuildPlan {
        files: from.files.into_iter().map(file).collect(),
        stages: from.stages.into_iter().map(stage).collect(),
        service: service(from.service),
        notes: from.notes,
        extra: attributes(from.extra),
    }
}

fn stage(from: wit::Stage) -> plan::Stage {
    let base = match from.base {
        wit::Base::Image(image) => plan::Base::Image(image),
        wit::Base::Stage(name) => plan::Base::Stage(name),
        wit::Base::Scratch => plan::Base::Scratch,
    };
    plan::Stage { name: from.name, base, steps: from.steps.into_iter().map(step).collect() }
}

fn step(from: wit::Step) -> plan::Step {
    match from {
        wit::Step::Workdir(path) => plan::Step::Workdir(path),
        wit::Step::Env(variable) => plan::Step::Env(attribute(variable)),
        wit::Step::PrependPath(path) => plan::Step::PrependPath(path),
        wit::Step::Copy(copy) => plan::Step::Copy(plan::Copy {
            origin: match copy.origin {
                wit::Origin::Source => plan::Origin::Source,
                wit::Origin::Plan => plan::Origin::Plan,
                wit::Origin::Stage(name) => plan::Origin::Stage(name),
            },
            paths: copy.paths,
            destination: copy.destination,
        }),
        wit::Step::Run(run) => plan::Step::Run(plan::Run {
            argv: run.argv,
            caches: run
                .caches
                .into_iter()
                .map(|cache| plan::Cache { id: cache.id, path: cache.path, exclusive: cache.exclusive })
                .collect(),
            secrets: run
                .secrets
                .into_iter()
                .map(|secret| plan::SecretMount { name: secret.name, path: secret.path })
                .collect(),
        }),
    }
}

fn service(from: wit::Service) -> plan::Service {
    plan::Service {
        command: from.command,
        release_command: from.release_command,
        port: from.port,
        health: plan::Health {
            probe: match from.health.probe {
                wit::Probe::Http(path) => plan::Probe::Http(path),
                wit::Probe::Tcp => plan::Probe::Tcp,
                wit::Probe::Command(argv) => plan::Probe::Command(argv),
            },
            in_container: from.health.in_container,
            interval_seconds: from.health.interval_seconds,
            timeout_seconds: from.health.timeout_seconds,
            retries: from.health.retries,
            start_period_seconds: from.health.start_period_seconds,
        },
        env: attributes(from.env),
        writable: from
            .writable
            .into_iter()
            .map(|w| plan::Writable { path: w.path, size_mb: w.size_mb, executable: w.executable })
            .collect(),
        volumes: from.volumes.into_iter().map(|v| plan::Volume { name: v.name, path: v.path }).collect(),
        stop_signal: from.stop_signal,
        stop_grace_seconds: from.stop_grace_seconds,
        min_memory_mb: from.min_memory_mb,
        extra: attributes(from.extra),
    }
}

// Policies.

pub(crate) fn review(from: &Review) -> wit_policy::Review {
    let organization = &from.organization;
    wit_policy::Review {
        action: from.action.clone(),
        organization: wit_policy::Organization {
            id: organization.id.clone(),
            name: organization.name.clone(),
            plan: organization.plan.clone(),
            usage: wit_policy::Usage {
                tenants: organization.usage.tenants,
                cpu_millis: organization.usage.cpu_millis,
                memory_mb: organization.usage.memory_mb,
                disk_mb: organization.usage.disk_mb,
            },
        },
        actor_role: from.actor_role.clone(),
        tenant_name: from.tenant_name.clone(),
        language: from.language.clone(),
        framework: from.framework.clone(),
        base_image: from.base_image.clone(),
        source: from.source.clone(),
        limits: limits_in(from.limits),
        env_names: from.env_names.clone(),
        labels: attributes_in(&from.labels),
        plan: from.plan.as_ref().map(summary),
        config: from.config.clone(),
        extra: attributes_in(&from.extra),
    }
}

/// About how many bytes a review has: the parts that can be large.
pub(crate) fn review_bytes(review: &wit_policy::Review) -> usize {
    let names: usize = review.env_names.iter().map(String::len).sum();
    let plan = review
        .plan
        .as_ref()
        .map_or(0, |plan| plan.images.iter().chain(&plan.command).chain(&plan.volumes).map(String::len).sum::<usize>());
    names + plan + attribute_bytes(&review.labels) + attribute_bytes(&review.extra) + review.config.len()
}

fn summary(from: &policy::PlanSummary) -> wit_policy::PlanSummary {
    wit_policy::PlanSummary {
        images: from.images.clone(),
        command: from.command.clone(),
        port: from.port,
        volumes: from.volumes.clone(),
        writable_mb: from.writable_mb,
        files: from.files,
        build_steps: from.build_steps,
        release_command: from.release_command,
    }
}

fn limits_in(from: Limits) -> wit_policy::Limits {
    wit_policy::Limits {
        cpu_millis: from.cpu_millis,
        memory_mb: from.memory_mb,
        disk_mb: from.disk_mb,
        replicas: from.replicas,
        pids: from.pids,
    }
}

fn limits(from: wit_policy::Limits) -> Limits {
    Limits {
        cpu_millis: from.cpu_millis,
        memory_mb: from.memory_mb,
        disk_mb: from.disk_mb,
        replicas: from.replicas,
        pids: from.pids,
    }
}

/// What a policy answered, cleaned: of equal violations one is passed on, with how often there was.
pub(crate) fn verdict(from: wit_policy::Verdict) -> Result<policy::Verdict, CallError> {
    let mut said = Vec::new();
    for violation in from.violations {
        if !text::is_slug(&violation.code) {
            let code = text::path(&violation.code);
            return Err(CallError::InvalidAnswer(format!("the code of a violation is {code:?}; {CODE_IS_A_SLUG}")));
        }
        let denies = violation.severity == wit_policy::Severity::Deny;
        // What refuses comes first, so that a flood of warnings hides no refusal.
        said.push((!denies, text::path(&violation.path), violation.code, text::one_line(&violation.message)));
    }
    said.sort_by_key(|(warns, ..)| *warns);
    let (kept, more) = text::counted(said);
    let mut violations: Vec<Violation> = Vec::new();
    for ((warns, path, code, message), times) in kept {
        let message = if times > 1 { format!("{message} ({times} times)") } else { message };
        let severity = if warns { Severity::Warn } else { Severity::Deny };
        violations.push(Violation { path, code, message, severity, policy: None });
    }
    if more > 0
        && let Some(last) = violations.last_mut()
    {
        last.message.push_str(&format!(" (and {more} more violations)"));
    }
    Ok(policy::Verdict { violations, tightened: from.tightened.map(limits) })
}
