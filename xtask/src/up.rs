//! `cargo xtask up`: from a fresh clone to a tenant that answers.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

use crate::guests::Which;
use crate::step::Steps;
use crate::workspace::Workspace;
use crate::{command, engine, guests, settings};

/// What the person asked of `cargo xtask up`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The port of 127.0.0.1 that the server listens on.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

/// The chore. Once everything is there it becomes `convergence up`, which runs the server, spawns the first tenant and
/// stays in front: signals reach the server itself, and nothing stands between it and the terminal.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Steps::remembering(workspace.state().join("up-steps.json"));
    steps.run("container engine", || engine::ensure(workspace))?;
    // Mostly waits for the network, so the processor compiles meanwhile.
    let mut images = Beside::start(workspace, "images")?;
    steps.run("plugins, as WebAssembly components", || guests::build(workspace, Which::Product))?;
    images.check()?;
    let binary = steps.run("server, in release (the first build takes minutes)", || build_server(workspace, &[]))?;
    steps.run("base images, prepared meanwhile", || images.wait())?;
    let settings = steps.run("configuration", || settings::prepare(workspace, options.port))?;
    steps.summary();

    let mut server = Command::new(&binary);
    server.arg("up").arg("--config").arg(&settings.file);
    println!("\n    $ {}\n", command::shown(&server));
    Err(anyhow!(server.exec()).context(format!("cannot start {}", binary.display())))
}

/// Another chore in a process of its own, whose output is shown once it is waited for. Dropped, it is ended.
struct Beside {
    child: Child,
    log: PathBuf,
}

impl Beside {
    fn start(workspace: &Workspace, chore: &str) -> Result<Self> {
        let state = workspace.state();
        fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
        let log = state.join(format!("{chore}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let errors = file.try_clone().context("cannot open a file twice")?;
        let program = std::env::current_exe().context("cannot find this program")?;
        println!("    `cargo xtask {chore}` runs beside this, its log is {}", log.display());
        let child = Command::new(program).arg(chore).stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        Ok(Self { child: child.with_context(|| format!("cannot start the chore `{chore}`"))?, log })
    }

    /// Fails where it failed already, before something long is begun.
    fn check(&mut self) -> Result<()> {
        match self.child.try_wait().context("cannot look at a chore")? {
            Some(status) if !status.success() => self.told(status),
            _ => Ok(()),
        }
    }

    fn wait(mut self) -> Result<()> {
        let status = self.child.wait().context("cannot wait for a chore")?;
        self.told(status)
    }

    fn told(&self, status: ExitStatus) -> Result<()> {
        print!("{}", fs::read_to_string(&self.log).unwrap_or_default());
        if status.success() { Ok(()) } else { bail!("it ended with {status}; the lines above say why") }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // One that has ended already is none to end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Builds the server in release and says where it is.
pub(crate) fn build_server(workspace: &Workspace, arguments: &[&str]) -> Result<PathBuf> {
    command::run(workspace.cargo().args(["build", "--release", "--package", "convergence"]).args(arguments))?;
    Ok(workspace.target().join("release").join("convergence"))
}
