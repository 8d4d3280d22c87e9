//! `convergence serve`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Failure;
use crate::config::Config;
use crate::{boot, lifecycle, telemetry};

/// How the server is run.
#[derive(Debug, Args)]
#[group(skip)] // flattened into other commands, whose own group has the same name
pub(crate) struct Arguments {
    /// The configuration; every key has a default.
    #[arg(long, env = "CONVERGENCE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here instead of where the configuration says.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Keep containers in memory and run none: for tests of the API. In development builds only.
    #[cfg(any(debug_assertions, feature = "rehearsal"))]
    #[arg(long, hide = true)]
    rehearse_engine: bool,
}

impl Arguments {
    /// The configuration file, where one was named.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The configuration with the flags applied.
    pub(crate) fn configuration(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.config.as_deref(), self.listen)?)
    }

    /// What builds and runs.
    pub(crate) fn engine(&self, config: &Config) -> boot::Engine {
        #[cfg(any(debug_assertions, feature = "rehearsal"))]
        if self.rehearse_engine {
            return boot::Engine::of(convergence_runtime::fake::FakeRuntime::new());
        }
        boot::Engine::of(boot::engine(config))
    }
}

/// Runs until told to stop.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configuration()?;
    let lost_lines = telemetry::start(&config.log)?;
    lifecycle::outlive_hangups()?;
    let lifecycle = boot::start(&config, arguments.engine(&config), lost_lines).await?;
    Ok(lifecycle.until_stopped().await?)
}
