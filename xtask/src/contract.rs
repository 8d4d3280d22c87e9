//! `cargo xtask contract`: holds the HTTP API against its OpenAPI document.
//!
//! A development build of the server runs with an engine that keeps containers in memory. schemathesis sends it requests
//! made from the document, good ones and bad ones, and compares each answer with what the document says; the seed is fixed.
//! Then it is shown a document that is wrong on purpose and has to find that.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use toml::Table;

use crate::guests::Which;
use crate::step::Steps;
use crate::workspace::Workspace;
use crate::{authoring, command, guests, scripting};

const FOLDER: &str = "xtask/schemathesis";
/// Cases for each operation and kind of data in the phase that invents them.
const EXAMPLES: &str = "60";
/// What decides which cases those are.
const SEED: &str = "1";
/// The operations that take the template away.
const TAKE_AWAY: [&str; 2] = ["plugin_remove", "plugin_disable"];
/// Where the wrong document is wrong.
const MISTAKEN: &str = "/api/v1/tenant/{tenant}/status";

/// The chore.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::new();
    steps.run("components", || guests::build(workspace, Which::Product))?;
    steps.run("server, for development", || authoring::build_binary(workspace))?;
    steps.run("the API and its document", || check(workspace))?;
    steps.summary();
    Ok(())
}

/// The step of `cargo xtask test`: the binary and the components are there.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let tools = ensure(workspace)?;
    let place = workspace.target().join("contract");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot empty {}", place.display()))?;
    }
    command::create_folder(&place)?;
    let document = place.join("openapi.json");
    let text = command::capture(Command::new(authoring::binary(workspace)).arg("openapi"))?;
    command::write(&document, &text)?;
    command::run(Command::new(tools.join("openapi-spec-validator")).arg(&document))?;

    let server = Server::start(workspace, &place)?;
    // What takes the template away comes last, or most of what is asked would be answered by its absence.
    for choice in ["--exclude-operation-id", "--include-operation-id"] {
        let mut good = schemathesis(workspace, &tools, &place, &server, &document);
        good.args(["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES]);
        for operation in TAKE_AWAY {
            good.args([choice, operation]);
        }
        command::run(&mut good).with_context(|| format!("the server's log is {}", server.log.display()))?;
    }

    let mistaken = place.join("mistaken.json");
    command::write(&mistaken, &mistake(&text)?)?;
    let mut bad = schemathesis(workspace, &tools, &place, &server, &mistaken);
    bad.args(["--phases", "coverage,fuzzing", "--max-examples", "5", "--include-path", MISTAKEN]);
    if command::capture(&mut bad).is_ok() {
        bail!("schemathesis found nothing wrong with a document that is wrong on purpose: {}", mistaken.display());
    }
    Ok(())
}

/// A document that forgets that there may be no such tenant.
fn mistake(text: &str) -> Result<String> {
    let mut document: Value = serde_json::from_str(text).context("the document is not JSON")?;
    let responses = document.pointer_mut(&format!("/paths/{}/get/responses", MISTAKEN.replace('/', "~1")));
    let responses = responses.and_then(Value::as_object_mut).with_context(|| format!("there is no {MISTAKEN}"))?;
    responses.remove("404").with_context(|| format!("{MISTAKEN} does not list 404"))?;
    Ok(document.to_string())
}

fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let asked = workspace.root().join(FOLDER).join("requirements.txt");
    let folder = workspace.target().join("tools").join("schemathesis");
    scripting::environment_of(&folder, &asked, "schemathesis")?;
    Ok(folder.join("bin"))
}

fn schemathesis(workspace: &Workspace, tools: &Path, place: &Path, server: &Server, document: &Path) -> Command {
    let mut command = Command::new(tools.join("schemathesis"));
    command.current_dir(place);
    command.arg("--config-file").arg(workspace.root().join(FOLDER).join("schemathesis.toml"));
    command.arg("run").arg(document).args(["--url", &server.url, "--checks", "all", "--seed", SEED]);
    // One worker: Python 3.11 miscounts how deep its parser is where two threads parse (python/cpython#106905). The wait for an
    // outcome is the server's to bound; a request that hangs is a finding.
    command.args(["--workers", "1", "--no-color", "--request-timeout", "60", "--generation-database", "none"]);
    command
}

/// The server. Dropped, it ends.
struct Server {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Server {
    fn start(workspace: &Workspace, place: &Path) -> Result<Self> {
        let plugins = place.join("plugins");
        command::create_folder(&plugins)?;
        for component in ["templates/node.wasm", "policies/limits.wasm"] {
            let from = workspace.components().join(component);
            let to = plugins.join(from.file_name().unwrap_or_default());
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        // Taken for a moment, so that it is free.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.context("no port of 127.0.0.1 is free")?.port();
        let mut table = Table::new();
        table.insert("listen".to_owned(), format!("127.0.0.1:{port}").into());
        table.insert("data-dir".to_owned(), place.join("data").display().to_string().into());
        table.insert("plugins-dir".to_owned(), plugins.display().to_string().into());
        // Whatever is asked without saying how long to wait is answered soon.
        table.insert("wait-seconds".to_owned(), 5.into());
        let ports = if port < 40_000 { "40001-40999" } else { "3001-3999" };
        table.insert("tenants".to_owned(), Table::from_iter([("ports".to_owned(), ports.into())]).into());
        let configuration = place.join("convergence.toml");
        command::write(&configuration, &toml::to_string(&table).context("the configuration cannot be written")?)?;
        let log = place.join("server.log");
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(authoring::binary(workspace));
        command.args(["serve", "--rehearse-engine", "--config"]).arg(&configuration).env_remove("DATABASE_URL");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let child = child.with_context(|| format!("cannot start {}", command::shown(&command)))?;
        let mut server = Self { child, url: format!("http://127.0.0.1:{port}"), log };
        let up = command::wait_until(Duration::from_secs(120), || {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended at its start with {status}:\n{}", command::tail(&server.log));
            }
            Ok(has_started(port).unwrap_or(false).then_some(()))
        })?;
        if up.is_none() {
            bail!("the server does not answer after two minutes:\n{}", command::tail(&server.log));
        }
        Ok(server)
    }
}

/// Whether a server answers more than that it starts.
fn has_started(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1") && !answer.contains("\"status\":\"starting\""))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
