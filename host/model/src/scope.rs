//! What a caller may touch. Every store function on tenant-owned rows takes one.

use crate::ids::OrgId;

/// The rows a caller may see and change.
///
/// Only the room `access`, which knows who is calling, makes one for a caller; the tidy test finds any other call of
/// [`Scope::granted`]. The platform's own background work uses [`Scope::platform`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Reach);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    Platform,
    Organization(OrgId),
}

impl Scope {
    /// One organization's rows. Only `access` calls this.
    pub fn granted(org: OrgId) -> Self {
        Self(Reach::Organization(org))
    }

    /// Every row: for the platform's own work (running operations, recovery), and platform administrators.
    pub fn platform() -> Self {
        Self(Reach::Platform)
    }

    /// The one organization this scope is limited to; `None` means every organization. Statements bind it
    /// as `($n IS NULL OR org_id = $n)`.
    pub fn organization(&self) -> Option<OrgId> {
        match self.0 {
            Reach::Platform => None,
            Reach::Organization(org) => Some(org),
        }
    }

    /// Whether rows of `org` are within reach.
    pub fn covers(&self, org: OrgId) -> bool {
        self.organization().is_none_or(|own| own == org)
    }
}
