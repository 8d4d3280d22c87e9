//! An application of the tenant's own.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{BuildPlan, Cache, Health, Request, Source, Stage, split_command};

use crate::package::Package;
use crate::service::{PORT, service, tcp_health};
use crate::version;

/// Lock files of npm, in the order in which npm looks.
const NPM_LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];

/// Lock files of tools that the images do not have, with the tool.
const OTHER_LOCKS: [(&str, &str); 4] =
    [("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun"), ("bun.lockb", "bun")];

/// Files that start an application that does not say how it is started.
const ENTRY_POINTS: [&str; 6] = ["server.js", "index.js", "app.js", "server.mjs", "index.mjs", "main.js"];

/// Plans the build of an application.
///
/// # Errors
///
/// Invalid input where the source contradicts itself or the request, unsupported where it needs other tools.
pub(crate) fn plan(request: &Request, source: &Source, framework: Option<&str>) -> Result<BuildPlan, PluginError> {
    let package = Package::read(source)?.ok_or_else(|| {
        PluginError::invalid_input(
            "package.json",
            "the source has no package.json at its root; add one with `npm init`",
        )
    })?;
    if let Some(framework) = framework
        && package.framework() != Some(framework)
    {
        return Err(PluginError::invalid_input(
            "framework",
            format!(
                "package.json does not depend on `{framework}`; add it with `npm install {framework}`, or leave the framework out"
            ),
        ));
    }
    if source.has_folder("node_modules") {
        return Err(PluginError::invalid_input(
            "node_modules",
            "the source contains node_modules, which may be for another platform; leave it out, it is installed from the lock file",
        ));
    }
    let lock = lock(source)?;
    let (image, why) = match &request.base_image {
        Some(image) => (image.clone(), "as asked for".to_owned()),
        None => {
            let (image, why) = version::image(version::asked_for(source, &package)?.as_ref())?;
            (image, why)
        }
    };
    let command = command(request, source, &package)?;

    let mut plan = BuildPlan::new(service_of(request, &command)).note(format!("Base image `{image}`: {why}"));
    if package.has_any_dependencies() {
        plan = plan.note(match lock {
            Some(lock) => format!("Dependencies exactly as in {lock}."),
            None => "No lock file: dependencies are the newest that package.json allows and may differ from build to \
                     build. Commit package-lock.json."
                .to_owned(),
        });
    }
    let install = Install { image: &image, lock, request };
    let stages = if package.is_built() || package.installs_from_source() {
        plan = plan.note(
            "Installed and built with the whole source and its development dependencies, which are removed afterwards.",
        );
        install.then_build(&package)
    } else if package.has_dependencies() {
        install.manifest_then_source(source)
    } else {
        vec![run_stage(&image).copy_source(["."], "/app/")]
    };
    Ok(stages.into_iter().fold(plan, BuildPlan::stage).note(format!("Started with `{}`.", command.join(" "))))
}

/// The lock file that npm honours, if there is one.
fn lock(source: &Source) -> Result<Option<&'static str>, PluginError> {
    if let Some(lock) = NPM_LOCKS.into_iter().find(|lock| source.has(lock)) {
        return Ok(Some(lock));
    }
    match OTHER_LOCKS.into_iter().find(|(lock, _)| source.has(lock)) {
        None => Ok(None),
        Some((lock, tool)) => Err(PluginError::unsupported(format!(
            "{lock} is a lock file of {tool}, which this template does not have; installing without it would give other \
             versions. Run `npm install --package-lock-only` and commit package-lock.json"
        ))),
    }
}

/// A process `web`, else the start script, else `main`, else a file with a usual name.
fn command(request: &Request, source: &Source, package: &Package) -> Result<Vec<String>, PluginError> {
    if let Some(argv) = request.process_command("web", PORT)? {
        return Ok(argv);
    }
    if let Some(start) = package.scripts.get("start") {
        // npm between the engine and the program costs memory and a second of every start; a plain call of node
        // does not need it. Anything else may be a program of node_modules, which npm finds.
        let hooked = ["prestart", "poststart"].iter().any(|hook| package.scripts.contains_key(*hook));
        return Ok(match split_command(start, PORT) {
            Ok(argv) if !hooked && argv.first().is_some_and(|program| program == "node") => argv,
            _ => ["npm", "start"].map(str::to_owned).to_vec(),
        });
    }
    if let Some(main) = &package.main {
        return Ok(vec!["node".to_owned(), main.clone()]);
    }
    match ENTRY_POINTS.into_iter().find(|path| source.has(path)) {
        Some(path) => Ok(vec!["node".to_owned(), path.to_owned()]),
        None => Err(PluginError::invalid_input(
            "package.json:scripts.start",
            "nothing says how the application is started; add a `start` script to package.json, such as `node server.js`",
        )),
    }
}

fn service_of(request: &Request, command: &[String]) -> convergence_plugin_api::template::Service {
    let health: Health = tcp_health();
    let service = service(request, command, health);
    if command.first().is_some_and(|program| program == "npm") {
        // The root file system is read-only, and nobody reads what npm would write there.
        service.env("npm_config_cache", "/tmp/npm").env("npm_config_update_notifier", "false")
    } else {
        service
    }
}

fn run_stage(image: &str) -> Stage {
    Stage::from_image("run", image).workdir("/app").env("NODE_ENV", "production")
}

/// What the ways to install have in common.
struct Install<'a> {
    image: &'a str,
    lock: Option<&'a str>,
    request: &'a Request,
}

impl Install<'_> {
    /// From `package.json` and the lock file alone, so that a change of code does not install anew.
    fn manifest_then_source(&self, source: &Source) -> Vec<Stage> {
        let manifest = ["package.json", ".npmrc"].into_iter().filter(|path| source.has(path)).chain(self.lock);
        let dependencies = self
            .install(self.stage("dependencies").copy_source(manifest, "/app/"), "--omit=dev")
            // Optional dependencies may all have been left out.
            .run(["mkdir", "-p", "/app/node_modules"]);
        let run = run_stage(self.image).copy_source(["."], "/app/").copy_stage(
            "dependencies",
            ["/app/node_modules"],
            "/app/node_modules",
        );
        vec![dependencies, run]
    }

    /// From the whole source, then `npm run build`, then without development dependencies.
    fn then_build(&self, package: &Package) -> Vec<Stage> {
        let mut build = self.install(self.stage("build").copy_source(["."], "/app/"), "--include=dev");
        if package.is_built() {
            build = build.run(["npm", "run", "build"]);
        }
        build = build.run(["npm", "prune", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
        vec![build, run_stage(self.image).copy_stage("build", ["/app"], "/app")]
    }

    fn stage(&self, name: &str) -> Stage {
        let stage = Stage::from_image(name, self.image).workdir("/app");
        self.request.build_args.iter().fold(stage, |stage, arg| stage.env(&arg.key, &arg.value))
    }

    fn install(&self, stage: Stage, which: &str) -> Stage {
        let verb = if self.lock.is_some() { "ci" } else { "install" };
        stage.run_with_caches(["npm", verb, which, "--no-audit", "--no-fund"], [Cache::shared("npm", "/root/.npm")])
    }
}
