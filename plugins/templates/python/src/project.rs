//! What `requirements.txt` and `pyproject.toml` say, as far as a plan depends on it.

use std::collections::BTreeMap;

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;
use serde::Deserialize;

/// An application's dependencies and what it says about itself.
#[derive(Debug, Default)]
pub(crate) struct Project {
    /// Requirement lines of both files, without comments.
    requirements: Vec<String>,
    /// Whether `requirements.txt` refers to other files.
    pub(crate) requirements_refer: bool,
    /// Whether `pyproject.toml` describes something that pip can install.
    pub(crate) installable: bool,
    /// The range of Python versions.
    pub(crate) requires_python: Option<String>,
}

/// The part of `pyproject.toml` that is read. Unknown fields are the application's own business.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PyProject {
    project: Option<Metadata>,
    tool: Tool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    requires_python: Option<String>,
    dependencies: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tool {
    poetry: Option<Poetry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Poetry {
    dependencies: BTreeMap<String, toml::Value>,
}

impl Project {
    /// Reads both files; what is absent says nothing.
    ///
    /// # Errors
    ///
    /// Invalid input when `pyproject.toml` is not what it should be.
    pub(crate) fn read(source: &Source) -> Result<Self, PluginError> {
        let mut project = Self::default();
        for line in source.text("requirements.txt")?.unwrap_or_default().lines().map(str::trim) {
            let option = line.starts_with('-') && !line.starts_with("--hash");
            let refers = ["-r", "-c", "-e", "--requirement", "--constraint", "--editable", ".", "/", "file:"];
            project.requirements_refer |= refers.iter().any(|mark| line.starts_with(mark)) || line.contains("@ file:");
            if !line.is_empty() && !line.starts_with('#') && !option {
                project.requirements.push(line.to_owned());
            }
        }
        let Some(text) = source.text("pyproject.toml")? else {
            return Ok(project);
        };
        let file: PyProject = toml::from_str(text).map_err(|error| {
            PluginError::invalid_input("pyproject.toml", format!("pyproject.toml cannot be read: {}", error.message()))
        })?;
        project.installable = file.project.is_some() || file.tool.poetry.is_some();
        if let Some(metadata) = file.project {
            project.requirements.extend(metadata.dependencies);
            project.requires_python = metadata.requires_python;
        }
        if let Some(poetry) = file.tool.poetry {
            let python = poetry.dependencies.get("python").and_then(toml::Value::as_str).map(str::to_owned);
            project.requires_python = project.requires_python.or(python);
            project.requirements.extend(poetry.dependencies.into_keys());
        }
        Ok(project)
    }

    /// The framework it depends on, where this template knows it.
    pub(crate) fn framework(&self) -> Option<&'static str> {
        crate::FRAMEWORKS.into_iter().find(|framework| self.depends_on(framework))
    }

    /// Whether a package is among its direct dependencies.
    pub(crate) fn depends_on(&self, package: &str) -> bool {
        self.requirement(package).is_some()
    }

    /// Whether uvicorn comes with what is installed.
    pub(crate) fn has_uvicorn(&self) -> bool {
        let bundled = |line: &str| line.contains("standard") || line.contains("all");
        self.depends_on("uvicorn")
            || self.requirement("fastapi").and_then(|line| line.split(['[', ']']).nth(1)).is_some_and(bundled)
    }

    fn requirement(&self, package: &str) -> Option<&str> {
        let name = |line: &str| {
            let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(line.len());
            line.split_at(end).0.to_ascii_lowercase().replace('_', "-")
        };
        self.requirements.iter().map(String::as_str).find(|line| name(line) == package)
    }
}
