//! The starter on the standard library, embedded from `starter/`.

use convergence_plugin_api::template::{BuildPlan, Health, Request};

use crate::build::{DEFAULT_IMAGE, PROGRAM, build_stage, compile, run_stage, service};

/// Builds the starter. An empty image has nothing to ask for its health, so the program does it itself.
pub(crate) fn plan(request: &Request) -> BuildPlan {
    let health = Health::http("/health").in_container([PROGRAM, "-health"]);
    let build = build_stage(request, DEFAULT_IMAGE).copy_plan(["go.mod", "main.go"], "/src/");
    BuildPlan::new(service(request, [PROGRAM], health))
        .file("go.mod", include_str!("../starter/go.mod"))
        .file("main.go", include_str!("../starter/main.go"))
        .stage(compile(build, ".", false))
        .stage(run_stage(request))
        .note(format!("The starter on the standard library, built on `{DEFAULT_IMAGE}`, runs as one static binary."))
}
