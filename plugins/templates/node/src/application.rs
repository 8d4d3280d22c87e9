//! An application of the tenant's own.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{BuildPlan, Request, Service, Source, Stage};

use crate::install::{Install, Needs};
use crate::layout::{self, Layout};
use crate::service::{service, tcp_health};
use crate::start::{self, Start};
use crate::{framework, manager, site, version};

/// Plans the build of an application.
///
/// # Errors
///
/// Invalid input where the source contradicts itself or the request, unsupported where it needs other tools.
pub(crate) fn plan(request: &Request, source: &Source, asked: Option<&str>) -> Result<BuildPlan, PluginError> {
    let layout = layout::find(request, source)?;
    let framework = chosen(&layout, asked)?;
    refuse_modules(source, &layout)?;
    let manager = manager::decide(source, &layout)?;
    let (image, why) = match &request.base_image {
        Some(image) => (image.clone(), "as asked for.".to_owned()),
        None => version::image(version::asked_for(source, &layout)?.as_ref())?,
    };
    let (start, started) = start::decide(request, source, &layout, framework)?;

    let install = Install { image: &image, request, source, layout: &layout, manager: &manager };
    let package = &layout.package;
    let is_built = package.has_script("build") || layout.installed().has_script("build");
    let mut notes: Vec<String> = layout.note.iter().cloned().collect();
    notes.push(format!("Base image `{image}`: {why}"));
    if package.has_any_dependencies() || layout.has_members {
        notes.extend(manager.notes.iter().cloned());
        notes.push(match manager.lock {
            Some(lock) => format!("Dependencies exactly as in {}.", layout.in_root(lock)),
            None => format!(
                "No lock file: dependencies are the newest that package.json allows and may differ from build to \
                 build. Run `{} install` and commit the lock file.",
                manager.program()
            ),
        });
    }
    if let Some(framework) = framework {
        notes.push(format!("Framework {framework}, by the dependencies in {}.", layout.in_package("package.json")));
    }
    let (mut plan, stages): (BuildPlan, Vec<Stage>) = match start {
        Start::Site(folder) => (site::plan(request), install.then_site(&folder)),
        Start::Command { argv, needs_manager } => {
            let by_name = argv.first().is_some_and(|program| program != "node" && program != "npm");
            let needs = Needs { manager: needs_manager, programs: by_name };
            let stages = if is_built || install.needs_source() {
                let (stages, note) = install.then_build(needs);
                notes.push(note);
                stages
            } else if package.has_dependencies() {
                install.manifest_then_source(needs)
            } else {
                install.source_alone(needs)
            };
            if needs_manager {
                notes.push(format!(
                    "{} is in the image too, because what starts the application calls it.",
                    manager.program()
                ));
            }
            (BuildPlan::new(service_of(request, &layout, framework, &argv)), stages)
        }
    };
    notes.push(started);
    plan = stages.into_iter().fold(plan, BuildPlan::stage);
    Ok(notes.into_iter().fold(plan, BuildPlan::note))
}

/// The framework that the request names, else the first one of the package.
fn chosen(layout: &Layout, asked: Option<&str>) -> Result<Option<&'static str>, PluginError> {
    let mut known = framework::all(&layout.package);
    let Some(asked) = asked else {
        return Ok(known.next());
    };
    known.find(|name| *name == asked).map(Some).ok_or_else(|| {
        PluginError::invalid_input(
            "framework",
            format!(
                "{} does not depend on `{asked}`; add it to the dependencies, or leave the framework out",
                layout.in_package("package.json")
            ),
        )
    })
}

fn refuse_modules(source: &Source, layout: &Layout) -> Result<(), PluginError> {
    let folders = [layout.in_root("node_modules"), layout.in_package("node_modules")];
    match folders.into_iter().find(|folder| source.has_folder(folder)) {
        None => Ok(()),
        Some(folder) => Err(PluginError::invalid_input(
            &folder,
            format!(
                "the source contains {folder}, which may be for another platform; leave it out, it is installed from \
                 the lock file"
            ),
        )),
    }
}

fn service_of(request: &Request, layout: &Layout, framework: Option<&str>, argv: &[String]) -> Service {
    // Many servers listen to this container alone unless they are told otherwise.
    let mut service = service(request, argv, tcp_health()).env("HOST", "0.0.0.0");
    if argv.first().is_some_and(|program| program == "npm") {
        // The root file system is read-only, and nobody reads what npm would write there.
        service = service.env("npm_config_cache", "/tmp/npm").env("npm_config_update_notifier", "false");
    }
    if framework == Some("next") {
        // The engine sets HOSTNAME to the container's, which Next's standalone server would listen on. The folder is
        // for images that Next resized, and pages it made again.
        service = service.env("HOSTNAME", "0.0.0.0").writable(&layout.in_container(".next/cache"), 64);
    }
    service
}
