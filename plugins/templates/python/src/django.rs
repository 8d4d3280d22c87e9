//! Django: where `manage.py` is, which module is served, and whether static files are collected.

use convergence_plugin_api::template::{Request, Source};

use crate::place::text_or_empty;
use crate::project::Project;

/// Variables without which many settings cannot be loaded. The build gives them a value that is of no use to anyone.
const SECRET_KEYS: [&str; 2] = ["DJANGO_SECRET_KEY", "SECRET_KEY"];

/// What a secret key is while static files are collected.
const NO_SECRET: &str = "only-while-the-image-is-built";

/// A Django project.
#[derive(Debug, PartialEq)]
pub(crate) struct Django {
    /// The folder of `manage.py`; empty for the root.
    pub(crate) folder: String,
    /// The settings that `manage.py` names.
    settings: String,
    /// The settings that `wsgi.py` or `asgi.py` names, where they are others: those of production, as a rule.
    served: Option<String>,
    /// The file that sets `STATIC_ROOT`, where one does.
    pub(crate) static_root: Option<String>,
}

impl Django {
    /// The project of the only `manage.py` at the root or one folder below.
    pub(crate) fn find(source: &Source) -> Option<Self> {
        let mut found = source.paths.iter().filter_map(|path| match path.strip_suffix("manage.py")? {
            "" => Some(""),
            folder => folder.strip_suffix('/').filter(|folder| !folder.contains('/')),
        });
        let folder = if source.has("manage.py") { "" } else { found.next()? };
        if !folder.is_empty() && found.next().is_some() {
            return None;
        }
        let settings = settings_module(text_or_empty(source, &join(folder, "manage.py")))?;
        let base = join(folder, &settings.replace('.', "/"));
        let package = base.rsplit_once('/').map_or("", |(package, _)| package).to_owned();
        let sets = |path: &&String| {
            // `mysite.settings.local` often builds on `mysite/settings/base.py`.
            let near = **path == format!("{base}.py")
                || path.starts_with(&format!("{base}/"))
                || (package.ends_with("settings") && path.starts_with(&format!("{package}/")));
            near && path.ends_with(".py") && sets_static_root(text_or_empty(source, path))
        };
        let static_root = source.paths.iter().find(sets).cloned();
        let mut django = Self { folder: folder.to_owned(), settings, served: None, static_root };
        let named = |name| {
            let module = django.module(source, name)?;
            settings_module(text_or_empty(source, &join(folder, &format!("{}.py", module.replace('.', "/")))))
        };
        django.served = ["wsgi", "asgi"].into_iter().find_map(named).filter(|served| *served != django.settings);
        Some(django)
    }

    /// The module with `application`, and whether it is ASGI.
    pub(crate) fn application(&self, source: &Source, project: &Project) -> Option<(String, bool)> {
        let asgi_first = project.depends_on("channels") || project.depends_on("daphne");
        let order = if asgi_first { [("asgi", true), ("wsgi", false)] } else { [("wsgi", false), ("asgi", true)] };
        order.into_iter().find_map(|(name, asgi)| Some((self.module(source, name)?, asgi)))
    }

    /// `wsgi.py` next to the settings or in a package above them, else the only one in a folder next to `manage.py`.
    fn module(&self, source: &Source, name: &str) -> Option<String> {
        let mut package = self.settings.as_str();
        while let Some((above, _)) = package.rsplit_once('.') {
            package = above;
            if source.has(&join(&self.folder, &format!("{}/{name}.py", package.replace('.', "/")))) {
                return Some(format!("{package}.{name}"));
            }
        }
        if source.has(&join(&self.folder, &format!("{name}.py"))) {
            return Some(name.to_owned());
        }
        let mut others = source.paths.iter().filter_map(|path| {
            let path =
                if self.folder.is_empty() { path } else { path.strip_prefix(&self.folder)?.strip_prefix('/')? };
            let (package, file) = path.split_once('/')?;
            (file.strip_suffix(".py") == Some(name)).then_some(package)
        });
        let only = others.next()?;
        others.next().is_none().then(|| format!("{only}.{name}"))
    }

    /// The path of `manage.py`.
    pub(crate) fn manage_py(&self) -> String {
        join(&self.folder, "manage.py")
    }

    /// The command that collects static files. Settings read secrets that a build does not have, so they get a value.
    pub(crate) fn collect_static(&self, request: &Request, python: &str) -> Vec<String> {
        let is_secret_key = |name: &&String| name.contains("SECRET_KEY") && !name.contains('=');
        let mut names: Vec<&str> =
            request.env_names.iter().filter(is_secret_key).map(String::as_str).take(16).collect();
        names.extend(SECRET_KEYS);
        names.sort_unstable();
        names.dedup();
        let mut argv = vec!["env".to_owned()];
        argv.extend(names.into_iter().map(|name| format!("{name}={NO_SECRET}")));
        // Those of `manage.py` may need what only development installs.
        argv.extend(self.served.iter().map(|served| format!("DJANGO_SETTINGS_MODULE={served}")));
        argv.extend([python.to_owned(), self.manage_py(), "collectstatic".into(), "--noinput".into()]);
        argv
    }
}

fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

/// The module that `manage.py` sets as `DJANGO_SETTINGS_MODULE`.
fn settings_module(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("DJANGO_SETTINGS_MODULE")?;
    // What follows is the quote that ends the name, a comma or bracket, and the value in quotes.
    let value = rest.split(['\'', '"']).nth(2)?;
    let good = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    good.then(|| value.to_owned())
}

fn sets_static_root(settings: &str) -> bool {
    settings.lines().any(|line| {
        let value = line.trim().strip_prefix("STATIC_ROOT").map(str::trim_start);
        let value = value.and_then(|rest| rest.strip_prefix('=').or_else(|| rest.split_once('=').map(|(_, v)| v)));
        value.is_some_and(|value| !value.trim().starts_with("None"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MANAGE: &str = "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"shop.settings.local\")\n";

    fn found(files: &[(&str, &str)]) -> Option<(Django, Source)> {
        let source = Request::application("demo", files.iter().copied()).source.unwrap();
        Django::find(&source).map(|django| (django, source))
    }

    #[test]
    fn settings_in_a_folder_lead_to_the_module_above_them() {
        let base = "STATIC_ROOT = BASE_DIR / 'static'\n";
        let files = [("manage.py", MANAGE), ("shop/settings/base.py", base), ("shop/wsgi.py", "")];
        let (django, source) = found(&files).unwrap();
        assert_eq!(django.application(&source, &Project::default()), Some(("shop.wsgi".into(), false)));
        assert_eq!(django.static_root.as_deref(), Some("shop/settings/base.py"));
    }

    #[test]
    fn the_module_may_be_elsewhere_and_below_a_folder() {
        let (django, source) = found(&[("back/manage.py", MANAGE), ("back/config/asgi.py", "")]).unwrap();
        assert_eq!(django.application(&source, &Project::default()), Some(("config.asgi".into(), true)));
        assert_eq!((django.folder.as_str(), django.static_root), ("back", None));
    }

    #[test]
    fn what_is_no_project_is_none() {
        assert!(found(&[("manage.py", "from flask_script import Manager\n")]).is_none());
        assert!(found(&[("a/manage.py", MANAGE), ("b/manage.py", MANAGE)]).is_none());
    }

    #[test]
    fn a_static_root_that_is_set() {
        assert!(sets_static_root("X = 1\nSTATIC_ROOT=os.path.join(B, 's')\n"));
        assert!(sets_static_root("STATIC_ROOT: Path = B\n"));
        assert!(!sets_static_root("# STATIC_ROOT = 1\nSTATIC_ROOT = None\nSTATIC_ROOTS\n"));
    }
}
