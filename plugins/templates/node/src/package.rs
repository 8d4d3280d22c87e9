//! What `package.json` says, as far as a plan depends on it.

use std::collections::BTreeMap;

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;
use serde::Deserialize;
use serde_json::Value;

/// Scripts that package managers run by themselves when they install.
const INSTALL_SCRIPTS: [&str; 4] = ["preinstall", "install", "postinstall", "prepare"];

/// Beginnings of versions that name a folder or a file of the source.
const LOCAL_VERSIONS: [&str; 4] = ["file:", "link:", "portal:", "workspace:"];

/// The part of `package.json` that is read. Unknown fields are the application's own business.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Package {
    /// The program to start when there is no start script.
    pub(crate) main: Option<String>,
    /// Commands by name.
    pub(crate) scripts: BTreeMap<String, String>,
    /// `pnpm@9.1.0+sha512.…`: which package manager the application uses.
    pub(crate) package_manager: Option<String>,
    dependencies: BTreeMap<String, Value>,
    optional_dependencies: BTreeMap<String, Value>,
    dev_dependencies: BTreeMap<String, Value>,
    engines: Engines,
    workspaces: Option<Workspaces>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Engines {
    node: Option<String>,
}

/// The two ways to write workspaces; Yarn has the second one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Workspaces {
    List(Vec<String>),
    Table {
        #[serde(default)]
        packages: Vec<String>,
    },
}

impl Package {
    /// Reads the `package.json` at this path; none when the source has none.
    ///
    /// # Errors
    ///
    /// Invalid input that names the file and the field when it is not what npm takes.
    pub(crate) fn read(source: &Source, path: &str) -> Result<Option<Self>, PluginError> {
        let Some(text) = source.text(path)? else {
            return Ok(None);
        };
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text)).map(Some).map_err(|error| {
            let place = match error.path().to_string() {
                // Of a file that is no JSON the second one is told.
                root if matches!(root.as_str(), "." | "?") => path.to_owned(),
                field => format!("{path}:{field}"),
            };
            PluginError::invalid_input(&place, format!("{path} cannot be read: {}; correct it", error.inner()))
        })
    }

    /// The range in `engines.node`.
    pub(crate) fn engine(&self) -> Option<&str> {
        self.engines.node.as_deref()
    }

    /// Whether this package is there when the application runs.
    pub(crate) fn depends_on(&self, package: &str) -> bool {
        self.dependencies.contains_key(package) || self.optional_dependencies.contains_key(package)
    }

    /// Whether this package is there when the application is built.
    pub(crate) fn builds_with(&self, package: &str) -> bool {
        self.depends_on(package) || self.dev_dependencies.contains_key(package)
    }

    /// Whether anything is to be installed for running it.
    pub(crate) fn has_dependencies(&self) -> bool {
        !self.dependencies.is_empty() || !self.optional_dependencies.is_empty() || self.workspaces.is_some()
    }

    /// Whether anything is to be installed at all.
    pub(crate) fn has_any_dependencies(&self) -> bool {
        self.has_dependencies() || !self.dev_dependencies.is_empty()
    }

    /// Whether it has this script.
    pub(crate) fn has_script(&self, name: &str) -> bool {
        self.scripts.contains_key(name)
    }

    /// Whether package managers run scripts of the application when they install.
    pub(crate) fn has_install_scripts(&self) -> bool {
        INSTALL_SCRIPTS.iter().any(|script| self.has_script(script))
    }

    /// Whether installing needs more of the source than `package.json` and the lock file.
    pub(crate) fn installs_from_source(&self) -> bool {
        let local = |version: &Value| {
            version.as_str().is_some_and(|version| LOCAL_VERSIONS.iter().any(|local| version.starts_with(local)))
        };
        let mut versions =
            self.dependencies.values().chain(self.optional_dependencies.values()).chain(self.dev_dependencies.values());
        self.workspaces.is_some() || self.has_install_scripts() || versions.any(local)
    }

    /// Patterns of the folders whose packages belong to this one.
    pub(crate) fn workspaces(&self) -> &[String] {
        match &self.workspaces {
            None => &[],
            Some(Workspaces::List(patterns) | Workspaces::Table { packages: patterns }) => patterns,
        }
    }
}
