//! What an application says of itself: in its `Procfile`, and in its `convergence.toml`, which is the stronger one.

use std::collections::BTreeMap;
use std::io;

use convergence_model::plan::Attribute;
use convergence_model::{EnvName, Violation};
use convergence_source::KeptSource;
use schemars::JsonSchema;
use serde::Deserialize;

/// The file of ours.
const TOML: &str = "convergence.toml";
/// The file of Heroku's, which others read as well: `name: command` on each line.
const PROCFILE: &str = "Procfile";
/// Processes and build arguments of one application.
const ENTRIES_MAX: usize = 64;

/// What an application says of itself. What it does not say is absent or empty.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "convergence.toml")]
pub(crate) struct Manifest {
    /// The language it is in: one that `GET /api/v1/templates` lists, or `dockerfile`.
    pub(crate) language: Option<String>,
    /// The framework it uses.
    pub(crate) framework: Option<String>,
    /// Command lines by the name of the process; `web` is the one that runs.
    pub(crate) processes: BTreeMap<String, String>,
    /// How it answers.
    pub(crate) service: ServiceTable,
    /// How it is built.
    pub(crate) build: Build,
}

/// How an application answers.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServiceTable {
    /// The port it listens on, whatever `PORT` is; from 1024 where a template builds it.
    #[schemars(range(min = 1))]
    pub(crate) port: Option<u16>,
    /// The path that answers 2xx once it is ready.
    #[schemars(length(max = 255), regex(pattern = "^/(?!/)"))]
    pub(crate) health: Option<String>,
}

/// How an application is built.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Build {
    /// Variables of the build. They can be read from the image.
    pub(crate) args: BTreeMap<String, String>,
    /// The path of its own Dockerfile.
    pub(crate) dockerfile: Option<String>,
}

/// Why it is not taken.
#[derive(Debug)]
pub(crate) enum ManifestError {
    /// A file is not as it has to be.
    Wrong(Violation),
    /// The source cannot be read.
    Unreadable(io::Error),
}

/// The JSON Schema (draft 2020-12) of `convergence.toml`, for editors and checks before a deployment.
pub fn manifest_schema() -> serde_json::Value {
    schemars::schema_for!(Manifest).to_value()
}

impl Manifest {
    /// Reads both files; absent ones say nothing. Blocks on the disk.
    ///
    /// # Errors
    /// A file is not as it has to be; the source cannot be read.
    pub(crate) fn read(source: &KeptSource) -> Result<Self, ManifestError> {
        let text = |path| source.text(path).map_err(ManifestError::Unreadable);
        let mut manifest = match text(TOML)? {
            Some(text) => Self::of_toml(&text)?,
            None if source.has_file(TOML) => return Err(wrong(TOML, "it is too large or not UTF-8".to_owned())),
            None => Self::default(),
        };
        if let Some(text) = text(PROCFILE)? {
            for (name, command) in processes(&text)? {
                manifest.processes.entry(name).or_insert(command);
            }
        }
        if let Some(name) = manifest.build.args.keys().find(|name| !is_argument(name)) {
            let message = format!(
                "{name:?} in [build.args] cannot be the name of an argument; use letters, digits and '_', and \
                                   not BUILDKIT_ at its beginning, which is the builder's own"
            );
            return Err(wrong(TOML, message));
        }
        let most = manifest.processes.len().max(manifest.build.args.len());
        if most > ENTRIES_MAX {
            return Err(wrong(TOML, format!("it has {most} entries in one table; at most {ENTRIES_MAX} are allowed")));
        }
        Ok(manifest)
    }

    fn of_toml(text: &str) -> Result<Self, ManifestError> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| 1 + text.get(..span.start).unwrap_or_default().matches('\n').count());
            let place = line.map_or_else(|| TOML.to_owned(), |line| format!("{TOML}:{line}"));
            wrong(
                &place,
                format!("{}; it may have `language`, `framework`, [processes], [service] and [build]", error.message()),
            )
        })
    }

    /// The processes, as a template is told.
    pub(crate) fn processes(&self) -> Vec<Attribute> {
        attributes(&self.processes)
    }

    /// The variables of the build, as a template is told.
    pub(crate) fn build_args(&self) -> Vec<Attribute> {
        attributes(&self.build.args)
    }
}

fn is_argument(name: &str) -> bool {
    EnvName::parse(name).is_ok() && !name.to_ascii_uppercase().starts_with("BUILDKIT_")
}

fn attributes(map: &BTreeMap<String, String>) -> Vec<Attribute> {
    map.iter().map(|(key, value)| Attribute { key: key.clone(), value: value.clone() }).collect()
}

fn processes(text: &str) -> Result<Vec<(String, String)>, ManifestError> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_name =
            |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        match line.split_once(':').map(|(name, command)| (name.trim(), command.trim())) {
            Some((name, command)) if is_name(&name) && !command.is_empty() => {
                found.push((name.to_owned(), command.to_owned()));
            }
            _ => {
                let message =
                    format!("{line:?} is no process; write `name: command`, for example `web: node server.js`");
                return Err(wrong(&format!("{PROCFILE}:{}", number + 1), message));
            }
        }
    }
    Ok(found)
}

fn wrong(place: &str, message: String) -> ManifestError {
    ManifestError::Wrong(Violation::deny(place, "bad-form", message))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_procfile_has_a_process_on_each_line() {
        let read = |text: &str| processes(text).map_err(|_| ());
        assert_eq!(
            read("# comment\nweb: node server.js --port $PORT\n\nworker:python  x.py\n"),
            Ok(vec![
                ("web".to_owned(), "node server.js --port $PORT".to_owned()),
                ("worker".to_owned(), "python  x.py".to_owned())
            ])
        );
        for bad in ["web", "web:", ": x", "a b: c"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_a_manifest_has_wrong_is_told_with_its_line() {
        let good = "language = \"node\"\n[processes]\nweb = \"npm start\"\n[build.args]\nMODE = \"x\"\n";
        let manifest = Manifest::of_toml(good).unwrap();
        assert_eq!(manifest.build_args(), [Attribute { key: "MODE".to_owned(), value: "x".to_owned() }]);
        let Err(ManifestError::Wrong(violation)) = Manifest::of_toml("language = \"node\"\nlangage = 1\n") else {
            panic!()
        };
        assert_eq!(violation.path, "convergence.toml:2");
        assert!(violation.message.contains("langage"), "{}", violation.message);
    }
}
