//! `docs/states.md` is made from the table of verbs.
//!
//! `INSTA_UPDATE=always cargo nextest run -p convergence-model states` writes it again.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use convergence_model::Verb;
use convergence_model::tenant::TenantStatus;

const INTRODUCTION: &str = "\
# What a tenant can be asked in which state

<!-- Made from host/model/src/verb.rs. Change the table there, then run:
     INSTA_UPDATE=always cargo nextest run -p convergence-model states -->

A request in another state is a 409 [`not-in-this-state`](errors.md), which says what the tenant is doing and what it can be asked. While
an operation on the tenant is under way, another one is a 409 `tenant-busy`; a deployment waits for its turn instead, and a stop, a restart
or a destroy first ends a repair, a restart or a halt that is under way.

";

#[test]
#[expect(clippy::disallowed_methods, reason = "the variable is the one that golden files are updated with")]
fn the_states_in_the_documentation_are_those_of_the_code() {
    let mut text = INTRODUCTION.to_owned();
    let states = [
        TenantStatus::Provisioning,
        TenantStatus::Running,
        TenantStatus::Stopped,
        TenantStatus::Failed,
        TenantStatus::Destroying,
    ];
    let names = states.map(|state| format!("`{}`", state.as_str())).join(" | ");
    write!(text, "| verb | {names} | afterwards |\n|---|---|---|---|---|---|---|\n").unwrap();
    for verb in Verb::ALL {
        let cells = states.map(|state| if verb.from().contains(&state) { "yes" } else { "" }).join(" | ");
        let after = match (verb, verb.to()) {
            (_, Some(state)) => format!("`{}`", state.as_str()),
            (Verb::Destroy, None) => "gone".to_owned(),
            (_, None) => "as before".to_owned(),
        };
        writeln!(text, "| {verb} | {cells} | {after} |").unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&file, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&file).unwrap_or_default() == text,
        "docs/states.md is not what the table says; run `INSTA_UPDATE=always cargo nextest run -p convergence-model states`"
    );
}
