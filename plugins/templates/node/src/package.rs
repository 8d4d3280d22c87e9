//! What `package.json` says, as far as a plan depends on it.

use std::collections::BTreeMap;

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Scripts that npm runs by itself when it installs.
const INSTALL_SCRIPTS: [&str; 4] = ["preinstall", "install", "postinstall", "prepare"];

/// The part of `package.json` that is read. Unknown fields are the application's own business.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Package {
    /// The program to start when there is no start script.
    pub(crate) main: Option<String>,
    /// Commands by name.
    pub(crate) scripts: BTreeMap<String, String>,
    dependencies: BTreeMap<String, IgnoredAny>,
    optional_dependencies: BTreeMap<String, IgnoredAny>,
    dev_dependencies: BTreeMap<String, IgnoredAny>,
    engines: Engines,
    workspaces: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Engines {
    node: Option<String>,
}

impl Package {
    /// Reads `package.json`; none when the source has none.
    ///
    /// # Errors
    ///
    /// Invalid input that names the field when it is not what npm takes.
    pub(crate) fn read(source: &Source) -> Result<Option<Self>, PluginError> {
        let Some(text) = source.text("package.json")? else {
            return Ok(None);
        };
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text)).map(Some).map_err(|error| {
            let place = match error.path().to_string() {
                root if root == "." => "package.json".to_owned(),
                path => format!("package.json:{path}"),
            };
            PluginError::invalid_input(&place, format!("package.json cannot be read: {}", error.inner()))
        })
    }

    /// The framework it depends on, where this template knows it.
    pub(crate) fn framework(&self) -> Option<&'static str> {
        crate::FRAMEWORKS.into_iter().find(|framework| self.dependencies.contains_key(*framework))
    }

    /// The range in `engines.node`.
    pub(crate) fn engine(&self) -> Option<&str> {
        self.engines.node.as_deref()
    }

    /// Whether anything is to be installed for running it.
    pub(crate) fn has_dependencies(&self) -> bool {
        !self.dependencies.is_empty() || !self.optional_dependencies.is_empty() || self.workspaces.is_some()
    }

    /// Whether anything is to be installed at all.
    pub(crate) fn has_any_dependencies(&self) -> bool {
        self.has_dependencies() || !self.dev_dependencies.is_empty()
    }

    /// Whether it has a build script.
    pub(crate) fn is_built(&self) -> bool {
        self.scripts.contains_key("build")
    }

    /// Whether installing needs more of the source than `package.json` and the lock file.
    pub(crate) fn installs_from_source(&self) -> bool {
        self.workspaces.is_some() || INSTALL_SCRIPTS.iter().any(|script| self.scripts.contains_key(*script))
    }
}
