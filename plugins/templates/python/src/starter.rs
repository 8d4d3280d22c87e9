//! The FastAPI starter, embedded from `starter/`.

use convergence_plugin_api::template::{BuildPlan, Origin, Request};

use crate::install::{self, Install};
use crate::place::Place;
use crate::service::{PYTHON, probe_health, run_stage, service};
use crate::version::DEFAULT_IMAGE;

/// Builds the starter.
pub(crate) fn plan(request: &Request) -> BuildPlan {
    let place = Place::nowhere();
    let image = request.base_image_or(DEFAULT_IMAGE);
    let run =
        run_stage(&image).copy_stage(install::STAGE, ["/app/.venv"], "/app/.venv").copy_plan(["main.py"], "/app/");
    BuildPlan::new(service([PYTHON, "main.py"], probe_health("/health")))
        .file("main.py", include_str!("../starter/main.py"))
        .file("requirements.txt", include_str!("../starter/requirements.txt"))
        .stage(install::stage(request, &image, &Origin::Plan, &place, &Install::Requirements("requirements.txt"), None))
        .stage(run)
        .note(format!("The FastAPI starter on `{image}`, dependencies pinned in its requirements.txt."))
}
