//! An application of the tenant's own.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{BuildPlan, Health, Request, Source, Stage};

use crate::build::{self, PORT, PROGRAM, build_stage, caches, compile, run_stage, service};
use crate::module::Module;
use crate::place::{self, join};
use crate::program;

/// Folders that programs read at run time, by the names people give them.
const ASSETS: [&str; 5] = ["assets", "migrations", "public", "static", "templates"];

/// Modules that do nothing without cgo, with what to use instead.
const NEED_CGO: [(&str, &str); 5] = [
    ("github.com/mattn/go-sqlite3", "modernc.org/sqlite"),
    ("github.com/confluentinc/confluent-kafka-go", "github.com/twmb/franz-go"),
    ("github.com/h2non/bimg", "github.com/disintegration/imaging"),
    ("gopkg.in/gographics/imagick.v3", "github.com/disintegration/imaging"),
    ("github.com/godror/godror", "github.com/sijms/go-ora"),
];

/// Plans the build of an application.
///
/// # Errors
///
/// Invalid input where the source has no module or no program, unsupported where it needs a newer Go.
pub(crate) fn plan(request: &Request, source: &Source) -> Result<BuildPlan, PluginError> {
    let missing =
        || PluginError::invalid_input("go.mod", "the source has no go.mod; add one at its root with `go mod init`");
    let folder = place::find(source)?.ok_or_else(missing)?;
    let at = |path: &str| join(&folder, path);
    let module = Module::read(source, &at("go.mod"))?.ok_or_else(missing)?;
    // Without the list of what is in it, a folder of this name is not Go's.
    let vendored = source.has(&at("vendor/modules.txt"));
    let workspace = source.has("go.work") || source.has(&at("go.work"));
    // What a workspace or a replacement takes from a folder has no sum; where another one is missing, go says so.
    let has_folders = workspace || module.replaces_by_folder;
    if module.has_requirements() && !source.has(&at("go.sum")) && !vendored && !has_folders {
        return Err(PluginError::invalid_input(
            &at("go.sum"),
            format!(
                "{} requires other modules and there is no go.sum; run `go mod tidy` and commit go.sum",
                at("go.mod")
            ),
        ));
    }
    let (image, why) = build::image(&at("go.mod"), module.go.as_deref(), module.toolchain.as_deref())?;
    let process = request.process_command("web", PORT)?;
    let asked = process.as_deref().and_then(program_name);
    let program = program::find(source, &folder, &module, &request.tenant_name, asked)?;

    let mut stage = build_stage(request, &image);
    if vendored && workspace {
        // In a workspace, `vendor` must lie next to go.work and hold the modules of all.
        stage = stage.env("GOWORK", "off");
    }
    // A replaced module is a folder that must be there before anything is downloaded.
    if module.has_requirements() && !vendored && !has_folders {
        // Apart from the code, so that a change of code does not download again.
        let destination = if folder.is_empty() { "/src/".to_owned() } else { format!("/src/{folder}/") };
        stage = enter(stage.copy_source([at("go.mod"), at("go.sum")], &destination), &folder)
            .run_with_caches(["go", "mod", "download"], caches());
    }
    // All of it, because a module may use its neighbours.
    let stage = enter(stage.copy_source(["."], "/src/"), &folder);
    let assets: Vec<&str> = ASSETS.into_iter().filter(|name| source.has_folder(&at(name))).collect();
    let run =
        assets.iter().fold(run_stage(request), |stage, name| stage.copy_source([at(name)], &format!("/app/{name}")));

    let started = process.is_some();
    let command = match process {
        None => vec![PROGRAM.to_owned()],
        Some(argv) => command(argv, request, &program.package, &module)?,
    };
    let mut plan = BuildPlan::new(service(request, &command, Health::tcp()))
        .stage(compile(stage, &program.package, vendored))
        .stage(run);
    if !folder.is_empty() {
        plan = plan.note(format!("The module is in the folder `{folder}`: no other folder holds the application's."));
    }
    plan = plan.note(format!("Built on `{image}`: {why}."));
    plan = plan.note(format!("The program is `{}`: {}.", program.package, program.why));
    if vendored {
        plan = plan.note(format!("Modules come from {}; nothing is downloaded.", at("vendor/modules.txt")));
    }
    if started {
        plan = plan.note(format!("Started with `{}`: the process `web` says so.", command.join(" ")));
    }
    if !assets.is_empty() {
        plan = plan.note(format!("Copied next to the program: {}.", assets.join(", ")));
    }
    for (name, instead) in NEED_CGO.into_iter().filter(|(name, _)| module.requires(name)) {
        plan = plan.note(format!(
            "{} requires {name}, which needs cgo. The program is built without cgo, so it fails to build or to run. Use \
             {instead} instead.",
            at("go.mod")
        ));
    }
    Ok(plan)
}

/// The name of the program that a command line starts.
fn program_name(argv: &[String]) -> Option<&str> {
    argv.first()?.rsplit('/').next()
}

/// The command of the process `web`, with the path that the program has in the image. People write the one that it has
/// elsewhere: `bin/shop`, `./main`.
fn command(argv: Vec<String>, request: &Request, package: &str, module: &Module) -> Result<Vec<String>, PluginError> {
    // An image that the request names may hold other programs.
    if request.base_image.is_some() || argv.first().is_some_and(|first| first == PROGRAM) {
        return Ok(argv);
    }
    let name = program_name(&argv).unwrap_or_default();
    let own = [package.rsplit('/').next().unwrap_or_default(), module.name(), "app", "main", "server"];
    if !own.contains(&name) {
        return Err(PluginError::invalid_input(
            "processes.web",
            format!(
                "the process `web` starts `{name}`, and the image holds only the program `{PROGRAM}`; write `web: \
                 {PROGRAM}` in the Procfile, with the arguments it needs"
            ),
        ));
    }
    Ok(std::iter::once(PROGRAM.to_owned()).chain(argv.into_iter().skip(1)).collect())
}

/// Makes the module's folder the current one.
fn enter(stage: Stage, folder: &str) -> Stage {
    if folder.is_empty() { stage } else { stage.workdir(&format!("/src/{folder}")) }
}
