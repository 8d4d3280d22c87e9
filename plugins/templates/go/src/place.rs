//! Which of the source's modules is the application: the one at the root, or the only one in a sub-folder.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;

/// Folders whose modules are tools, samples or copies and not the application.
const NOT_APPLICATIONS: [&str; 8] =
    ["docs", "example", "examples", "node_modules", "testdata", "third_party", "tools", "vendor"];

/// How deep below the root a module is looked for.
pub(crate) const DEPTH: usize = 2;

/// The folder of the application's module; empty for the root. None where the source has no module.
///
/// # Errors
///
/// Invalid input when several sub-folders hold a module and the root does not.
pub(crate) fn find(source: &Source) -> Result<Option<String>, PluginError> {
    if source.has("go.mod") {
        return Ok(Some(String::new()));
    }
    let is_other = |part: &str| part.starts_with(['.', '_']) || NOT_APPLICATIONS.contains(&part);
    let folders: Vec<&str> = source
        .paths
        .iter()
        .filter_map(|path| path.strip_suffix("/go.mod"))
        .filter(|folder| folder.split('/').count() <= DEPTH && !folder.split('/').any(is_other))
        .collect();
    match folders.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some((*only).to_owned())),
        several => Err(PluginError::invalid_input(
            "go.mod",
            format!(
                "the root has no go.mod and several folders do ({}); deploy each as its own tenant, with its folder as \
                 the source, or put the go.mod of the application at the root",
                several.join(", ")
            ),
        )),
    }
}

/// A path in a folder, which is empty for the root.
pub(crate) fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}
