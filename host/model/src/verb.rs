//! What can be asked of a tenant in which state: one table, which requests, errors and documentation share.

use std::fmt;

use crate::tenant::TenantStatus::{self, Destroying, Failed, Provisioning, Running, Stopped};

/// What can be asked of a tenant there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Run it again after a stop.
    Start,
    /// Stop its app until it is started.
    Stop,
    /// Stop its app and start it again.
    Restart,
    /// Bring it back to what its revision says.
    Repair,
    /// Bring up the next revision, or an earlier one.
    Deploy,
    /// Give it other limits.
    Scale,
    /// Give it another name, protect it, or remove a volume that it does not use.
    Change,
    /// Remove it.
    Destroy,
}

impl Verb {
    /// Every verb, in the order of the documentation.
    pub const ALL: [Self; 8] =
        [Self::Start, Self::Stop, Self::Restart, Self::Repair, Self::Deploy, Self::Scale, Self::Change, Self::Destroy];

    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Repair => "repair",
            Self::Deploy => "deploy",
            Self::Scale => "scale",
            Self::Change => "change",
            Self::Destroy => "destroy",
        }
    }

    /// The states in which it is accepted.
    pub fn from(self) -> &'static [TenantStatus] {
        match self {
            Self::Start => &[Stopped, Failed],
            Self::Stop => &[Running, Failed],
            Self::Restart => &[Running],
            Self::Repair => &[Running, Failed],
            Self::Deploy | Self::Scale | Self::Change => &[Provisioning, Running, Stopped, Failed],
            Self::Destroy => &[Provisioning, Running, Stopped, Destroying, Failed],
        }
    }

    /// The state once it is done; none where it changes none, or there is no tenant any more.
    pub fn to(self) -> Option<TenantStatus> {
        match self {
            Self::Start | Self::Restart | Self::Repair | Self::Deploy => Some(Running),
            Self::Stop => Some(Stopped),
            Self::Scale | Self::Change | Self::Destroy => None,
        }
    }

    /// What is accepted in a state, for an error: `start, deploy, scale, change, destroy`.
    pub fn allowed(status: TenantStatus) -> String {
        let allowed = Self::ALL.into_iter().filter(|verb| verb.from().contains(&status));
        allowed.map(Self::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_removed_is_only_removed_and_nothing_is_ever_without_a_way_out() {
        assert_eq!(Verb::allowed(Destroying), "destroy");
        assert_eq!(Verb::allowed(Stopped), "start, deploy, scale, change, destroy");
        for status in [Provisioning, Running, Stopped, Destroying, Failed] {
            assert!(Verb::Destroy.from().contains(&status));
        }
    }
}
