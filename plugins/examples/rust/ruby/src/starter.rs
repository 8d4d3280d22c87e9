//! The starter, embedded from `starter/`: one file on Ruby's standard library.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{BuildPlan, Request};

use crate::service::{http_health, run_stage, service};
use crate::version;

/// Builds the starter.
///
/// # Errors
///
/// Unsupported for a framework that has none.
pub(crate) fn plan(request: &Request, framework: Option<&str>) -> Result<BuildPlan, PluginError> {
    if framework.is_some_and(|framework| framework != "plain") {
        return Err(PluginError::unsupported(
            "the starter of this template uses no framework; leave the framework out, or give an application's source",
        ));
    }
    let image = request.base_image_or(&version::run_image(version::DEFAULT));
    Ok(BuildPlan::new(service(["ruby", "server.rb"], http_health()))
        .file("server.rb", include_str!("../starter/server.rb"))
        .stage(run_stage(&image).copy_plan(["server.rb"], "/app/"))
        .note(format!("The starter on `{image}`; it needs no gems.")))
}
