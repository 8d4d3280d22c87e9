//! Where in the source the application is: at the root, in the only folder with a package, or in a workspace.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{Request, Source};

use crate::framework;
use crate::package::Package;

/// How many folders deep packages are looked for. The patterns of `wants` go as deep.
pub(crate) const DEPTH: usize = 3;

/// Where the application is.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The folder of the source that is installed, with the lock file: empty, or such as `backend`.
    pub(crate) root: String,
    /// The folder of the application's package in `root`: empty, or such as `apps/web` in a workspace.
    pub(crate) folder: String,
    /// The application's own package.
    pub(crate) package: Package,
    /// The package of the workspace, where that is another one.
    pub(crate) workspace: Option<Package>,
    /// Whether `root` holds several packages that are installed together.
    pub(crate) has_members: bool,
    /// What was decided, human-readable.
    pub(crate) note: Option<String>,
}

impl Layout {
    /// A path of the source below `root`.
    pub(crate) fn in_root(&self, path: &str) -> String {
        join(&self.root, path)
    }

    /// A path of the source in the application's own package.
    pub(crate) fn in_package(&self, path: &str) -> String {
        join(&self.root, &join(&self.folder, path))
    }

    /// The container path of a file of the application's own package; its folder for an empty path.
    pub(crate) fn in_container(&self, path: &str) -> String {
        join("/app", &join(&self.folder, path))
    }

    /// The package that is installed: the workspace's, else the application's own.
    pub(crate) fn installed(&self) -> &Package {
        self.workspace.as_ref().unwrap_or(&self.package)
    }

    fn alone(root: &str, package: Package) -> Self {
        Self { root: root.to_owned(), folder: String::new(), package, workspace: None, has_members: false, note: None }
    }
}

/// `a/b`, where either may be empty.
fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}

/// Finds the application.
///
/// # Errors
///
/// Invalid input when there is none, when there are several, or when a `package.json` cannot be read.
pub(crate) fn find(request: &Request, source: &Source) -> Result<Layout, PluginError> {
    match Package::read(source, "package.json")? {
        Some(package) => in_root(request, source, package),
        None => in_folder(source),
    }
}

/// The root has no package: the only folder that has one.
fn in_folder(source: &Source) -> Result<Layout, PluginError> {
    let mut folders = folders(source);
    // A package below another one is part of it.
    let all = folders.clone();
    folders.retain(|folder| !all.iter().any(|other| is_below(folder, other)));
    let folder = match folders.as_slice() {
        [only] => *only,
        [] => {
            return Err(PluginError::invalid_input(
                "package.json",
                "the source has no package.json; add one with `npm init`",
            ));
        }
        several => {
            return Err(PluginError::invalid_input(
                "package.json",
                format!(
                    "the source has no package.json at its root and several below it ({}); deploy one of these folders, \
                     or add a package.json with `workspaces` and a `start` script at the root",
                    several.join(", ")
                ),
            ));
        }
    };
    let folder = usable(folder)?;
    let path = format!("{folder}/package.json");
    let Some(package) = Package::read(source, &path)? else {
        return Err(PluginError::invalid_input(&path, format!("`{path}` could not be read")));
    };
    let note = Some(format!("The application is in `{folder}`: {path} is the only package.json of the source."));
    Ok(Layout { note, ..Layout::alone(folder, package) })
}

/// The root has a package: that one, or one of its workspace.
fn in_root(request: &Request, source: &Source, root: Package) -> Result<Layout, PluginError> {
    let (place, patterns) = match source.text("pnpm-workspace.yaml")? {
        Some(text) if root.workspaces().is_empty() => ("pnpm-workspace.yaml", packages_of_yaml(text)),
        _ => ("package.json:workspaces", root.workspaces().to_vec()),
    };
    let is_web = request.processes.iter().any(|process| process.key == "web");
    if patterns.is_empty() || is_web || root.has_script("start") {
        return Ok(Layout { has_members: !patterns.is_empty(), ..Layout::alone("", root) });
    }
    let mut members = Vec::new();
    for folder in folders(source).into_iter().filter(|folder| is_member(&patterns, folder)) {
        if let Some(package) = Package::read(source, &format!("{folder}/package.json"))?
            && request.framework.as_deref().is_none_or(|name| framework::all(&package).any(|known| known == name))
        {
            members.push((folder, package));
        }
    }
    let what = if members.iter().any(|(_, package)| package.has_script("start")) {
        members.retain(|(_, package)| package.has_script("start"));
        "a `start` script"
    } else {
        members.retain(|(_, package)| framework::all(package).next().is_some());
        "a framework that this template knows"
    };
    let names = members.iter().map(|(folder, _)| *folder).collect::<Vec<_>>().join(", ");
    let mut members = members.into_iter();
    match (members.next(), members.next()) {
        (None, _) => Ok(Layout { has_members: true, ..Layout::alone("", root) }),
        (Some((folder, package)), None) => Ok(Layout {
            root: String::new(),
            folder: usable(folder)?.to_owned(),
            package,
            workspace: Some(root),
            has_members: true,
            note: Some(format!("The application is in `{folder}`: of the packages of {place} it alone has {what}.")),
        }),
        (Some(_), Some(_)) => Err(PluginError::invalid_input(
            place,
            format!(
                "several packages of the workspace have {what} ({names}); add a `start` script to package.json at the \
                 root that starts the one to run"
            ),
        )),
    }
}

/// Whether a package of the application has scripts that run when it is installed. One that cannot be read may have.
pub(crate) fn has_install_scripts(source: &Source, layout: &Layout) -> bool {
    let members = folders(source).into_iter().filter(|_| layout.has_members);
    layout.installed().has_install_scripts()
        || layout.package.has_install_scripts()
        || members.into_iter().any(|folder| match Package::read(source, &format!("{folder}/package.json")) {
            Ok(package) => package.is_some_and(|package| package.has_install_scripts()),
            Err(_) => true,
        })
}

/// Folders below the root that have a package, in byte order.
fn folders(source: &Source) -> Vec<&str> {
    let is_own = |folder: &&str| {
        folder.split('/').count() <= DEPTH
            && folder.split('/').all(|part| part != "node_modules" && !part.starts_with('.'))
    };
    source.paths.iter().filter_map(|path| path.strip_suffix("/package.json")).filter(is_own).collect()
}

fn is_below(folder: &str, other: &str) -> bool {
    folder.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
}

/// A plan cannot name every folder.
fn usable(folder: &str) -> Result<&str, PluginError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-/".contains(c);
    if folder.chars().all(allowed) {
        return Ok(folder);
    }
    Err(PluginError::invalid_input(
        folder,
        format!("the application is in `{folder}`; rename the folder so that it has letters, digits and `._@+-` only"),
    ))
}

/// Whether the patterns of a workspace take in a folder. One that begins with `!` excludes.
fn is_member(patterns: &[String], folder: &str) -> bool {
    let matches = |pattern: &str| {
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        let pattern: Vec<&str> = pattern.split('/').collect();
        matches_parts(&pattern, &folder.split('/').collect::<Vec<_>>())
    };
    let excluded = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(matches);
    !excluded && patterns.iter().any(|pattern| !pattern.starts_with('!') && matches(pattern))
}

fn matches_parts(pattern: &[&str], parts: &[&str]) -> bool {
    match (pattern.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), None) => matches_parts(rest, parts),
        (Some((&"**", rest)), Some((_, tail))) => matches_parts(rest, parts) || matches_parts(pattern, tail),
        (Some((part, rest)), Some((name, tail))) => matches_part(part, name) && matches_parts(rest, tail),
        _ => false,
    }
}

/// One component, in which each `*` stands for any characters.
fn matches_part(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .filter_map(|at| rest.get(at..))
                .any(|tail| matches_part(after, tail))
        }),
    }
}

/// The list `packages` of pnpm-workspace.yaml, which is all of YAML that is needed of it.
fn packages_of_yaml(text: &str) -> Vec<String> {
    let unquoted = |item: &str| item.trim().trim_matches(['\'', '"']).to_owned();
    let mut packages = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim_end();
        if let Some(rest) = line.strip_prefix("packages:") {
            is_inside = true;
            let items = rest.trim().trim_start_matches('[').trim_end_matches(']');
            packages.extend(items.split(',').map(unquoted).filter(|item| !item.is_empty()));
        } else if let Some(item) = line.trim_start().strip_prefix("- ") {
            if is_inside {
                packages.push(unquoted(item));
            }
        } else if !line.is_empty() && !line.starts_with([' ', '#']) {
            is_inside = false;
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_workspaces() {
        let is = |pattern: &str, folder: &str| is_member(&[pattern.to_owned()], folder);
        assert!(is("packages/*", "packages/a") && is("./apps/web/", "apps/web") && is("apps/**", "apps/a/b"));
        assert!(is("**", "a") && is("packages/app-*", "packages/app-one") && is("*", "web"));
        assert!(
            !is("packages/*", "packages/a/b") && !is("packages/*", "apps/a") && !is("packages/app-*", "packages/b")
        );
        assert!(!is_member(&["apps/*".to_owned(), "!apps/old".to_owned()], "apps/old"));
    }

    #[test]
    fn packages_of_pnpm() {
        let text = "packages:\n  - 'apps/*' # the programs\n  - \"libs/*\"\ncatalog:\n  - no\n";
        assert_eq!(packages_of_yaml(text), ["apps/*", "libs/*"]);
        assert_eq!(packages_of_yaml("packages: [\"a\", 'b/*']\n"), ["a", "b/*"]);
        assert_eq!(packages_of_yaml("onlyBuiltDependencies:\n- esbuild\n"), [""; 0]);
    }
}
