//! `convergence doctor`

mod builds;
mod keys;
mod names;
mod server;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use clap::Args;
use convergence_access::KeyRing;
use convergence_plugin::{Loading, Shelf};
use convergence_provision::Machine;
use convergence_runtime::{Builder, Runtime};
use convergence_store::{Inspected, Store};
use serde::Serialize;
use serde_json::json;

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::serve;
use super::table::hanging;
use crate::boot;
use crate::config::Config;
use crate::installation::{self, Found, Installation, Start, shown};

/// Free space below which builds soon fail.
const DISK_LOW_MB: u64 = 5 * 1024;
/// Ports looked at; a machine that has these free has others.
const PORTS_LOOKED_AT: usize = 50;

/// Where what does not fit its line goes on.
const INDENT: usize = 6;

/// Leftovers that are named; the others are counted.
const LEFTOVERS_TOLD: usize = 5;

/// Which configuration. Without one the running server is asked.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Wrong,
}

/// What was found about one thing.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

fn ok(check: &'static str, detail: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Ok, detail: detail.into(), fix: None }
}

fn wrong(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Wrong, detail: detail.into(), fix: Some(fix.into()) }
}

fn warn(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Warn, detail: detail.into(), fix: Some(fix.into()) }
}

/// Asks the running server for its checks, or looks at everything a server and a spawn need. Writes nothing.
pub(crate) async fn run(
    arguments: &Arguments,
    client: impl Fn() -> Result<Client, Failure>,
    output: &Output,
) -> Result<(), Failure> {
    let mut findings = Vec::new();
    if arguments.serve.file().is_none() {
        let client = client()?;
        if let Some(found) = server::ask(&client).await {
            findings.extend(found);
            findings.push(ok(
                "more",
                "`convergence doctor --config FILE` also looks at this machine's images, ports and disk",
            ));
            return conclude(&findings, output);
        }
        let detail = format!("nothing answers at {}; this looks at the machine instead", client.url());
        findings.push(warn("server", detail, "start one with `convergence serve`, or name it with --url"));
    }
    let config = arguments.serve.configuration()?;
    findings.push(match arguments.serve.file() {
        Some(file) => ok("configuration", file.display().to_string()),
        None => ok("configuration", "no file was named: the defaults, in the current folder"),
    });
    let runtime = boot::engine(&config);
    let (installation, store) = installation(&config, &mut findings).await;
    let keys = installation.as_ref().map(|installation| KeyRing::new(&installation.master));
    findings.extend(engine(&config, &runtime).await);
    let shelf = store.clone().map_or(Shelf::Memory, Shelf::Draft);
    let (server, id) = installation.map(|installation| (installation.server, installation.id)).unzip();
    let languages_images = plugins(&config, keys.as_ref(), shelf, server.unwrap_or_default(), &mut findings).await;
    findings.extend(base_images(&config, &runtime, &languages_images).await);
    if let (Some(id), Some(store)) = (&id, &store) {
        findings.extend(leftovers(&config, &runtime, store, id).await);
    }
    if let Some(store) = store {
        findings.extend(names::check(&store).await);
        findings.extend(keys::check(&config.data_dir, &store).await);
        store.close().await;
    }
    findings.extend(builds::check(&config, &runtime).await);
    findings.push(ports(&config));
    findings.push(disk(&config.data_dir));
    conclude(&findings, output)
}

/// Prints the findings; what is wrong is the command's failure.
fn conclude(findings: &[Finding], output: &Output) -> Result<(), Failure> {
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
    output.result(&json!({ "ok": bad == 0, "findings": findings }), || report(findings));
    match bad {
        0 => Ok(()),
        1 => Err(Failure::BadNews("1 check failed; see above how to fix it".to_owned())),
        many => Err(Failure::BadNews(format!("{many} checks failed; see above how to fix them"))),
    }
}

fn report(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let mark = match finding.verdict {
            Verdict::Ok => "ok   ",
            Verdict::Warn => "warn ",
            Verdict::Wrong => "WRONG",
        };
        let found = hanging(&format!("{mark} {}: {}", finding.check, finding.detail), INDENT);
        let fix = finding.fix.as_ref().map(|fix| hanging(&format!("{:INDENT$}→ {fix}", ""), INDENT + 2));
        fix.map_or_else(|| found.clone(), |fix| format!("{found}\n{fix}"))
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The data folder and the database, and whether they belong together. Opens what a server would open, and makes nothing.
async fn installation(config: &Config, findings: &mut Vec<Finding>) -> (Option<Installation>, Option<Store>) {
    let (data, location) = (&config.data_dir, config.database());
    let place = data.display().to_string();
    let start = installation::decide(&Found::read(data, &location).await);
    let opened = match start {
        Err(refusal) => Err(refusal.explain(data, &shown(&location))),
        Ok(Start::First) => {
            findings.push(ok("data folder", format!("{place}; the first start makes what is missing")));
            findings.push(ok("database", format!("{}; the first start makes its tables", shown(&location))));
            return (None, None);
        }
        Ok(Start::Again) => Installation::read(data).map_err(|error| format!("{error:#}")),
    };
    match opened {
        Ok(installation) => {
            findings.push(ok("data folder", format!("{place}, of installation {}", installation.id)));
            let (finding, store) = database(config).await;
            findings.push(finding);
            (Some(installation), store)
        }
        Err(reason) => {
            // The reason says what to do.
            findings.push(Finding { check: "installation", verdict: Verdict::Wrong, detail: reason, fix: None });
            (None, None)
        }
    }
}

async fn database(config: &Config) -> (Finding, Option<Store>) {
    const CHECK: &str = "database";
    match Store::inspect(&config.database()).await {
        Ok(Inspected::Current(store)) => (ok(CHECK, format!("{} can be read", store.engine_name())), Some(store)),
        Ok(Inspected::Older { found, known }) => {
            let detail = format!("its tables are of version {found}, and the next start brings them to {known}");
            (warn(CHECK, detail, "back it up, then start the server; until then doctor does not look into it"), None)
        }
        Ok(Inspected::Newer { found, known }) => {
            let detail = format!("its tables are of version {found}, and this program knows {known}");
            (wrong(CHECK, detail, "run the version that wrote it, or a newer one"), None)
        }
        Err(error) => (wrong(CHECK, error.to_string(), "set `database` in the configuration, or DATABASE_URL"), None),
    }
}

async fn engine(config: &Config, runtime: &dyn Runtime) -> Vec<Finding> {
    let engine = match runtime.engine().await {
        Ok(engine) => engine,
        Err(error) => {
            return vec![wrong(
                "engine",
                error.to_string(),
                "install Docker (Debian: `apt-get install docker.io`), start it, and let this user use its socket",
            )];
        }
    };
    let mut findings = vec![ok(
        "engine",
        format!(
            "{} {}, API {}, {}, cgroup v{}",
            engine.name, engine.version, engine.api_version, engine.storage_driver, engine.cgroup_version
        ),
    )];
    findings.push(if engine.buildkit {
        ok("BuildKit", "available")
    } else {
        wrong("BuildKit", "this engine cannot build with BuildKit", "use Docker 18.09 or newer")
    });
    let defaults = config.tenants.default_limits.into();
    findings.extend(Machine::from(&engine).refuses_defaults(&defaults).map(|reason| {
        let fix = "lower them in the configuration; the server does not start with them while the engine answers";
        wrong("default limits", reason, fix)
    }));
    findings
}

/// The plugins, and the base images their languages need.
async fn plugins(
    config: &Config,
    keys: Option<&KeyRing>,
    shelf: Shelf,
    server: String,
    findings: &mut Vec<Finding>,
) -> BTreeSet<String> {
    let mut images = BTreeSet::new();
    let catalogue = match boot::catalogue(config, keys, shelf, server, Loading::default()).await {
        Ok(catalogue) => catalogue,
        Err(error) => {
            findings.push(wrong("plugins", format!("{error:#}"), "tell us: this machine cannot run a sandbox"));
            return images;
        }
    };
    let plugged = catalogue.snapshot();
    let templates = plugged.templates();
    let names: Vec<_> = templates.iter().map(|template| format!("{} {}", template.id, template.version)).collect();
    findings.push(if names.is_empty() {
        wrong(
            "plugins",
            "no language template is active",
            format!("put template components (*.wasm) into {}", config.plugins_dir().display()),
        )
    } else {
        ok("plugins", format!("templates: {}", names.join(", ")))
    });
    let policies: Vec<_> =
        plugged.policies().iter().map(|policy| format!("{} {}", policy.id, policy.version)).collect();
    findings.push(match plugged.rejected_policy() {
        Some(failure) => wrong(
            "policies",
            failure.to_string(),
            "fix the file or its configuration; until then the server accepts nothing",
        ),
        None if policies.is_empty() => {
            warn("policies", "none: nothing bounds what tenants ask for", "add policies/limits to the plugins folder")
        }
        None => ok("policies", policies.join(", ")),
    });
    for problem in catalogue.problems() {
        findings.push(warn("plugins", problem, "fix or remove the file; everything else works without it"));
    }
    images.extend(templates.into_iter().flat_map(|template| template.languages).flat_map(|language| language.images));
    images
}

async fn base_images(config: &Config, builder: &dyn Builder, images: &BTreeSet<String>) -> Vec<Finding> {
    let policy = boot::images(config);
    let mut findings = Vec::new();
    for image in images {
        let resolved = match policy.resolve(image) {
            Ok(resolved) => resolved.reference,
            Err(refused) => {
                findings.push(warn("base images", refused.to_string(), "allow or map it, or remove the template"));
                continue;
            }
        };
        let shown = if &resolved == image { image.clone() } else { format!("{image} → {resolved}") };
        findings.push(match builder.image_id(&resolved).await {
            Ok(Some(_)) => ok("base images", shown),
            Ok(None) => warn(
                "base images",
                format!("{shown} is not on this machine; the first build pulls it"),
                format!("`docker pull {resolved}`, or map it with [images] to an image that is here"),
            ),
            Err(_) => warn("base images", format!("{shown}: the engine does not answer"), "fix the engine first"),
        });
    }
    findings
}

/// What is in the engine with this installation's label and belongs to no tenant.
async fn leftovers(
    config: &Config,
    engine: &convergence_runtime::docker::Docker,
    store: &Store,
    instance: &str,
) -> Option<Finding> {
    // An engine that does not answer is told of already.
    let strays = convergence_provision::leftovers(engine, engine, store, instance, &config.reconcile()).await.ok()?;
    let held: Vec<_> = strays.iter().filter_map(|stray| Some((&stray.what, stray.held?))).collect();
    if held.is_empty() {
        return Some(ok("leftovers", format!("{} things that belong to no tenant will be removed", strays.len())));
    }
    let told = held.iter().take(LEFTOVERS_TOLD);
    let told: Vec<_> =
        told.map(|(what, held)| format!("{:?} {}: {}", what.kind, what.name, held.explain(what.kind))).collect();
    Some(warn(
        "leftovers",
        format!("{} things in the engine belong to no tenant and wait for you; {}", held.len(), told.join("; ")),
        "check that this is the right database; `convergence leftovers` lists all of them, and removes what you name",
    ))
}

/// Ports that other programs hold; our own tenants' are theirs by right, so this can only warn.
fn ports(config: &Config) -> Finding {
    let tenants = &config.tenants;
    let range = format!("{}-{}", tenants.ports.start(), tenants.ports.end());
    let looked_at = tenants.ports.clone().take(PORTS_LOOKED_AT);
    let held: Vec<u16> =
        looked_at.filter(|port| TcpListener::bind(SocketAddr::new(tenants.publish_address, *port)).is_err()).collect();
    let all = tenants.ports.clone().take(PORTS_LOOKED_AT).count();
    if held.len() == all {
        return wrong(
            "ports",
            format!("none of the first {all} ports of {range} is free"),
            "choose another range with `ports` in [tenants], or find who listens there (`ss -ltnp`)",
        );
    }
    match held.as_slice() {
        [] => ok("ports", format!("{range} are free")),
        some => ok("ports", format!("{range}; in use, by tenants or others: {some:?}")),
    }
}

fn disk(folder: &Path) -> Finding {
    // A folder that is not there yet will be on the disk of the one it is made in.
    let there = folder.ancestors().find(|folder| folder.exists());
    let folder = there.unwrap_or_else(|| Path::new("."));
    match rustix::fs::statvfs(folder) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize) / (1024 * 1024);
            if free < DISK_LOW_MB {
                warn(
                    "disk",
                    format!("{free} MiB free"),
                    "free space: `docker system df` shows what images and builds use",
                )
            } else {
                ok("disk", format!("{} GiB free", free / 1024))
            }
        }
        Err(error) => {
            warn("disk", format!("cannot look at {}: {error}", folder.display()), "check that the folder exists")
        }
    }
}
