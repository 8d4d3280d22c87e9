//! Names that an earlier version accepted and that do not lead to their tenant alone.

use convergence_model::Scope;
use convergence_model::name::{Doubt, Named, doubts};
use convergence_store::Store;

use super::{Finding, ok, warn};

const CHECK: &str = "names";
/// How to get rid of a name.
const RENAME: &str = "give it another name: `convergence rename NUMBER NAME`";

/// Looks at the names of all tenants.
pub(super) async fn check(store: &Store) -> Vec<Finding> {
    match store.tenant_names(&Scope::platform()).await {
        Ok(tenants) => {
            let doubts = doubts(tenants);
            if doubts.is_empty() {
                return vec![ok(CHECK, "every name leads to one tenant")];
            }
            doubts.iter().map(finding).collect()
        }
        Err(error) => vec![warn(CHECK, error.to_string(), "look at the database")],
    }
}

fn finding(doubt: &Doubt) -> Finding {
    match doubt {
        Doubt::CaseOnly(tenants) => {
            let shown: Vec<String> =
                tenants.iter().map(|Named { env_id, name, .. }| format!("{env_id} ({name})")).collect();
            warn(
                CHECK,
                format!(
                    "the names of these tenants differ in case only: {}. They keep working and cannot both become host names",
                    shown.join(", ")
                ),
                format!("keep one of them; of each other, {RENAME}"),
            )
        }
        Doubt::Shadowed(Named { env_id, name, .. }) => warn(
            CHECK,
            format!(
                "the tenant {env_id} is called {name}, which requests take for a number or for a word of the API's paths"
            ),
            RENAME,
        ),
    }
}

#[cfg(test)]
mod tests {
    use convergence_model::{EnvId, OrgId, TenantName};

    use super::*;

    #[test]
    fn names_that_differ_in_case_only_are_told_with_the_numbers_and_what_to_do() {
        let named = |env_id, name: &str| {
            TenantName::stored(name).map(|name| Named { org: OrgId(1), env_id: EnvId(env_id), name }).into_iter()
        };
        let found = doubts(named(1, "app").chain(named(2, "App")).chain(named(3, "7")).collect());
        let told: Vec<String> = found.iter().map(finding).map(|found| format!("{found:?}")).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told.iter().any(|told| told.contains("1 (app), 2 (App)") && told.contains("convergence rename")),
            "{told:?}"
        );
        assert!(told.iter().any(|told| told.contains("the tenant 3 is called 7")), "{told:?}");
    }
}
