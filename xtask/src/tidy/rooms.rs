//! Which crate may use which: the arrows between the rooms of the house, and one door for each heavy dependency.

use super::Complaint;
use crate::workspace::{Package, Workspace};

/// A heavy dependency, children of its name included, and the only room whose product code may use it.
const DOORS: &[(&str, &str)] = &[
    ("axum", "convergence-http"),
    ("bollard", "convergence-runtime"),
    ("cranelift", "convergence-sandbox"),
    ("sqlx", "convergence-store"),
    ("utoipa", "convergence-http"),
    ("wasmtime", "convergence-sandbox"),
];

/// The rooms, each with the rooms it may use. What two rooms share goes down.
const ROOMS: &[(&str, &[&str])] = &[
    ("convergence-model", &[]),
    ("convergence-sandbox", &["convergence-model"]),
    ("convergence-render", &["convergence-model"]),
    ("convergence-runtime", &["convergence-model"]),
    ("convergence-source", &["convergence-model"]),
    ("convergence-store", &["convergence-model"]),
    ("convergence-work", &["convergence-model", "convergence-store"]),
    ("convergence-billing", &["convergence-model", "convergence-sandbox"]),
    ("convergence-plugin", &["convergence-model", "convergence-sandbox", "convergence-store"]),
    ("convergence-access", &["convergence-model", "convergence-store"]),
    (
        "convergence-authoring",
        &[
            "convergence-billing",
            "convergence-model",
            "convergence-plugin",
            "convergence-render",
            "convergence-sandbox",
        ],
    ),
    (
        "convergence-provision",
        &[
            // The code that starts a container puts the tenant's key into it, and `access` alone derives keys.
            "convergence-access",
            "convergence-model",
            "convergence-plugin",
            "convergence-render",
            "convergence-runtime",
            "convergence-sandbox",
            "convergence-source",
            "convergence-store",
            "convergence-work",
        ],
    ),
    (
        "convergence-http",
        &[
            "convergence-access",
            "convergence-model",
            "convergence-plugin",
            "convergence-provision",
            "convergence-render",
            "convergence-runtime",
            "convergence-sandbox",
            "convergence-source",
            "convergence-store",
            "convergence-work",
        ],
    ),
    (
        "convergence",
        &[
            "convergence-access",
            "convergence-authoring",
            "convergence-http",
            "convergence-model",
            "convergence-plugin",
            "convergence-provision",
            "convergence-render",
            "convergence-runtime",
            "convergence-sandbox",
            "convergence-source",
            "convergence-store",
            "convergence-work",
        ],
    ),
];

/// What a plugin may use of this repository.
const PLUGIN_API: &str = "convergence-plugin-api";

/// What tests stand on: nothing of it is in the product.
const FOR_TESTS: &[&str] = &["convergence-test-database", "convergence-test-git"];

/// Complaints about what the members depend on.
pub(super) fn check(workspace: &Workspace) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for package in workspace.packages() {
        let place = package.folder.join("Cargo.toml");
        let place = place.strip_prefix(workspace.root()).unwrap_or(&place).display().to_string();
        let in_host = package.folder.starts_with(workspace.root().join("host"));
        complaints.extend(check_package(package, in_host).into_iter().map(|what| Complaint::new(&place, what)));
    }
    complaints
}

fn check_package(package: &Package, in_host: bool) -> Vec<String> {
    let room = ROOMS.iter().find(|(room, _)| *room == package.name);
    let mut complaints = Vec::new();
    if FOR_TESTS.contains(&package.name.as_str()) {
        return complaints;
    }
    if in_host && room.is_none() {
        complaints.push("this room is on no map: add it and what it may use to ROOMS in xtask/src/tidy/rooms.rs and to docs/architecture.md".to_owned());
    }
    let allowed: &[&str] = room.map_or(&[PLUGIN_API], |(_, allowed)| allowed);
    // Tests may look wherever they like, and benchmarks compare the product with the bare thing.
    let product = package.dependencies.iter().filter(|(_, kind)| kind.as_deref() != Some("dev"));
    for (dependency, _) in product {
        if let Some((_, owner)) = DOORS.iter().find(|(door, owner)| passes(door, dependency) && *owner != package.name)
        {
            complaints.push(format!(
                "depends on {dependency}, which only {owner} may: ask that crate for what you need, or add it there"
            ));
        }
        let internal = dependency == "convergence" || dependency.starts_with("convergence-");
        if internal && !allowed.contains(&dependency.as_str()) {
            complaints.push(format!(
                "depends on {dependency}, against the arrows of docs/architecture.md: move the code up, or the type down into convergence-model"
            ));
        }
    }
    complaints
}

/// Whether `dependency` is the one behind `door`: `sqlx` itself or `sqlx-core`.
fn passes(door: &str, dependency: &str) -> bool {
    dependency.strip_prefix(door).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            name: name.to_owned(),
            folder: PathBuf::new(),
            targets: Vec::new(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| ((*name).to_owned(), kind.map(str::to_owned)))
                .collect(),
        }
    }

    #[test]
    fn a_second_door_is_found() {
        let found = check_package(&package("convergence-http", &[("sqlx-core", None)]), true);
        assert_eq!(found.len(), 1);
        assert!(check_package(&package("convergence-store", &[("sqlx", None)]), true).is_empty());
        assert!(check_package(&package("convergence-http", &[("sqlx", Some("dev"))]), true).is_empty());
    }

    #[test]
    fn an_arrow_upward_is_found() {
        assert_eq!(check_package(&package("convergence-store", &[("convergence-http", None)]), true).len(), 1);
        assert!(check_package(&package("convergence-store", &[("convergence-http", Some("dev"))]), true).is_empty());
        assert!(check_package(&package("convergence-http", &[("convergence-store", None)]), true).is_empty());
    }

    #[test]
    fn what_tests_stand_on_may_use_anything_and_the_product_may_not_use_it() {
        assert!(check_package(&package("convergence-test-database", &[("sqlx", None)]), false).is_empty());
        assert_eq!(check_package(&package("convergence-store", &[("convergence-test-database", None)]), true).len(), 1);
    }

    #[test]
    fn a_plugin_knows_the_sdk_alone() {
        assert!(
            check_package(&package("convergence-template-node", &[("convergence-plugin-api", None)]), false).is_empty()
        );
        assert_eq!(
            check_package(&package("convergence-template-node", &[("convergence-model", None)]), false).len(),
            1
        );
    }

    #[test]
    fn an_unknown_room_is_found() {
        assert_eq!(check_package(&package("convergence-cellar", &[]), true).len(), 1);
    }
}
