//! The Dockerfile of a checked plan.
//!
//! Only these instructions are ever written: `FROM`, `USER`, `WORKDIR`, `ENV`, `COPY`, `RUN`, `EXPOSE`,
//! `STOPSIGNAL`, `HEALTHCHECK`, `ENTRYPOINT`, `CMD`. Steps run as root in the build; the image runs as 10001.
//!
//! **Volumes.** A fresh volume belongs to root, unless the image has a folder at that place: then the engine copies
//! its owner. Such folders are made without a shell, so that images from `scratch` have them too: a stage of its own
//! holds an empty folder for each volume, and `COPY --chown` of its *parent's contents* puts it into the image. (Copying
//! the folder itself onto one that exists already would leave its owner as it was.)
//!
//! **CA bundle.** A site whose outgoing TLS is signed again has its bundle bound into every `RUN`, at a place of our
//! own rather than over the image's: binding makes a mount point, which older builders leave behind as an empty
//! file, and an empty `/etc/ssl/certs/ca-certificates.crt` would break TLS in the running image. Tools are pointed
//! at it by variables that `env` sets for that one step. Nothing of it is in the image's configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use convergence_model::build::{BaseImage, CA_BUNDLE, PLAN_FOLDER, SOURCE_FOLDER};
use convergence_model::plan::{Base, Copy, Health, Origin, Run, Service, Stage, Step, Volume};
use convergence_model::workload::USER;

use crate::escape;
use crate::guard::GuardedPlan;
use crate::images::Reference;

/// Base images as the engine has them, by the name the plan gives them.
pub type Bases = BTreeMap<String, BaseImage>;

/// The stage that holds the empty folders of volumes. No stage of a plan may have this name.
pub const FOLDERS_STAGE: &str = "convergence-folders";

/// Where a step of the build finds the operator's CA bundle.
pub const CA_TARGET: &str = "/run/convergence/ca-certificates.crt";

/// Variables by which tools find certificate authorities.
const CA_VARIABLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
];

/// What differs from site to site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DockerfileOptions {
    /// Whether the context carries the operator's CA bundle, for `RUN` steps.
    pub ca_bundle: bool,
}

/// Writes the Dockerfile. A base that `bases` does not have (a dry run asks no engine) is named as the image policy
/// resolved it, unpinned.
pub fn dockerfile(guarded: &GuardedPlan, bases: &Bases, options: &DockerfileOptions) -> String {
    let plan = guarded.plan();
    let mut text = String::from("# Written by Convergence from a checked plan; changes made here are lost.\n");
    folders_stage(&plan.service.volumes, &mut text);
    for stage in &plan.stages {
        text.push('\n');
        let from = match &stage.base {
            Base::Scratch => "scratch".to_owned(),
            Base::Stage(name) => name.clone(),
            Base::Image(asked) => image(asked, guarded, bases),
        };
        line(&mut text, format_args!("FROM {from} AS {}", stage.name));
        if matches!(stage.base, Base::Image(_)) {
            line(&mut text, format_args!("USER 0:0"));
        }
        steps(stage, options, &mut text);
    }
    runtime(&plan.service, &mut text);
    text
}

/// What to write after `FROM`. Always has a tag or a digest: a bare name could be that of a stage.
pub(crate) fn image(asked: &str, guarded: &GuardedPlan, bases: &Bases) -> String {
    let pinned = bases.get(asked).and_then(|base| Reference::parse(&base.pinned).ok());
    match pinned {
        Some(reference) => reference.to_string(),
        None => guarded.images().get(asked).cloned().unwrap_or_else(|| asked.to_owned()),
    }
}

fn line(text: &mut String, instruction: std::fmt::Arguments<'_>) {
    // Writing to a String never fails.
    let _ = writeln!(text, "{instruction}");
}

fn folders_stage(volumes: &[Volume], text: &mut String) {
    if volumes.is_empty() {
        return;
    }
    text.push('\n');
    line(text, format_args!("FROM scratch AS {FOLDERS_STAGE}"));
    for (index, volume) in volumes.iter().enumerate() {
        let (_, leaf) = split(&volume.path);
        line(text, format_args!("WORKDIR {}", escape::quoted(&format!("/{index}/{leaf}"))));
    }
}

/// `/var/lib/data` → (`/var/lib/`, `data`).
fn split(path: &str) -> (&str, &str) {
    match path.rfind('/') {
        Some(slash) => path.split_at(slash + 1),
        None => ("/", path),
    }
}

fn steps(stage: &Stage, options: &DockerfileOptions, text: &mut String) {
    for step in &stage.steps {
        match step {
            Step::Workdir(folder) => line(text, format_args!("WORKDIR {}", escape::quoted(folder))),
            Step::Env(variable) => {
                line(text, format_args!("ENV {}={}", variable.key, escape::quoted(&variable.value)));
            }
            Step::PrependPath(folder) => {
                // The one place where Docker is to expand something.
                let folder = escape::quoted(&format!("{folder}:"));
                line(text, format_args!("ENV PATH={}$PATH\"", folder.strip_suffix('"').unwrap_or(&folder)));
            }
            Step::Copy(copy) => copy_step(copy, text),
            Step::Run(run) => run_step(run, options, text),
        }
    }
}

fn copy_step(copy: &Copy, text: &mut String) {
    let (from, root) = match &copy.origin {
        Origin::Source => (String::new(), Some(SOURCE_FOLDER)),
        Origin::Plan => (String::new(), Some(PLAN_FOLDER)),
        Origin::Stage(name) => (format!("--from={name} "), None),
    };
    let mut words: Vec<String> = copy
        .paths
        .iter()
        .map(|path| {
            escape::copy_source(&match (root, path.as_str()) {
                (Some(root), ".") => format!("{root}/"),
                (Some(root), path) => format!("{root}/{path}"),
                (None, path) => path.to_owned(),
            })
        })
        .collect();
    // With several sources Docker wants a folder and says so by the slash.
    let slash = if copy.paths.len() > 1 && !copy.destination.ends_with('/') { "/" } else { "" };
    words.push(format!("{}{slash}", escape::word(&copy.destination)));
    line(text, format_args!("COPY {from}{}", escape::json(&words)));
}

fn run_step(run: &Run, options: &DockerfileOptions, text: &mut String) {
    let mut flags = String::new();
    let mut argv = run.argv.clone();
    if options.ca_bundle {
        let _ = write!(flags, "--mount=type=bind,source={CA_BUNDLE},target={CA_TARGET} ");
        let variables = CA_VARIABLES.iter().map(|name| format!("{name}={CA_TARGET}"));
        argv = std::iter::once("/usr/bin/env".to_owned()).chain(variables).chain(argv).collect();
    }
    for cache in &run.caches {
        let sharing = if cache.exclusive { "locked" } else { "shared" };
        let _ = write!(flags, "--mount=type=cache,id={},target={},sharing={sharing} ", cache.id, cache.path);
    }
    line(text, format_args!("RUN {flags}{}", escape::exec(&argv)));
}

/// What the image says about how it is run. Everything a base may have set is overridden.
fn runtime(service: &Service, text: &mut String) {
    for (index, volume) in service.volumes.iter().enumerate() {
        let (parent, _) = split(&volume.path);
        let words = [format!("/{index}/"), escape::word(parent)];
        line(text, format_args!("COPY --from={FOLDERS_STAGE} --chown={USER}:{USER} {}", escape::json(&words)));
    }
    line(text, format_args!("USER {USER}:{USER}"));
    if service.port > 0 {
        line(text, format_args!("EXPOSE {}", service.port));
    }
    line(text, format_args!("STOPSIGNAL {}", service.stop_signal.as_deref().unwrap_or(crate::workload::STOP_SIGNAL)));
    healthcheck(&service.health, text);
    // Otherwise what the image says is run: it is read back from what was built.
    if !service.command.is_empty() {
        line(text, format_args!("ENTRYPOINT []"));
        line(text, format_args!("CMD {}", escape::exec(&service.command)));
    }
}

fn healthcheck(health: &Health, text: &mut String) {
    let Some(argv) = &health.in_container else {
        line(text, format_args!("HEALTHCHECK NONE"));
        return;
    };
    let start = match health.start_period_seconds {
        0 => String::new(),
        seconds => format!("--start-period={seconds}s "),
    };
    line(
        text,
        format_args!(
            "HEALTHCHECK --interval={}s --timeout={}s {start}--retries={} CMD {}",
            health.interval_seconds,
            health.timeout_seconds,
            health.retries,
            escape::exec(argv)
        ),
    );
}
