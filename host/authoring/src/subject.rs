//! What an author's commands look at: a component, built first where it is a project's, and its cases.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use convergence_plugin::Case;
use convergence_sandbox::{Component, LoadError, Sandbox, SandboxConfig};
use serde::Serialize;

use crate::build::{BuildError, build};
use crate::native;
use crate::project::{Project, ProjectError};

/// The folder of cases beside a component that is nobody's project.
const CASES: &str = "cases";

/// A component's file, and where its cases are.
#[derive(Debug, Clone)]
pub struct Subject {
    file: PathBuf,
    cases: PathBuf,
}

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// Neither a component's file nor a project.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The project does not build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A file or folder that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The component is not accepted.
    #[error("{} is no plugin that a server would take: {}; `convergence plugin check` says all", file.display(), reasons.join("; "))]
    NoPlugin {
        /// The component.
        file: PathBuf,
        /// Why not.
        reasons: Vec<String>,
    },
    /// There is nothing to run it on.
    #[error(
        "there is no case in {}; a case is a JSON file such as {{\"name\": \"what it shows\", \"config\": {{}}, \"input\": {{…}}, \"expect\": {{…}}}}",
        .0.display()
    )]
    NoCases(PathBuf),
    /// A file that holds no case.
    #[error("{} is no case: {reason}", file.display())]
    BadCase {
        /// The file.
        file: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// This machine cannot run guests.
    #[error("{0}")]
    Sandbox(#[from] convergence_sandbox::SandboxError),
}

/// What a component says that it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// `template`, `policy`, …
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
}

impl Identity {
    pub(crate) fn of(component: &Component) -> Self {
        let description = component.description();
        Self { kind: component.kind().as_str(), id: description.id.clone(), version: description.version.to_string() }
    }
}

impl Subject {
    /// A project's folder, which is built; or a component's file, with its cases in `cases/` beside it. Blocks while a
    /// toolchain runs, for seconds or minutes.
    ///
    /// # Errors
    ///
    /// It is neither, or does not build.
    pub fn prepare(place: &Path) -> Result<Self, SubjectError> {
        if place.is_file() {
            let cases = place.parent().unwrap_or(Path::new("")).join(CASES);
            return Ok(Self { file: place.to_owned(), cases });
        }
        let project = Project::open(place)?;
        Ok(Self { file: build(&project)?, cases: project.cases() })
    }

    /// The same component with the cases of another folder.
    #[must_use]
    pub fn with_cases(self, cases: PathBuf) -> Self {
        Self { cases, ..self }
    }

    /// The component's file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What it says that it is. Blocks while it is compiled.
    ///
    /// # Errors
    ///
    /// No server would take it.
    pub fn identity(&self) -> Result<Identity, SubjectError> {
        self.load().map(|component| Identity::of(&component))
    }

    pub(crate) fn read(&self) -> Result<Vec<u8>, SubjectError> {
        read(&self.file)
    }

    /// Loads it under the limits that a server has unless told otherwise. Blocks while it is compiled.
    pub(crate) fn load(&self) -> Result<Component, SubjectError> {
        let sandbox = sandbox()?;
        let no_plugin = |problems: Vec<LoadError>| SubjectError::NoPlugin {
            file: self.file.clone(),
            reasons: problems.iter().map(ToString::to_string).collect(),
        };
        sandbox.load_for_author(&self.read()?).map_err(no_plugin)
    }

    /// The cases of its folder, in the order of their files' names. A case without a name has its file's.
    pub(crate) fn cases(&self) -> Result<Vec<(PathBuf, Case)>, SubjectError> {
        let unreadable = |source| SubjectError::Files { path: self.cases.clone(), source };
        let mut files = match fs::read_dir(&self.cases) {
            Ok(entries) => entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<Vec<PathBuf>>>()
                .map_err(unreadable)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable(error)),
        };
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        if files.is_empty() {
            return Err(SubjectError::NoCases(self.cases.clone()));
        }
        files.into_iter().map(|file| case(&file).map(|case| (file, case))).collect()
    }
}

/// Where components are looked at.
pub(crate) fn sandbox() -> Result<Sandbox, SubjectError> {
    // A cache that cannot be used is none.
    Ok(Sandbox::new(native::config()).or_else(|_| Sandbox::new(SandboxConfig::default()))?)
}

fn case(file: &Path) -> Result<Case, SubjectError> {
    let mut case: Case = serde_json::from_slice(&read(file)?)
        .map_err(|error| SubjectError::BadCase { file: file.to_owned(), reason: error.to_string() })?;
    if case.name.is_empty() {
        case.name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    }
    Ok(case)
}

fn read(path: &Path) -> Result<Vec<u8>, SubjectError> {
    fs::read(path).map_err(|source| SubjectError::Files { path: path.to_owned(), source })
}
