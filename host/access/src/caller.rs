//! Somebody who calls the API.

use convergence_model::{OrgId, Scope};

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything, in every organization.
    PlatformAdmin,
}

impl Role {
    /// As policies and audit rows know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlatformAdmin => "platform-admin",
        }
    }
}

/// Somebody who calls the API, already known.
#[derive(Debug, Clone)]
pub struct Caller {
    role: Role,
    home: OrgId,
    name: String,
}

impl Caller {
    pub(crate) fn new(role: Role, home: OrgId, name: impl Into<String>) -> Self {
        Self { role, home, name: name.into() }
    }

    /// What they may do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// As audit rows name them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The organization they act for when they name none.
    pub fn home(&self) -> OrgId {
        self.home
    }

    /// Everything they may see.
    pub fn scope(&self) -> Scope {
        match self.role {
            Role::PlatformAdmin => Scope::platform(),
        }
    }

    /// The part of their reach that is `org`, or `None` when they may not touch it: an `org_id` in a
    /// request is a wish, never an authorization.
    pub fn scope_of(&self, org: OrgId) -> Option<Scope> {
        self.scope().covers(org).then(|| Scope::granted(org))
    }
}
