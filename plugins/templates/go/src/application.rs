//! An application of the tenant's own.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{BuildPlan, Health, Request, Source};

use crate::build::{self, PORT, PROGRAM, build_stage, caches, compile, run_stage, service};
use crate::module::Module;

/// Folders that programs read at run time, by the names people give them.
const ASSETS: [&str; 5] = ["assets", "migrations", "public", "static", "templates"];

/// Plans the build of an application.
///
/// # Errors
///
/// Invalid input where the source has no module or no program, unsupported where it needs a newer Go.
pub(crate) fn plan(request: &Request, source: &Source) -> Result<BuildPlan, PluginError> {
    let module = Module::read(source)?.ok_or_else(|| {
        PluginError::invalid_input("go.mod", "the source has no go.mod at its root; add one with `go mod init`")
    })?;
    if module.has_requirements && !source.has("go.sum") && !source.has_folder("vendor") {
        return Err(PluginError::invalid_input(
            "go.sum",
            "go.mod requires other modules and there is no go.sum; run `go mod tidy` and commit go.sum",
        ));
    }
    let (image, why) = build::image(module.go.as_deref())?;
    let package = package(source, &module)?;
    let command = request.process_command("web", PORT)?.unwrap_or_else(|| vec![PROGRAM.to_owned()]);

    let mut stage = build_stage(request, &image);
    if module.has_requirements && !source.has_folder("vendor") && !module.replaces_by_folder {
        // Apart from the code, so that a change of code does not download again.
        stage = stage.copy_source(["go.mod", "go.sum"], "/src/").run_with_caches(["go", "mod", "download"], caches());
    }
    let assets: Vec<&str> = ASSETS.into_iter().filter(|folder| source.has_folder(folder)).collect();
    let run =
        assets.iter().fold(run_stage(request), |stage, folder| stage.copy_source([folder], &format!("/app/{folder}")));
    let mut plan = BuildPlan::new(service(request, &command, Health::tcp()))
        .stage(compile(stage.copy_source(["."], "/src/"), &package))
        .stage(run)
        .note(format!("Built on `{image}`: {why}."))
        .note(format!("The program is `{package}`."));
    if !assets.is_empty() {
        plan = plan.note(format!("Copied next to the program: {}.", assets.join(", ")));
    }
    Ok(plan)
}

/// The package that is the program: the root, or the only folder under `cmd`, or the one there that is named after
/// the module, `server`, `web` or `api`.
fn package(source: &Source, module: &Module) -> Result<String, PluginError> {
    let is_code = |path: &str| path.ends_with(".go") && !path.ends_with("_test.go");
    let mut commands: Vec<&str> = source
        .paths
        .iter()
        .filter(|path| is_code(path))
        .filter_map(|path| path.strip_prefix("cmd/")?.split_once('/'))
        .filter(|(_, rest)| !rest.contains('/'))
        .map(|(name, _)| name)
        .collect();
    commands.dedup();
    if source.has("main.go") {
        return Ok(".".to_owned());
    }
    let named = [module.name(), "server", "web", "api"];
    let chosen = match commands.as_slice() {
        [only] => Some(*only),
        several => named.into_iter().find(|name| several.contains(name)),
    };
    match chosen {
        Some(name) => Ok(format!("./cmd/{name}")),
        None if commands.is_empty() && source.paths.iter().any(|path| !path.contains('/') && is_code(path)) => {
            Ok(".".to_owned())
        }
        None if commands.is_empty() => Err(PluginError::invalid_input(
            "main.go",
            "there is no program: neither Go files at the root nor a folder under `cmd`; put `package main` in main.go",
        )),
        None => Err(PluginError::invalid_input(
            "cmd",
            format!("`cmd` holds several programs ({}); name the one to run `cmd/server`", commands.join(", ")),
        )),
    }
}
