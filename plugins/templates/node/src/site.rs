//! Sites of files, served by a program of the template's own: the image has nothing else that could.

use convergence_plugin_api::template::{BuildPlan, Health, Request, Service, Stage};

use crate::service::{PORT, service};

/// Where the files are in the container.
pub(crate) const FOLDER: &str = "/app/site";

/// The server, which the template for sites ships as well.
const SERVER: &str = include_str!("../../static/server/serve.mjs");

/// A stage with the server, without the files.
pub(crate) fn run_stage(image: &str) -> Stage {
    Stage::from_image("run", image).workdir("/app").env("NODE_ENV", "production").copy_plan(["serve.mjs"], "/app/")
}

/// A plan that ships the server.
pub(crate) fn plan(request: &Request) -> BuildPlan {
    BuildPlan::new(site_service(request)).file("serve.mjs", SERVER)
}

fn site_service(request: &Request) -> Service {
    let ask = format!("fetch('http://127.0.0.1:{PORT}/').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))");
    service(request, ["node", "/app/serve.mjs", FOLDER], Health::http("/").in_container(["node", "-e", &ask]))
}
