//! A tenant, what is bound to it, and its revisions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::build::{BaseImage, Declared};
use crate::ids::{EnvId, OperationId, OrgId, RevisionNumber, TenantId};
use crate::limits::Limits;
use crate::operation::Failure;
use crate::plan::BuildPlan;
use crate::spec::TenantSpec;
use crate::workload::Subnet;

/// What a tenant is doing, as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TenantStatus {
    /// Its first revision is being built and started.
    Provisioning,
    /// A revision is running.
    Running,
    /// Its container does not run.
    Stopped,
    /// Its container is being removed.
    Destroying,
    /// What was asked for did not work, and undoing it did not either.
    Failed,
}

impl TenantStatus {
    /// As stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Destroying => "destroying",
            Self::Failed => "failed",
        }
    }

    /// The inverse of [`TenantStatus::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Provisioning, Self::Running, Self::Stopped, Self::Destroying, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// One isolated app of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The row.
    pub id: TenantId,
    /// As clients know it.
    pub env_id: EnvId,
    /// Who owns it.
    pub org: OrgId,
    /// What it should be.
    pub spec: TenantSpec,
    /// What it is doing.
    pub status: TenantStatus,
    /// Whether it is destroyed only when it is named again.
    pub protected: bool,
    /// How often its configuration was changed without a deployment.
    pub staged: u32,
    /// How often a secret of it was set: the number of the newest version.
    pub secrets_set: u32,
    /// The revision that runs, once one does.
    pub current_revision: Option<RevisionNumber>,
    /// Why it failed or was halted, while it is.
    pub failure: Option<Failure>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// What belongs to a tenant through all revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The host port, leased for the tenant's whole life.
    pub port: u16,
    /// The tenant's own network.
    pub subnet: Subnet,
    /// Which version of its key is in use, from 1.
    pub key_version: u32,
}

/// One plan of one tenant and what was built from it. Free of ports and container names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number within the tenant.
    pub number: RevisionNumber,
    /// What the tenant should be as of this revision.
    pub spec: TenantSpec,
    /// What became of it.
    pub state: RevisionState,
    /// The operation that brings it up; not known of one from before version 0.2.
    pub operation: Option<OperationId>,
    /// Who asked for it.
    pub actor: String,
    /// Why, as they wrote it; may be empty.
    pub reason: String,
    /// The revision it restores, if it is a rollback.
    pub restores: Option<RevisionNumber>,
    /// The revision whose container it runs in, if its limits alone are different from that one's.
    pub container: Option<RevisionNumber>,
    /// What the template returned, after the guard.
    pub plan: BuildPlan,
    /// Which components decided: plugin id → version and digest.
    pub plugins: BTreeMap<String, PluginPin>,
    /// Limits after policies tightened them.
    pub limits: Limits,
    /// `repository:tag` of its image, from just before the build on: an image that nothing refers to would be lost
    /// if the build succeeded and its outcome could not be recorded.
    pub image_tag: Option<String>,
    /// What the build made of it; absent until the build has succeeded.
    pub built: Option<Built>,
    /// When it was planned.
    pub created_at: Timestamp,
}

/// What became of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevisionState {
    /// It waits for its turn, is being built, or is being brought up.
    Pending,
    /// It ran: it runs now, or can be run again.
    Ready,
    /// It never ran.
    Failed,
    /// A newer one came while it waited for its turn.
    Replaced,
    /// It ran, and its image was removed to make room.
    Retired,
}

impl RevisionState {
    /// As stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Replaced => "replaced",
            Self::Retired => "retired",
        }
    }

    /// The inverse of [`RevisionState::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Ready, Self::Failed, Self::Replaced, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// The exact component that made a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginPin {
    /// Its semantic version.
    pub version: String,
    /// `sha256:…` of its bytes.
    pub digest: String,
}

/// What a build made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Built {
    /// `repository:tag` of the image.
    pub tag: String,
    /// What the nodes that run it call the image, where that is not its tag: a registry's name for it, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// The engine's id of the image, `sha256:…`.
    pub image_id: String,
    /// The text that was built.
    pub dockerfile: String,
    /// What its stages started from.
    pub bases: Vec<BaseImage>,
    /// How the image says that it is run, where the plan leaves that to the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declared>,
}

impl Built {
    /// The image as the nodes that run it know it.
    pub fn image(&self) -> &str {
        self.published.as_deref().unwrap_or(&self.tag)
    }
}
