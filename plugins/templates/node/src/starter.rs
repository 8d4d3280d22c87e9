//! The Express starter, embedded from `starter/`.

use convergence_plugin_api::template::{BuildPlan, Cache, Request, Stage};

use crate::service::{http_health, service};
use crate::version::DEFAULT_IMAGE;

/// Builds the starter.
pub(crate) fn plan(request: &Request) -> BuildPlan {
    let image = request.base_image_or(DEFAULT_IMAGE);
    let dependencies = Stage::from_image("dependencies", &image)
        .workdir("/app")
        .copy_plan(["package.json", "package-lock.json"], "/app/")
        .run_with_caches(["npm", "ci", "--omit=dev", "--no-audit", "--no-fund"], [Cache::shared("npm", "/root/.npm")]);
    let run = Stage::from_image("run", &image)
        .workdir("/app")
        .copy_stage("dependencies", ["/app/node_modules"], "/app/node_modules")
        .copy_plan(["package.json", "server.js"], "/app/");
    BuildPlan::new(service(request, ["node", "server.js"], http_health()))
        .file("package.json", include_str!("../starter/package.json"))
        .file("package-lock.json", include_str!("../starter/package-lock.json"))
        .file("server.js", include_str!("../starter/server.js"))
        .stage(dependencies)
        .stage(run)
        .note(format!("The Express starter on `{image}`, dependencies as in its package-lock.json."))
}
