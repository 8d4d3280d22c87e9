//! The zoo: hostile and broken components of every kind, and the layer that has to stop each.

pub(super) mod before;
mod beside;
mod calls;
mod descriptions;
mod plans;
mod wasi;

use std::time::Duration;

use convergence_model::Limits;
use convergence_model::plan::PlanRequest;
use convergence_model::policy::{Organization, Review, Usage};
use convergence_render::{ImagePolicy, Rules, guard};
use convergence_sandbox::{CallLimits, ChildCompiler, Compiler, Component, Layer, Pooling, Sandbox, SandboxConfig};

use super::compiler::compiler;
use super::forge::guest::Guest;

/// One kind of component.
pub(crate) struct Specimen {
    /// What it does.
    pub(crate) name: &'static str,
    /// Who has to stop it; none where it can do no harm and is let through.
    pub(crate) layer: Option<Layer>,
    /// Part of what is said about it.
    pub(crate) says: &'static str,
    /// The file.
    pub(crate) bytes: Vec<u8>,
    /// Its configuration, JSON.
    pub(crate) config: &'static str,
}

impl Specimen {
    fn new(name: &'static str, layer: Layer, says: &'static str, bytes: Vec<u8>) -> Self {
        Self { name, layer: Some(layer), says, bytes, config: "{}" }
    }

    fn guest(name: &'static str, layer: Layer, says: &'static str, guest: Guest) -> Self {
        Self::new(name, layer, says, guest.build())
    }

    fn harmless(name: &'static str, guest: Guest) -> Self {
        Self { name, layer: None, says: "", bytes: guest.build(), config: "{}" }
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Specimen> {
    let mut all = before::specimens();
    all.extend(descriptions::specimens());
    all.extend(calls::specimens());
    all.extend(plans::specimens());
    all.extend(wasi::specimens());
    all
}

/// What became of a component.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Stopped here, with these words.
    Stopped(Layer, String),
    /// It did what a plugin does.
    Served,
}

/// A sandbox as a server has it, with limits that are met soon, and so much time to compile.
pub(crate) fn sandbox(cache: Option<&std::path::Path>, compile: Duration) -> Sandbox {
    let config = SandboxConfig {
        cache_dir: cache.map(std::path::Path::to_owned),
        compiler: Compiler::Child(ChildCompiler { time: compile, memory_bytes: 512 << 20, ..compiler() }),
        pooling: Pooling::Always,
        max_concurrent_calls: 4,
        limits: CallLimits {
            memory_bytes: 32 << 20,
            fuel: 20_000_000,
            deadline: Duration::from_secs(60),
            ..CallLimits::default()
        },
        ..SandboxConfig::default()
    };
    Sandbox::new(config).unwrap()
}

/// Loads a component, and asks it what its kind is for.
pub(crate) async fn meet(sandbox: &Sandbox, bytes: &[u8], config: &str) -> Fate {
    match sandbox.load(bytes) {
        Err(error) => Fate::Stopped(error.layer(), error.to_string()),
        Ok(component) => ask(&component, config).await,
    }
}

/// Asks a loaded component what its kind is for.
pub(crate) async fn ask(component: &Component, config: &str) -> Fate {
    if let Some(policy) = component.as_policy() {
        return match policy.evaluate(&review()).await {
            Err(error) => Fate::Stopped(error.layer(), error.to_string()),
            Ok(_) => Fate::Served,
        };
    }
    let template = component.as_template().expect("the zoo has templates and policies");
    let plan = match template.plan(&PlanRequest { config: config.to_owned(), ..request() }).await {
        Err(error) => return Fate::Stopped(error.layer(), error.to_string()),
        Ok(plan) => plan,
    };
    let images = ImagePolicy::default();
    let rules = Rules { images: &images, base_image: None, source: false, brings_image: false, memory_mb: 512 };
    match guard(plan, &rules) {
        Ok(_) => Fate::Served,
        Err(violations) => {
            let words: Vec<String> =
                violations.iter().map(|found| format!("{} {}: {}", found.path, found.code, found.message)).collect();
            Fate::Stopped(Layer::Guard, words.join("\n"))
        }
    }
}

pub(crate) fn request() -> PlanRequest {
    PlanRequest {
        at: jiff::Timestamp::UNIX_EPOCH,
        tenant_name: "my-app".to_owned(),
        framework: None,
        source: None,
        base_image: None,
        architecture: "amd64".to_owned(),
        memory_mb: 512,
        env_names: vec!["LOG_LEVEL".to_owned()],
        build_args: Vec::new(),
        secret_names: Vec::new(),
        processes: Vec::new(),
        config: "{}".to_owned(),
        extra: Vec::new(),
    }
}

fn review() -> Review {
    Review {
        at: jiff::Timestamp::UNIX_EPOCH,
        action: "spawn".to_owned(),
        organization: Organization {
            id: "1".to_owned(),
            name: "Example".to_owned(),
            plan: String::new(),
            usage: Usage::default(),
        },
        actor_role: "admin".to_owned(),
        tenant_name: "my-app".to_owned(),
        language: "node".to_owned(),
        framework: None,
        base_image: None,
        source: "starter".to_owned(),
        limits: Limits::DEFAULT,
        env_names: vec!["LOG_LEVEL".to_owned()],
        labels: Vec::new(),
        plan: None,
        config: "{}".to_owned(),
        extra: Vec::new(),
    }
}

#[tokio::test]
async fn every_specimen_is_stopped_where_it_should_be() {
    let (sandbox, specimens) = (sandbox(None, Duration::from_secs(5)), all());
    let mut names: Vec<_> = specimens.iter().map(|specimen| specimen.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), specimens.len(), "two have one name");
    assert!(names.len() >= 60, "a zoo of {}", names.len());
    let mut wrong = Vec::new();
    for specimen in &specimens {
        let fate = meet(&sandbox, &specimen.bytes, specimen.config).await;
        let right = match (&fate, specimen.layer) {
            (Fate::Stopped(layer, words), Some(expected)) => *layer == expected && words.contains(specimen.says),
            (Fate::Served, None) => true,
            _ => false,
        };
        if !right {
            wrong.push(format!("{}: {fate:.600?}, not {:?} `{}`", specimen.name, specimen.layer, specimen.says));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), specimens.len(), wrong.join("\n"));
}

#[tokio::test]
async fn what_the_forge_makes_is_honest_until_it_is_changed() {
    let sandbox = sandbox(None, Duration::from_secs(60));
    for guest in [Guest::template(), Guest::policy()] {
        assert_eq!(meet(&sandbox, &guest.build(), "{}").await, Fate::Served);
    }
}
