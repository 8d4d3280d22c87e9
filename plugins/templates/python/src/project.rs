//! What `requirements.txt`, `pyproject.toml` and `Pipfile` say, as far as a plan depends on it.

use std::collections::BTreeMap;

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;
use serde::Deserialize;

use crate::place::text_or_empty;

/// Files of requirements, by the names people give the one that is for production.
pub(crate) const REQUIREMENTS: [&str; 5] = [
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
    "requirements/requirements.txt",
];

/// How many files of requirements are followed, so that a circle ends.
const REFERENCES: usize = 16;

/// An application's dependencies and what it says about itself.
#[derive(Debug, Default)]
pub(crate) struct Project {
    /// Requirement lines of all files, without comments.
    requirements: Vec<String>,
    /// Lines of `requirements.txt` that are options to pip.
    options: Vec<String>,
    /// The file of requirements, where there is one.
    pub(crate) requirements_file: Option<&'static str>,
    /// Whether it refers to other files.
    pub(crate) requirements_refer: bool,
    /// What `pyproject.toml` says; none where it describes no project.
    pub(crate) package: Option<Package>,
    /// The range of Python versions, and the field that gives it.
    pub(crate) requires_python: Option<(String, &'static str)>,
}

/// A project that `pyproject.toml` describes.
#[derive(Debug, Default)]
pub(crate) struct Package {
    /// Its name, as an import name.
    pub(crate) name: String,
    /// `project.dependencies`, where pip can be given them without building the project.
    pub(crate) dependencies: Option<Vec<String>>,
    /// Whether it says how it is built, so that installing it means something.
    pub(crate) builds: bool,
    /// Whether it is written for Poetry.
    pub(crate) poetry: bool,
    /// Whether Poetry is told that the project is not a package, or where its packages are.
    pub(crate) poetry_package: Option<bool>,
    /// What uv or PDM is told about installing the project; none where nothing is said.
    pub(crate) is_package: Option<bool>,
    /// Whether uv is to take packages from folders of the source.
    pub(crate) uv_uses_folders: bool,
}

/// The part of `pyproject.toml` that is read. Unknown fields are the application's own business.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct PyProject {
    project: Option<Metadata>,
    build_system: Option<toml::Table>,
    tool: Tool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    name: String,
    requires_python: Option<String>,
    dependencies: Vec<String>,
    dynamic: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tool {
    poetry: Option<Poetry>,
    uv: Uv,
    pdm: Pdm,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Poetry {
    name: String,
    package_mode: Option<bool>,
    packages: Option<toml::Value>,
    dependencies: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Uv {
    package: Option<bool>,
    workspace: Option<toml::Table>,
    sources: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pdm {
    distribution: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pipfile {
    packages: BTreeMap<String, toml::Value>,
    requires: BTreeMap<String, toml::Value>,
}

impl Project {
    /// Reads the files; what is absent says nothing.
    ///
    /// # Errors
    ///
    /// Invalid input when a file is not what it should be.
    pub(crate) fn read(source: &Source) -> Result<Self, PluginError> {
        let requirements_file = REQUIREMENTS.into_iter().find(|path| source.has(path));
        let mut project = Self { requirements_file, ..Self::default() };
        let mut files: Vec<String> = project.requirements_file.iter().map(|path| (*path).to_owned()).collect();
        let mut at = 0;
        while let Some(path) = files.get(at).filter(|_| at < REFERENCES).cloned() {
            // The first one is what is installed; the others tell a framework and may be anywhere.
            let text = if at == 0 { source.text(&path)?.unwrap_or_default() } else { text_or_empty(source, &path) };
            project.read_requirements(text);
            for other in text.lines().filter_map(|line| referred(&path, line)) {
                if !files.contains(&other) {
                    files.push(other);
                }
            }
            at += 1;
        }
        if let Some(text) = source.text("pyproject.toml")? {
            project.read_pyproject(parse("pyproject.toml", text)?);
        }
        if let Some(text) = source.text("Pipfile")? {
            project.read_pipfile(parse("Pipfile", text)?);
        }
        Ok(project)
    }

    fn read_requirements(&mut self, text: &str) {
        for line in text.lines().map(str::trim) {
            let option = line.starts_with('-') && !line.starts_with("--hash");
            let refers = ["-r", "-c", "-e", "--requirement", "--constraint", "--editable", ".", "/", "file:"];
            self.requirements_refer |= refers.iter().any(|mark| line.starts_with(mark)) || line.contains("@ file:");
            if option {
                self.options.push(line.to_owned());
            } else if !line.is_empty() && !line.starts_with('#') {
                self.requirements.push(line.to_owned());
            }
        }
    }

    fn read_pyproject(&mut self, file: PyProject) {
        if file.project.is_none() && file.tool.poetry.is_none() {
            return;
        }
        let mut package = Package {
            builds: file.build_system.is_some(),
            is_package: file.tool.uv.package.or(file.tool.pdm.distribution),
            uv_uses_folders: file.tool.uv.workspace.is_some()
                || file.tool.uv.sources.values().any(|source| source.get("path").is_some()),
            ..Package::default()
        };
        if let Some(metadata) = file.project {
            package.name = import_name(&metadata.name);
            self.requirements.extend(metadata.dependencies.iter().cloned());
            self.requires_python =
                metadata.requires_python.map(|range| (range, "pyproject.toml:project.requires-python"));
            let known = !metadata.dynamic.iter().any(|field| field == "dependencies");
            // A line of a requirements file: what a line break or a dash in front would add is not a dependency.
            let plain = |line: &String| !line.trim_start().starts_with('-') && !line.contains(char::is_control);
            package.dependencies = (known && metadata.dependencies.iter().all(plain)).then_some(metadata.dependencies);
        }
        if let Some(poetry) = file.tool.poetry {
            package.poetry = !poetry.name.is_empty() || !poetry.dependencies.is_empty();
            if package.name.is_empty() {
                package.name = import_name(&poetry.name);
            }
            package.poetry_package = poetry.package_mode.filter(|mode| !mode).or(poetry.packages.map(|_| true));
            let python = poetry.dependencies.get("python").and_then(toml::Value::as_str);
            if let (None, Some(range)) = (&self.requires_python, python) {
                self.requires_python = Some((range.to_owned(), "pyproject.toml:tool.poetry.dependencies.python"));
            }
            self.requirements.extend(poetry.dependencies.iter().map(|(name, value)| requirement(name, value)));
        }
        self.package = Some(package);
    }

    fn read_pipfile(&mut self, file: Pipfile) {
        self.requirements.extend(file.packages.iter().map(|(name, value)| requirement(name, value)));
        let version = ["python_full_version", "python_version"]
            .into_iter()
            .find_map(|field| file.requires.get(field).and_then(toml::Value::as_str));
        if let (None, Some(version)) = (&self.requires_python, version) {
            self.requires_python = Some((format!("=={version}"), "Pipfile:requires.python_version"));
        }
    }

    /// Whether a package is among its direct dependencies.
    pub(crate) fn depends_on(&self, package: &str) -> bool {
        self.requirement(package).is_some()
    }

    /// Whether a dependency is asked for with this extra: `psycopg[binary]`.
    pub(crate) fn has_extra(&self, package: &str, extra: &str) -> bool {
        let extras = self.requirement(package).and_then(|line| line.split(['[', ']']).nth(1));
        extras.is_some_and(|extras| extras.split(',').any(|known| known.trim() == extra))
    }

    /// Whether uvicorn comes with what is installed.
    pub(crate) fn has_uvicorn(&self) -> bool {
        self.depends_on("uvicorn") || self.has_extra("fastapi", "standard") || self.has_extra("fastapi", "all")
    }

    /// Whether pip is told to build this package from its source.
    pub(crate) fn is_built_from_source(&self, package: &str) -> bool {
        self.options.iter().any(|line| {
            let mut words = line.split(['=', ' ', ',']).filter(|word| !word.is_empty());
            words.next() == Some("--no-binary") && words.any(|word| word == ":all:" || word == package)
        })
    }

    /// Whether a dependency is fetched with git.
    pub(crate) fn uses_git(&self) -> bool {
        self.requirements.iter().chain(&self.options).any(|line| line.contains("git+"))
    }

    fn requirement(&self, package: &str) -> Option<&str> {
        let name = |line: &str| {
            let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(line.len());
            line.split_at(end).0.to_ascii_lowercase().replace(['_', '.'], "-")
        };
        self.requirements.iter().map(String::as_str).find(|line| name(line) == package)
    }
}

/// The file of requirements that a line of another one refers to.
fn referred(path: &str, line: &str) -> Option<String> {
    let line = line.trim();
    let other = line.strip_prefix("--requirement").or_else(|| line.strip_prefix("-r"))?;
    let other = other.trim_start_matches(['=', ' ']).trim_start_matches("./");
    let mut folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut other = other.split(" #").next()?.trim();
    while let Some(rest) = other.strip_prefix("../") {
        folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
        other = rest;
    }
    Some(if folder.is_empty() { other.to_owned() } else { format!("{folder}/{other}") })
}

fn parse<T: for<'de> Deserialize<'de>>(file: &str, text: &str) -> Result<T, PluginError> {
    toml::from_str(text).map_err(|error| {
        PluginError::invalid_input(file, format!("{file} cannot be read: {}; correct it", error.message()))
    })
}

/// A dependency of a table as a requirement line: its name, its extras, and where git has it.
fn requirement(name: &str, value: &toml::Value) -> String {
    let extras = value.get("extras").and_then(toml::Value::as_array);
    let extras: Vec<&str> = extras.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    let git = value.get("git").and_then(toml::Value::as_str).map(|url| format!(" @ git+{url}"));
    let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
    format!("{name}{extras}{}", git.unwrap_or_default())
}

/// The name under which a project is imported, if it follows the custom.
fn import_name(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '.'], "_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use convergence_plugin_api::template::Request;

    use super::*;

    fn project(path: &str, text: &str) -> Project {
        Project::read(&Request::application("demo", [(path, text)]).source.unwrap()).unwrap()
    }

    #[test]
    fn requirements_are_read_with_their_extras_and_options() {
        let read = project("requirements.txt", "--no-binary lxml\nlxml\nPsycopg[binary, pool]==3\nruamel.yaml\n");
        assert!(read.is_built_from_source("lxml") && !read.is_built_from_source("pillow"));
        assert!(read.has_extra("psycopg", "binary") && !read.has_extra("psycopg", "c"));
        assert!(read.depends_on("ruamel-yaml") && !read.requirements_refer);
    }

    #[test]
    fn requirements_are_followed_to_other_files() {
        let files = [
            ("requirements/base.txt", "-r production.txt\ndjango\n"),
            ("requirements/production.txt", "-r ./base.txt  # shared\n-r ../extra.txt\ngunicorn\n"),
            ("extra.txt", "redis\n"),
        ];
        let read = Project::read(&Request::application("demo", files).source.unwrap()).unwrap();
        assert_eq!(read.requirements_file, Some("requirements/production.txt"));
        assert!(read.requirements_refer && ["django", "gunicorn", "redis"].iter().all(|name| read.depends_on(name)));
    }

    #[test]
    fn dependencies_of_tables_are_read_like_lines() {
        let poetry = "[tool.poetry.dependencies]\npython='^3.11'\nx={git='https://a/b'}\nfastapi={extras=['all']}\n";
        let read = project("pyproject.toml", poetry);
        assert!(read.uses_git() && read.has_uvicorn() && read.package.unwrap().poetry);
        let read = project("Pipfile", "[packages]\nflask='*'\n[requires]\npython_version='3.11'\n");
        assert!(read.depends_on("flask"));
        assert_eq!(read.requires_python.unwrap().0, "==3.11");
    }

    #[test]
    fn a_file_of_settings_for_tools_describes_no_project() {
        assert!(project("pyproject.toml", "[tool.ruff]\nline-length=100\n").package.is_none());
        let dynamic = "[project]\nname='x'\ndynamic=['dependencies']\n";
        assert_eq!(project("pyproject.toml", dynamic).package.unwrap().dependencies, None);
    }
}
