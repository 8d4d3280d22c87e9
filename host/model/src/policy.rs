//! What a validation policy is asked and what it answers. The mirror of `wit/policy/policy.wit`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::field::Violation;
use crate::limits::Limits;
use crate::plan::{Attribute, Base, BuildPlan, Step};

/// What an organization uses at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tenants that exist.
    pub tenants: u32,
    /// Thousandths of a core promised to them.
    pub cpu_millis: u32,
    /// MiB of memory promised to them.
    pub memory_mb: u32,
    /// MiB of disk promised to them.
    pub disk_mb: u32,
}

/// The organization a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its public id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its commercial plan, for example `free`.
    pub plan: String,
    /// What it uses already.
    pub usage: Usage,
}

/// A plan as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSummary {
    /// Images it starts from, as the template named them.
    pub images: Vec<String>,
    /// What runs; empty where an image that is not looked at yet says so itself.
    pub command: Vec<String>,
    /// Where it listens; 0 where an image that is not looked at yet says so itself.
    pub port: u16,
    /// Paths of kept folders.
    pub volumes: Vec<String>,
    /// MiB of scratch space in all.
    pub writable_mb: u32,
    /// Files the plan adds.
    pub files: u32,
    /// Programs run at build time.
    pub build_steps: u32,
    /// Whether a release command runs.
    pub release_command: bool,
}

impl From<&BuildPlan> for PlanSummary {
    fn from(plan: &BuildPlan) -> Self {
        let mut images: Vec<String> = plan
            .stages
            .iter()
            .filter_map(|stage| match &stage.base {
                Base::Image(image) => Some(image.clone()),
                Base::Stage(_) | Base::Scratch => None,
            })
            .collect();
        images.sort();
        images.dedup();
        let runs = plan.stages.iter().flat_map(|stage| &stage.steps).filter(|step| matches!(step, Step::Run(_)));
        Self {
            images,
            command: plan.service.command.clone(),
            port: plan.service.port,
            volumes: plan.service.volumes.iter().map(|volume| volume.path.clone()).collect(),
            writable_mb: plan.service.writable.iter().fold(0, |sum, w| sum.saturating_add(w.size_mb)),
            files: u32::try_from(plan.files.len()).unwrap_or(u32::MAX),
            build_steps: u32::try_from(runs.count()).unwrap_or(u32::MAX),
            release_command: plan.service.release_command.is_some(),
        }
    }
}

/// What a policy is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// When the request was accepted: the time that a clock shows to the policy.
    pub at: Timestamp,
    /// `spawn`, `scale`, …
    pub action: String,
    /// For whom.
    pub organization: Organization,
    /// Who asks.
    pub actor_role: String,
    /// The tenant's name.
    pub tenant_name: String,
    /// The language.
    pub language: String,
    /// The framework.
    pub framework: Option<String>,
    /// The image asked for.
    pub base_image: Option<String>,
    /// `starter`, `archive`, `git`, `image`.
    pub source: String,
    /// The limits asked for, defaults filled in.
    pub limits: Limits,
    /// Names of the tenant's own variables.
    pub env_names: Vec<String>,
    /// Labels of the tenant.
    pub labels: Vec<Attribute>,
    /// Present on the second call.
    pub plan: Option<PlanSummary>,
    /// The policy's configuration, JSON.
    pub config: String,
    /// Room to grow.
    pub extra: Vec<Attribute>,
}

/// What a policy answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// What is wrong with the request.
    pub violations: Vec<Violation>,
    /// Tighter limits to use.
    pub tightened: Option<Limits>,
}
