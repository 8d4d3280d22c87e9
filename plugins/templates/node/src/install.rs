//! The stages that install and build an application, by each package manager's own commands.

use convergence_plugin_api::template::{Cache, Request, Source, Stage};

use crate::layout::{self, Layout};
use crate::manager::{Kind, Manager};
use crate::site;

/// Where a package manager is installed. Not where the image has its programs: some images bring a Yarn of their own.
const MANAGER_FOLDER: &str = "/opt/package-manager";

/// Which dependencies are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Production,
}

/// What the running image has beside the application.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    /// The package manager.
    pub(crate) manager: bool,
    /// The programs of dependencies, by their names.
    pub(crate) programs: bool,
}

/// What the ways to install have in common.
pub(crate) struct Install<'a> {
    pub(crate) image: &'a str,
    pub(crate) request: &'a Request,
    pub(crate) source: &'a Source,
    pub(crate) layout: &'a Layout,
    pub(crate) manager: &'a Manager,
}

impl Install<'_> {
    /// Whether the dependencies can be installed from the manifest and the lock file alone.
    pub(crate) fn needs_source(&self) -> bool {
        // Yarn from version 2 checks the lock file only when it installs everything.
        self.layout.has_members
            || self.layout.installed().installs_from_source()
            || self.manager.kind == Kind::YarnBerry
    }

    /// From the manifest and the lock file, so that a change of code does not install anew.
    pub(crate) fn manifest_then_source(&self, needs: Needs) -> Vec<Stage> {
        let manifest =
            ["package.json", ".npmrc", "bunfig.toml", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", ".pnpmfile.cjs"];
        let files = manifest.into_iter().chain(self.manager.lock).map(|file| self.layout.in_root(file));
        let mut stage = self.stage("dependencies").copy_source(files.filter(|file| self.source.has(file)), "/app/");
        for folder in ["patches", ".yarn"] {
            let path = self.layout.in_root(folder);
            if self.source.has_folder(&path) {
                stage = stage.copy_source([path], &format!("/app/{folder}"));
            }
        }
        // Optional dependencies may all have been left out.
        let dependencies = self.install(stage, Which::Production).run(["mkdir", "-p", "/app/node_modules"]);
        let run = self.copy_source(self.run_stage(needs)).copy_stage(
            "dependencies",
            ["/app/node_modules"],
            "/app/node_modules",
        );
        vec![dependencies, run]
    }

    /// From the whole source, then the build script, then without development dependencies; and a note.
    pub(crate) fn then_build(&self, needs: Needs) -> (Vec<Stage>, String) {
        let build = self.build();
        let (build, note) = match self.keeps_development() {
            None => (
                self.prune(build),
                "Installed and built with the whole source and its development dependencies, which are removed afterwards."
                    .to_owned(),
            ),
            Some(why) => {
                (build, format!("Installed with the whole source; development dependencies stay in the image, because {why}."))
            }
        };
        let run = self.run_stage(needs).copy_stage("build", ["/app"], "/app");
        let run = if self.layout.folder.is_empty() { run } else { run.workdir(&self.layout.in_container("")) };
        (vec![build, run], note)
    }

    /// From the whole source, then the build script; what runs has the files in `folder` and a server for them.
    pub(crate) fn then_site(&self, folder: &str) -> Vec<Stage> {
        let run = site::run_stage(self.image).copy_stage("build", [self.layout.in_container(folder)], site::FOLDER);
        vec![self.build(), run]
    }

    /// The source as it is.
    pub(crate) fn source_alone(&self, needs: Needs) -> Vec<Stage> {
        vec![self.copy_source(self.run_stage(needs))]
    }

    fn copy_source(&self, stage: Stage) -> Stage {
        let root = if self.layout.root.is_empty() { "." } else { &self.layout.root };
        stage.copy_source([root], "/app/")
    }

    fn run_stage(&self, needs: Needs) -> Stage {
        let stage = Stage::from_image("run", self.image).workdir("/app").env("NODE_ENV", "production");
        let folders = [self.layout.in_container("node_modules/.bin"), "/app/node_modules/.bin".to_owned()];
        let in_front = folders.iter().skip(usize::from(self.layout.folder.is_empty())).filter(|_| needs.programs);
        // The last one added is found first: the package's own.
        let stage = in_front.rev().fold(stage, |stage, folder| stage.prepend_path(folder));
        if needs.manager { self.with_manager(stage) } else { stage }
    }

    /// A stage with the build's variables and the package manager.
    fn stage(&self, name: &str) -> Stage {
        let stage = Stage::from_image(name, self.image).workdir("/app");
        let stage = self.request.build_args.iter().fold(stage, |stage, arg| stage.env(&arg.key, &arg.value));
        let stage = self.with_manager(stage);
        let variables: &[(&str, &str)] = match self.manager.kind {
            Kind::Npm => &[],
            // Older and newer releases read the one or the other.
            Kind::Pnpm => &[
                ("npm_config_store_dir", "/root/.pnpm-store"),
                ("pnpm_config_store_dir", "/root/.pnpm-store"),
                // What it says of newer releases would stand in front of why an installation failed.
                ("npm_config_update_notifier", "false"),
                ("pnpm_config_update_notifier", "false"),
            ],
            Kind::YarnClassic => &[("YARN_CACHE_FOLDER", "/root/.yarn-cache")],
            // Node runs the application without Yarn, so that it must find its dependencies in node_modules.
            Kind::YarnBerry => &[
                ("YARN_NODE_LINKER", "node-modules"),
                ("YARN_GLOBAL_FOLDER", "/root/.yarn-berry"),
                ("YARN_ENABLE_GLOBAL_CACHE", "true"),
                ("YARN_ENABLE_TELEMETRY", "0"),
            ],
            Kind::Bun => &[("BUN_INSTALL_CACHE_DIR", "/root/.bun-cache")],
        };
        variables.iter().fold(stage, |stage, (key, value)| stage.env(key, value))
    }

    fn with_manager(&self, stage: Stage) -> Stage {
        match self.manager.to_install() {
            None => stage,
            Some(package) => stage
                .run_with_caches(
                    ["npm", "install", "--global", "--prefix", MANAGER_FOLDER, "--no-audit", "--no-fund", &package],
                    [Cache::shared("npm", "/root/.npm")],
                )
                .prepend_path(&format!("{MANAGER_FOLDER}/bin")),
        }
    }

    /// Everything is installed from the whole source, and built.
    fn build(&self) -> Stage {
        let stage = self.run_build();
        // Next keeps what only its next build would use, which may be larger than the application.
        if self.layout.package.depends_on("next") {
            stage.run(["rm", "-rf", &self.layout.in_container(".next/cache")])
        } else {
            stage
        }
    }

    fn run_build(&self) -> Stage {
        let stage = self.install(self.copy_source(self.stage("build")), Which::All);
        let folder = format!("./{}", self.layout.folder);
        let program = self.manager.program();
        if self.layout.installed().has_script("build") {
            stage.run([program, "run", "build"])
        } else if !self.layout.package.has_script("build") {
            stage
        } else {
            match self.manager.kind {
                Kind::Npm => stage.run(["npm", "run", "build", "--workspace", &self.layout.folder]),
                // The three dots are for the packages of the workspace that it depends on. Without braces they would
                // be part of the folder's name.
                Kind::Pnpm => stage.run(["pnpm", "--filter", &format!("{{{folder}}}..."), "run", "build"]),
                Kind::YarnClassic | Kind::YarnBerry => stage.run(["yarn", "--cwd", &folder, "run", "build"]),
                Kind::Bun => stage.run(["bun", "run", "--cwd", &folder, "build"]),
            }
        }
    }

    /// Why development dependencies cannot be removed, if so.
    fn keeps_development(&self) -> Option<&'static str> {
        let again = match self.manager.kind {
            Kind::Npm | Kind::YarnClassic => false,
            Kind::Pnpm => self.layout.has_members,
            Kind::YarnBerry | Kind::Bun => true,
        };
        if !self.manager.can_prune {
            Some("Yarn before version 4 has no command to remove them without the plugin workspace-tools")
        } else if again && layout::has_install_scripts(self.source, self.layout) {
            Some("removing them would run the install scripts of the application without them")
        } else {
            None
        }
    }

    /// Without development dependencies. Scripts of the application do not run: they may need what is removed.
    fn prune(&self, stage: Stage) -> Stage {
        let again = ["find", "/app", "-name", "node_modules", "-type", "d", "-prune", "-exec", "rm", "-rf", "{}", "+"];
        match self.manager.kind {
            Kind::Npm => stage.run(["npm", "prune", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]),
            Kind::Pnpm if !self.layout.has_members => stage.run(["pnpm", "prune", "--prod", "--ignore-scripts"]),
            // Neither has a command for it that serves workspaces; installing from the cache takes a second.
            Kind::Pnpm => self.cached(stage.run(again), &["pnpm", "install", "--frozen-lockfile", "--prod"]),
            Kind::Bun => self.cached(stage.run(again), &["bun", "install", "--frozen-lockfile", "--production"]),
            Kind::YarnClassic => self.cached(
                stage,
                &[
                    "yarn",
                    "install",
                    "--frozen-lockfile",
                    "--non-interactive",
                    "--production",
                    "--ignore-scripts",
                    "--prefer-offline",
                ],
            ),
            Kind::YarnBerry => self.cached(stage, &["yarn", "workspaces", "focus", "--production", "--all"]),
        }
    }

    fn install(&self, stage: Stage, which: Which) -> Stage {
        let is_locked = self.manager.lock.is_some();
        let is_all = which == Which::All;
        let either = |yes: bool, a: &'static str, b: &'static str| if yes { a } else { b };
        let argv = match self.manager.kind {
            Kind::Npm => vec![
                "npm",
                either(is_locked, "ci", "install"),
                either(is_all, "--include=dev", "--omit=dev"),
                "--no-audit",
                "--no-fund",
            ],
            Kind::Pnpm => vec![
                "pnpm",
                "install",
                either(is_locked, "--frozen-lockfile", "--no-frozen-lockfile"),
                either(is_all, "--prod=false", "--prod"),
            ],
            Kind::YarnClassic => {
                let mut argv = vec!["yarn", "install"];
                argv.extend(is_locked.then_some("--frozen-lockfile"));
                argv.extend(["--non-interactive", either(is_all, "--production=false", "--production")]);
                argv
            }
            Kind::YarnBerry => vec!["yarn", "install", either(is_locked, "--immutable", "--no-immutable")],
            Kind::Bun => {
                let mut argv = vec!["bun", "install"];
                argv.extend(is_locked.then_some("--frozen-lockfile"));
                argv.extend((!is_all).then_some("--production"));
                argv
            }
        };
        self.cached(stage, &argv)
    }

    fn cached(&self, stage: Stage, argv: &[&str]) -> Stage {
        let cache = match self.manager.kind {
            Kind::Npm => Cache::shared("npm", "/root/.npm"),
            Kind::Pnpm => Cache::shared("pnpm", "/root/.pnpm-store"),
            Kind::YarnClassic => Cache::exclusive("yarn", "/root/.yarn-cache"),
            Kind::YarnBerry => Cache::exclusive("yarn-berry", "/root/.yarn-berry"),
            Kind::Bun => Cache::exclusive("bun", "/root/.bun-cache"),
        };
        stage.run_with_caches(argv, [cache])
    }
}
