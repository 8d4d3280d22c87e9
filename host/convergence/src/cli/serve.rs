//! `convergence serve`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::exit::Failure;
use crate::config::{Config, listen};
use crate::{boot, lifecycle, telemetry};

/// How the server is run.
#[derive(Debug, Args)]
#[group(skip)] // flattened into other commands, whose own group has the same name
pub(crate) struct Arguments {
    /// Read the configuration from this file [default: none, every key has a default].
    #[arg(long, env = "CONVERGENCE_CONFIG", value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    config: Option<PathBuf>,
    /// Listen on this address [default: the configuration's `listen`].
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen)]
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
        // CONVERGENCE_CONFIG that is set to nothing is as good as absent.
        let file = self.config.as_deref().filter(|file| !file.as_os_str().is_empty());
        Ok(Config::load(file, self.listen)?)
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
