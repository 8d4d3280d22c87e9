//! The real server as a child process, with a folder, ports, networks and names of its own.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use convergence_runtime::docker::{Docker, DockerConfig};
use convergence_runtime::{Builder, Runtime};
use convergence_test_database::{Fresh, is_postgres};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::block::Block;
use super::http::{Answer, Http};
use super::proxy::Proxy;
use super::{components, eventually, told, workspace};

/// The folders of first-party components.
const FIRST_PARTY: [&str; 2] = ["templates", "policies"];

/// What differs from server to server.
#[derive(Debug)]
pub(crate) struct Options {
    /// Lines of the configuration before the first table.
    pub(crate) top: String,
    /// Tables of the configuration.
    pub(crate) tables: String,
    /// Components by their paths below the components folder; the first-party ones where empty.
    pub(crate) plugins: Vec<&'static str>,
    /// Whether the plugins folder exists.
    pub(crate) plugins_folder: bool,
    /// Lines of `[docker]` beside the prefix of names.
    pub(crate) docker: String,
    /// What the server logs: `info` where empty.
    pub(crate) log: &'static str,
    /// The engine behind whatever the server is told to use; the one that tests share where absent.
    pub(crate) engine: Option<PathBuf>,
}

impl Options {
    /// With one small template, for the language `static`: it starts in a second, and what it plans needs no compiling.
    pub(crate) fn light() -> Self {
        Self { plugins: vec!["examples/rust/static-site.wasm"], ..Self::default() }
    }

    /// The same, reaching the shared engine through a proxy.
    pub(crate) fn behind(proxy: &Proxy) -> Self {
        Self { docker: format!("socket = {:?}\n", proxy.socket()), ..Self::light() }
    }

    /// With these tables in its configuration.
    pub(crate) fn and(self, tables: &str) -> Self {
        Self { tables: format!("\n{tables}\n"), ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            top: String::new(),
            tables: String::new(),
            plugins: Vec::new(),
            plugins_folder: true,
            docker: String::new(),
            log: "",
            engine: None,
        }
    }
}

/// A running server. Dropped, it is stopped, and whatever it left in the engine is removed and, unless the test has
/// failed already, fails it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) http: Http,
    pub(crate) block: Block,
    child: Option<Child>,
    folder: TempDir,
    engine: Option<PathBuf>,
    log: &'static str,
    /// Where this run is about PostgreSQL. Dropped after the server is.
    database: Option<Fresh>,
}

impl Server {
    /// Starts a server with the first-party plugins.
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// Starts a server.
    pub(crate) async fn with(options: Options) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let block = Block::take();
        let says_which = options.top.contains("database");
        let database = if is_postgres() && !says_which { Some(Fresh::postgres().await) } else { None };
        let (http, engine) = (Http::new(block.api_port()), options.engine.clone());
        let mut server = Self { http, block, child: None, folder, engine, log: options.log, database };
        server.write_configuration(&options, &server.block);
        if options.plugins_folder {
            server.fill_plugins(&options.plugins);
        }
        server.launch().await;
        server
    }

    /// Starts another server of the same installation, on the same database and engine, which `options` name as they
    /// named them for this one. It has a data folder of its own. To be dropped first.
    pub(crate) async fn beside(&self, options: Options) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let data = folder.path().join("data");
        DirBuilder::new().mode(0o700).create(&data).expect("the test's folder is writable");
        for name in ["master.key", "installation", "keyring"] {
            fs::copy(self.folder.path().join("data").join(name), data.join(name)).expect("the first server made it");
        }
        let block = Block::take();
        let (http, engine) = (Http::new(block.api_port()), options.engine.clone());
        let mut server = Self { http, block, child: None, folder, engine, log: options.log, database: None };
        server.write_configuration(&options, &self.block);
        server.fill_plugins(&options.plugins);
        server.launch().await;
        server
    }

    /// Starts the process again after it ended.
    pub(crate) async fn launch(&mut self) {
        self.spawn_process();
        self.started().await;
    }

    /// The same, and does not wait until it answers.
    pub(crate) fn spawn_process(&mut self) {
        let log =
            File::options().create(true).append(true).open(self.log_file()).expect("the test's folder is writable");
        self.spawn_with(log.into(), "");
    }

    /// The same with its log elsewhere: at `stderr`, unless a shell redirects it, as in `2>&-`.
    pub(crate) async fn launch_with(&mut self, stderr: Stdio, redirection: &str) {
        self.spawn_with(stderr, redirection);
        self.started().await;
    }

    fn spawn_with(&mut self, stderr: Stdio, redirection: &str) {
        let child = Command::new("sh")
            .args(["-c", &format!("exec \"$0\" serve --config \"$1\" {redirection}")])
            .arg(binary())
            .arg(self.config_file())
            .env_remove("DATABASE_URL")
            .env("RUST_LOG", if self.log.is_empty() { "info" } else { self.log })
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the server's binary can be run");
        self.child = Some(child);
    }

    /// Waits until the process answers everything.
    pub(crate) async fn started(&mut self) {
        let child = self.child.as_mut().expect("it was launched");
        let (http, log) = (&self.http, self.folder.path().join("log"));
        eventually("the server answers", Duration::from_secs(120), || {
            let ended = child.try_wait().expect("it is our child");
            let log = fs::read_to_string(&log).unwrap_or_default();
            async move {
                // Or somebody else's server would be taken for it.
                assert!(ended.is_none(), "the server ended at its start: {ended:?}\n{log}");
                let answer = http.try_send(http.request(reqwest::Method::GET, "/ready")).await;
                let ready = answer.map_err(|error| format!("{error}\n{log}"))?.json();
                if ready["status"] == "starting" { Err(format!("{ready}\n{log}")) } else { Ok(()) }
            }
        })
        .await;
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().expect("it is our child");
        let status = child.wait().expect("it is our child");
        assert_eq!(status.signal(), Some(9), "the server had ended by itself: {}", self.log());
    }

    /// Ends the process as an operator would; answers whether it said that all went well.
    pub(crate) fn stop(&mut self) -> bool {
        if self.child.is_none() {
            return true;
        }
        self.terminate();
        self.ended(Duration::from_secs(70)) == Some(0)
    }

    /// Asks the process to end, and does not wait for it.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().expect("the server runs"));
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is our child");
    }

    /// The code the process ends with, if it does so in time; else it is ended.
    pub(crate) fn ended(&mut self, limit: Duration) -> Option<i32> {
        let mut child = self.child.take().expect("the server runs");
        let pid = rustix::process::Pid::from_child(&child);
        let (sender, ended) = mpsc::sync_channel(1);
        let waiter = std::thread::spawn(move || sender.send(child.wait().ok().and_then(|status| status.code())));
        let code = ended.recv_timeout(limit).unwrap_or(None);
        // Not reaped yet where it did not stop, so the number is still its own.
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        waiter.join().ok();
        code
    }

    /// Waits until an operation is in one of these states, and answers it.
    pub(crate) async fn operation(&self, url: &str, states: &[&str]) -> Value {
        eventually(&format!("{url} becomes {states:?}"), Duration::from_secs(120), || async {
            let answer = self.http.try_send(self.http.request(reqwest::Method::GET, url)).await?;
            let operation = answer.json();
            let there = operation["state"].as_str().is_some_and(|state| states.contains(&state));
            if there { Ok(operation) } else { Err(answer.text) }
        })
        .await
    }

    /// The events of an operation so far.
    pub(crate) async fn events(&self, url: &str) -> Vec<Value> {
        let answer = self.http.get(&format!("{url}/events")).await;
        let data = answer.text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
        data.filter_map(|data| serde_json::from_str(&data).ok()).collect()
    }

    /// Asks for a tenant and does not wait for it: the tenant and where its operation is.
    pub(crate) async fn accepted(&self, name: &str, language: &str) -> (Value, String) {
        let request =
            self.http.request(reqwest::Method::POST, "/api/v1/tenant/spawn").header("prefer", "respond-async");
        let body = json!({ "name": name, "language": language });
        let accepted = self.http.send(request.json(&body)).await.expect(202);
        let url = accepted["operation"]["url"].as_str().expect("an operation").to_owned();
        (accepted["tenant"].clone(), url)
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the server runs");
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).expect("it is our child");
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Everything in the database as `pg_dump` writes it, where that is PostgreSQL.
    pub(crate) fn dump(&self) -> Option<Vec<u8>> {
        let database = self.database.as_ref()?;
        let output = Command::new("pg_dump").arg(database.location()).output().expect("pg_dump can be run");
        assert!(output.status.success(), "{output:?}");
        Some(output.stdout)
    }

    /// What the server wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The plugins folder.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.path().join("convergence.toml")
    }

    /// Spawns a tenant and answers it; panics with the problem where that fails.
    pub(crate) async fn spawn(&self, body: Value) -> Value {
        let answer = self.http.post("/api/v1/tenant/spawn", &body).await;
        assert_eq!(answer.status, 201, "{}\n{}", answer.text, self.log());
        answer.json()["tenant"].clone()
    }

    /// Spawns a tenant of a language with nothing else said.
    pub(crate) async fn spawn_plain(&self, name: &str, language: &str) -> Value {
        self.spawn(json!({ "name": name, "language": language })).await
    }

    /// Removes a tenant.
    pub(crate) async fn destroy(&self, tenant: &Value) {
        let answer = self.http.delete(&format!("/api/v1/tenant/{}", tenant["envId"])).await;
        assert_eq!(answer.status, 200, "{}\n{}", answer.text, self.log());
    }

    /// Asks a tenant itself.
    pub(crate) async fn ask(&self, tenant: &Value, path: &str) -> Answer {
        let port = u16::try_from(tenant["port"].as_u64().expect("a tenant has a port")).expect("a port");
        Http::new(port).get(path).await
    }

    /// The status of a tenant's answer; none where nobody answers at its port.
    pub(crate) async fn ask_if_there(&self, tenant: &Value, path: &str) -> Option<u16> {
        let port = u16::try_from(tenant["port"].as_u64()?).ok()?;
        let http = Http::new(port);
        http.try_send(http.request(reqwest::Method::GET, path)).await.ok().map(|answer| answer.status)
    }

    /// The name of a tenant's container.
    pub(crate) fn container(&self, tenant: &Value) -> String {
        format!("{}-{}", self.block.name_prefix(), tenant["envId"])
    }

    /// Runs the command line against this server.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(binary())
            .args(arguments)
            .env("CONVERGENCE_URL", format!("http://127.0.0.1:{}", self.block.api_port()))
            .env_remove("DATABASE_URL")
            .output()
            .expect("the server's binary can be run")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Writes the configuration. `block` is where tenants are: another server's, where they share them.
    fn write_configuration(&self, options: &Options, block: &Block) {
        let folder = self.folder.path();
        let ports = block.tenant_ports();
        let mut text = format!("listen = \"127.0.0.1:{}\"\n", self.block.api_port());
        writeln!(text, "data-dir = {:?}", folder.join("data")).expect("strings grow");
        writeln!(text, "plugins-dir = {:?}", self.plugins()).expect("strings grow");
        if let Some(database) = &self.database {
            writeln!(text, "database = {:?}", database.location()).expect("strings grow");
        }
        text.push_str(&options.top);
        if !options.tables.contains("[docker]") {
            writeln!(text, "\n[docker]\nname-prefix = {:?}\n{}", block.name_prefix(), options.docker)
                .expect("strings grow");
        }
        if !options.tables.contains("[tenants]") {
            let (first, last) = (ports.start(), ports.end());
            writeln!(text, "\n[tenants]\nports = \"{first}-{last}\"\nsubnets = {:?}", block.subnets())
                .expect("strings grow");
            // As it is by default for the first of several servers: what tenants are told must not depend on which of them
            // made them, or they take turns repairing.
            let url = format!("http://host.docker.internal:{}/api/v1", block.api_port());
            writeln!(text, "api-url = {url:?}").expect("strings grow");
        }
        text.push_str(&options.tables);
        text.push_str(&image_map());
        fs::write(self.config_file(), text).expect("the test's folder is writable");
    }

    fn fill_plugins(&self, wanted: &[&str]) {
        let folder = self.plugins();
        fs::create_dir_all(&folder).expect("the test's folder is writable");
        let all = || FIRST_PARTY.iter().flat_map(|kind| wasm_files(&components().join(kind))).collect::<Vec<_>>();
        let chosen = || wanted.iter().map(|path| components().join(path)).collect::<Vec<_>>();
        for file in if wanted.is_empty() { all() } else { chosen() } {
            self.drop_in(&file);
        }
    }

    /// Puts a component into the plugins folder.
    pub(crate) fn drop_in(&self, component: &Path) {
        let name = component.file_name().expect("a component is a file");
        let place = self.plugins().join(name);
        fs::copy(component, &place)
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", component.display()));
    }

    /// Its database, as `Store::open` takes it. For when it does not run.
    pub(crate) fn location(&self) -> String {
        let file = || self.folder.path().join("data/convergence.db").display().to_string();
        self.database.as_ref().map_or_else(file, |database| database.location().to_owned())
    }

    /// A file of the server's data folder.
    pub(crate) fn data_file(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    /// The installation's id, on the label of everything it has in the engine.
    pub(crate) fn installation(&self) -> Option<String> {
        let bytes = fs::read(self.folder.path().join("data/installation")).ok()?;
        Some(uuid::Uuid::from_slice(&bytes).ok()?.simple().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let stopped = self.stop();
        if failed {
            eprintln!("---- the server's log ----\n{}", self.log());
        }
        let left = self.installation().map(|id| sweep(&id, self.engine.as_deref())).unwrap_or_default();
        if !failed {
            assert!(stopped, "the server did not stop as asked: {}", self.log());
            assert!(left.is_empty(), "left behind in the engine: {left:?}");
        }
    }
}

/// Removes everything of an installation from the engine; answers what there was.
fn sweep(installation: &str, engine: Option<&Path>) -> Vec<String> {
    let work = async {
        let socket = engine.map(|socket| socket.display().to_string());
        let docker = Docker::connect(DockerConfig { socket, ..DockerConfig::default() });
        let Ok(owned) = docker.owned(installation).await else { return Vec::new() };
        let images = docker.owned_images(installation).await.unwrap_or_default();
        let mut left = Vec::new();
        for item in owned.workloads {
            if let Some(owner) = item.owner() {
                docker.remove(&item.name, owner).await.ok();
            }
            left.push(format!("container {}", item.name));
        }
        for item in owned.boundaries {
            if let Some(owner) = item.owner() {
                docker.remove_boundary(&item.name, owner).await.ok();
            }
            left.push(format!("network {}", item.name));
        }
        for item in owned.volumes {
            if let Some(owner) = item.owner() {
                docker.remove_volume(&item.name, owner).await.ok();
            }
            left.push(format!("volume {}", item.name));
        }
        for item in images {
            docker.remove_image(&item.name, installation).await.ok();
            left.push(format!("image {}", item.name));
        }
        left
    };
    // Dropping happens inside a test's own runtime, where nothing may block; a thread of its own may.
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work)
        });
        sweeper.join().unwrap_or_default()
    })
}

/// The binary under test: the one that was built with the tests, or another one, where the environment names it.
pub(crate) fn binary() -> PathBuf {
    told("CONVERGENCE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_convergence").into())
}

fn wasm_files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", folder.display()));
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect()
}

/// Where base images are found on this machine, as `cargo xtask images` wrote it down.
fn image_map() -> String {
    let file = told("CONVERGENCE_IMAGES").unwrap_or_else(|| workspace().join("target/convergence/images.toml"));
    let text = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask images`", file.display()));
    format!("\n{text}\n")
}
