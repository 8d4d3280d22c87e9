//! The gems of an application: what its `Gemfile.lock` says, and the stage that installs them.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{Cache, Request, Source, Stage};

/// The stage's name.
pub(crate) const STAGE: &str = "gems";

/// Where the gems are, in the stage and in what runs.
pub(crate) const FOLDER: &str = "/gems";

const LOCK: &str = "Gemfile.lock";

/// What matters of the files that Bundler reads.
#[derive(Debug)]
pub(crate) struct Gems {
    names: Vec<String>,
    /// Whether a gem comes from a folder of the source, so that the source is needed to install.
    needs_source: bool,
}

impl Gems {
    /// Reads them. None when the application has no Gemfile.
    ///
    /// # Errors
    ///
    /// Invalid input when the gems are not pinned, or not for the machine that the image will run on.
    pub(crate) fn read(request: &Request, source: &Source) -> Result<Option<Self>, PluginError> {
        let Some(gemfile) = source.text("Gemfile")? else { return Ok(None) };
        let Some(lock) = source.text(LOCK)? else {
            return Err(PluginError::invalid_input(
                LOCK,
                "there is a Gemfile and no Gemfile.lock, so every build could give other gems; run `bundle lock` and commit it",
            ));
        };
        let platforms = section(lock, "PLATFORMS");
        let wanted = platform(&request.architecture);
        let serves = |platform: &&str| *platform == "ruby" || platform.starts_with(wanted);
        if !platforms.is_empty() && !platforms.iter().any(serves) {
            return Err(PluginError::invalid_input(
                LOCK,
                format!(
                    "it is locked for {} alone; run `bundle lock --add-platform {wanted}` and commit it",
                    platforms.join(", ")
                ),
            ));
        }
        let needs_source = lock.lines().any(|line| line == "PATH") || calls(gemfile, "eval_gemfile");
        Ok(Some(Self { names: names(lock), needs_source }))
    }

    /// Whether the lock file holds this gem.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The stage that installs them into [`FOLDER`].
    pub(crate) fn stage(&self, request: &Request, image: &str) -> Stage {
        let files: &[&str] = if self.needs_source { &["."] } else { &["Gemfile", LOCK] };
        let stage = settings(Stage::from_image(STAGE, image).workdir("/app"))
            // Downloads are kept for the next build.
            .env("BUNDLE_GLOBAL_GEM_CACHE", "true");
        let stage = request.build_args.iter().fold(stage, |stage, arg| stage.env(&arg.key, &arg.value));
        stage
            .copy_source(files, "/app/")
            .run_with_caches(["bundle", "install", "--jobs", "4"], [Cache::exclusive("gems", "/root/.bundle/cache")])
    }
}

/// What Bundler must know wherever it runs: the lock file decides, and gems for development stay out.
pub(crate) fn settings(stage: Stage) -> Stage {
    stage.env("BUNDLE_DEPLOYMENT", "true").env("BUNDLE_PATH", FOLDER).env("BUNDLE_WITHOUT", "development:test")
}

/// As RubyGems calls Linux on this machine, without what follows for one C library or the other.
fn platform(architecture: &str) -> &'static str {
    if architecture == "arm64" { "aarch64-linux" } else { "x86_64-linux" }
}

/// The lines of a section of a lock file: those below its title, up to an empty one.
fn section<'a>(lock: &'a str, title: &str) -> Vec<&'a str> {
    lock.lines()
        .skip_while(|line| *line != title)
        .skip(1)
        .map_while(|line| line.strip_prefix("  "))
        .map(str::trim)
        .collect()
}

/// The names of all gems: lines such as `    puma (6.4.3)`, indented by four.
fn names(lock: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, _) = line.strip_prefix("    ")?.split_once(" (")?;
        (!name.starts_with(' ')).then(|| name.to_owned())
    };
    lock.lines().filter_map(name).collect()
}

/// The Ruby that the lock file was made with, where the Gemfile asks for one: `3.3.5`.
pub(crate) fn locked_ruby(lock: &str) -> Option<&str> {
    let line = section(lock, "RUBY VERSION").into_iter().next()?;
    let version = line.strip_prefix("ruby ")?;
    // `3.3.5p100` is patch level 100 of 3.3.5.
    version.split('p').next()
}

fn calls(gemfile: &str, method: &str) -> bool {
    gemfile.lines().any(|line| line.trim_start().starts_with(method))
}
