//! The configuration file that `up` writes for the server.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::workspace::Workspace;
use crate::{command, images};

/// The ports that the server gives to tenants where nothing else is said.
const TENANT_PORTS: std::ops::RangeInclusive<u16> = 3001..=3999;

/// Where the server that `up` starts keeps things.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The configuration file.
    pub(crate) file: PathBuf,
    /// The plugins folder, read when the server starts.
    pub(crate) plugins: PathBuf,
}

/// Writes `target/convergence/convergence.toml` with everything the server needs, and fills the plugins folder with
/// the first-party components. Plugins that somebody dropped there stay.
pub(crate) fn prepare(workspace: &Workspace, port: u16) -> Result<Settings> {
    let state = workspace.state();
    let settings = Settings { file: state.join("convergence.toml"), plugins: state.join("plugins") };
    let data = state.join("data");
    command::create_folder(&settings.plugins)?;
    copy_plugins(workspace, &settings)?;

    let mapping = images::mapping_file(workspace);
    let text = fs::read_to_string(&mapping).with_context(|| format!("cannot read {}", mapping.display()))?;
    let mut table: Table = toml::from_str(&text).with_context(|| format!("{} is not TOML", mapping.display()))?;
    table.insert("listen".to_owned(), Value::String(format!("127.0.0.1:{port}")));
    table.insert("data-dir".to_owned(), Value::String(data.display().to_string()));
    table.insert("plugins-dir".to_owned(), Value::String(settings.plugins.display().to_string()));
    if TENANT_PORTS.contains(&port) {
        // The server refuses a range that holds its own port.
        let ports = format!("{}-{}", port + 1, port + 999);
        table
            .insert("tenants".to_owned(), Value::Table(Table::from_iter([("ports".to_owned(), Value::String(ports))])));
    }
    let text = toml::to_string(&table).context("cannot write the configuration as TOML")?;
    command::write(&settings.file, &format!("# Written by `cargo xtask up`; the next one overwrites it.\n{text}"))?;
    Ok(settings)
}

/// Copies the first-party templates and policies; examples are for reading.
fn copy_plugins(workspace: &Workspace, settings: &Settings) -> Result<()> {
    for kind in ["templates", "policies"] {
        let folder = workspace.components().join(kind);
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let component = entry?.path();
            let name =
                component.file_name().filter(|_| component.extension().is_some_and(|extension| extension == "wasm"));
            let Some(name) = name else { continue };
            let place = settings.plugins.join(name);
            let bytes = fs::read(&component).with_context(|| format!("cannot read {}", component.display()))?;
            if fs::read(&place).is_ok_and(|old| old == bytes) {
                continue;
            }
            let fresh = place.with_extension("wasm.new");
            fs::write(&fresh, bytes).with_context(|| format!("cannot write {}", fresh.display()))?;
            fs::rename(&fresh, &place).with_context(|| format!("cannot write {}", place.display()))?;
        }
    }
    Ok(())
}
