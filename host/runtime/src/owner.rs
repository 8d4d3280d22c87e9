//! Whose a thing in an engine is.

use std::collections::BTreeMap;

use convergence_model::EnvId;
use convergence_model::workload::label;

/// Whose something in an engine is expected to be, as its labels say.
///
/// Names alone prove nothing: an engine is shared with people, and perhaps with other installations, and a name
/// that was refused because somebody else has it is theirs still when the refused operation is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The installation.
    pub instance: &'a str,
    /// The tenant.
    pub tenant: EnvId,
}

impl<'a> Owner<'a> {
    /// Whom these labels name; `None` where they do not name a tenant of an installation.
    pub fn of(labels: &'a BTreeMap<String, String>) -> Option<Self> {
        let tenant = labels.get(label::TENANT)?.parse().ok()?;
        Some(Self { instance: labels.get(label::INSTANCE)?, tenant })
    }

    /// Whether something is theirs, given how to read its labels.
    pub fn owns<'l>(&self, label: impl Fn(&str) -> Option<&'l String>) -> bool {
        let is = |key, value: &str| label(key).is_some_and(|found| found == value);
        is(label::INSTANCE, self.instance) && is(label::TENANT, &self.tenant.to_string())
    }
}

#[cfg(test)]
mod tests {
    //! What counts as ours.

    use super::*;

    #[test]
    fn both_labels_decide() {
        let owner = Owner { instance: "here", tenant: EnvId(7) };
        let owns = |labels: &[(&str, &str)]| {
            let labels: BTreeMap<_, _> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(Owner::of(&labels) == Some(owner), owner.owns(|key| labels.get(key)));
            owner.owns(|key| labels.get(key))
        };
        assert!(owns(&[(label::INSTANCE, "here"), (label::TENANT, "7"), ("more", "")]));
        assert!(!owns(&[(label::INSTANCE, "there"), (label::TENANT, "7")]));
        assert!(!owns(&[(label::INSTANCE, "here"), (label::TENANT, "8")]));
        assert!(!owns(&[(label::INSTANCE, "here")]));
        assert!(!owns(&[(label::TENANT, "7")]));
        assert!(!owns(&[]));
    }
}
