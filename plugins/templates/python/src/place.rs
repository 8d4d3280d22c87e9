//! Where in the source the application is: at its root, or in the only sub-folder that holds one.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{File, Source};

/// Files that only the root of a Python application has, with how sure each one makes us.
pub(crate) const MARKS: [(&str, u8); 5] =
    [("pyproject.toml", 95), ("requirements.txt", 90), ("Pipfile", 90), ("setup.py", 90), ("manage.py", 80)];

/// Files that a root may have and that make a sub-folder nothing special.
const WEAK_MARKS: [(&str, u8); 4] = [("main.py", 60), ("app.py", 60), ("streamlit_app.py", 60), ("server.py", 40)];

/// How sure a sub-folder makes us: the root may belong to another language.
const IN_FOLDER: u8 = 50;

/// Folders that list Python packages without being the application.
const NOT_APPLICATIONS: [&str; 9] =
    ["doc", "docs", "example", "examples", "node_modules", "site-packages", "test", "tests", "vendor"];

/// How deep below the root an application is looked for.
pub(crate) const DEPTH: usize = 2;

/// The application's files as seen from its own folder.
#[derive(Debug)]
pub(crate) struct Place {
    /// The files, with paths relative to the folder.
    pub(crate) source: Source,
    /// The folder; none for the root.
    pub(crate) folder: Option<String>,
    /// The file it was recognized by, where there is one, and how sure that makes us.
    pub(crate) mark: Option<(&'static str, u8)>,
}

impl Place {
    /// The root of no source at all, for a plan that brings its own files.
    pub(crate) fn nowhere() -> Self {
        Self { source: Source { paths: Vec::new(), files: Vec::new() }, folder: None, mark: None }
    }

    /// Finds the application.
    ///
    /// # Errors
    ///
    /// Invalid input when several sub-folders hold one and the root does not.
    pub(crate) fn find(source: &Source) -> Result<Self, PluginError> {
        let mark = MARKS.into_iter().chain(WEAK_MARKS).find(|(mark, _)| source.has(mark));
        if mark.is_some() {
            return Ok(Self { source: source.clone(), folder: None, mark });
        }
        match folders(source).as_slice() {
            [] => Ok(Self { source: source.clone(), folder: None, mark: None }),
            [(folder, mark)] => {
                Ok(Self { source: below(source, folder), folder: Some(folder.clone()), mark: Some((mark, IN_FOLDER)) })
            }
            several => {
                let names: Vec<String> = several.iter().map(|(folder, mark)| format!("{folder}/{mark}")).collect();
                Err(PluginError::invalid_input(
                    "source",
                    format!(
                        "the root holds no Python application and several folders do ({}); deploy each as its own \
                         tenant, with its folder as the source",
                        names.join(", ")
                    ),
                ))
            }
        }
    }

    /// Paths of the application as the request's source knows them.
    pub(crate) fn full(&self, path: &str) -> String {
        match (&self.folder, path) {
            (None, path) => path.to_owned(),
            (Some(folder), ".") => folder.clone(),
            (Some(folder), path) => format!("{folder}/{path}"),
        }
    }

    /// Makes an error about the application's files say in which folder they are.
    pub(crate) fn locate(&self, error: PluginError) -> PluginError {
        let Some(folder) = &self.folder else { return error };
        match error {
            PluginError::InvalidInput(mut errors) => {
                for error in &mut errors {
                    let file = error.path.split(':').next().unwrap_or_default();
                    // `framework` and `processes.web` are fields of the request, not files of the folder.
                    if !["framework", "processes.web"].contains(&file) {
                        error.path = format!("{folder}/{}", error.path);
                    }
                    error.message = format!("in the folder `{folder}`: {}", error.message);
                }
                PluginError::InvalidInput(errors)
            }
            PluginError::Unsupported(message) => {
                PluginError::unsupported(format!("in the folder `{folder}`: {message}"))
            }
            other => other,
        }
    }
}

/// Text of a file, or nothing where the source has no such file or the host did not hand it over. For files that are
/// only searched: a large one must not stop a deployment that does not depend on it.
pub(crate) fn text_or_empty<'a>(source: &'a Source, path: &str) -> &'a str {
    source
        .files
        .iter()
        .find(|file| file.path == path)
        .and_then(|file| std::str::from_utf8(&file.contents).ok())
        .unwrap_or_default()
}

/// The outermost sub-folders with a mark, each with the first of its marks.
fn folders(source: &Source) -> Vec<(String, &'static str)> {
    let mut found: Vec<(String, &'static str)> = Vec::new();
    for (mark, _) in MARKS {
        for path in &source.paths {
            let Some(folder) = path.strip_suffix(mark).and_then(|rest| rest.strip_suffix('/')) else { continue };
            let mut parts = folder.split('/');
            let other = |part: &str| part.starts_with('.') || NOT_APPLICATIONS.contains(&part);
            if folder.split('/').count() <= DEPTH
                && !parts.any(other)
                && !found.iter().any(|(known, _)| known == folder)
            {
                found.push((folder.to_owned(), mark));
            }
        }
    }
    found.sort();
    let all = found.clone();
    found.retain(|(folder, _)| {
        !all.iter().any(|(other, _)| folder.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/')))
    });
    found
}

/// The files in a folder, with paths relative to it.
fn below(source: &Source, folder: &str) -> Source {
    let relative = |path: &str| path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
    let files = source.files.iter().filter_map(|file| Some(File { path: relative(&file.path)?, ..file.clone() }));
    Source { paths: source.paths.iter().filter_map(|path| relative(path)).collect(), files: files.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(paths: &[&str]) -> Source {
        Source { paths: paths.iter().map(|path| (*path).to_owned()).collect(), files: Vec::new() }
    }

    #[test]
    fn the_root_comes_first() -> Result<(), PluginError> {
        let place = Place::find(&source(&["api/requirements.txt", "requirements.txt"]))?;
        assert_eq!((place.folder, place.mark), (None, Some(("requirements.txt", 90))));
        assert_eq!(Place::find(&source(&["README.md"]))?.mark, None);
        Ok(())
    }

    #[test]
    fn the_only_folder_is_taken() -> Result<(), PluginError> {
        let paths = ["docs/requirements.txt", "services/api/Pipfile", "services/api/main.py", "web/package.json"];
        let place = Place::find(&source(&paths))?;
        assert_eq!(place.folder.as_deref(), Some("services/api"));
        assert_eq!(place.source.paths, ["Pipfile", "main.py"]);
        assert_eq!((place.full("."), place.full("Pipfile")), ("services/api".into(), "services/api/Pipfile".into()));
        Ok(())
    }

    #[test]
    fn a_folder_within_an_application_is_part_of_it() -> Result<(), PluginError> {
        let place = Place::find(&source(&["api/plugins/setup.py", "api/pyproject.toml"]))?;
        assert_eq!(place.folder.as_deref(), Some("api"));
        Ok(())
    }

    #[test]
    fn several_folders_are_refused_by_name() {
        let Err(PluginError::InvalidInput(errors)) = Place::find(&source(&["a/Pipfile", "b/setup.py"])) else {
            panic!("one of two applications was chosen");
        };
        assert!(errors.iter().all(|error| error.message.contains("a/Pipfile, b/setup.py")), "{errors:?}");
    }
}
