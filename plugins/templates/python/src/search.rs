//! Where in the source an application object is.

use convergence_plugin_api::template::Source;

use crate::place::text_or_empty;

/// Files in which an application is looked for first, in this order.
const FIRST: [&str; 8] =
    ["main.py", "app.py", "server.py", "wsgi.py", "asgi.py", "app/main.py", "src/main.py", "src/app/main.py"];

/// Names of files in which an application is looked for wherever they are, at most [`DEPTH`] folders deep.
pub(crate) const NAMES: [&str; 9] =
    ["main.py", "app.py", "server.py", "wsgi.py", "asgi.py", "api.py", "application.py", "run.py", "__init__.py"];

/// How many folders deep an application is looked for: `src/shop/web/main.py`.
pub(crate) const DEPTH: usize = 3;

/// Folders that hold no application that is to run.
const NOT_SEARCHED: [&str; 6] = ["docs", "examples", "migrations", "node_modules", "scripts", "tests"];

/// Functions that make an application, by the names people give them.
const FACTORIES: [&str; 3] = ["create_app", "make_app", "get_app"];

/// An application object, as a server is told of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    /// The file.
    pub(crate) path: String,
    /// The module under which the file is imported.
    pub(crate) module: String,
    /// The variable, or the function that returns the application.
    pub(crate) name: String,
    /// Whether `name` is a function.
    pub(crate) factory: bool,
    /// Whether modules are below `src`, which must be on the import path.
    pub(crate) below_src: bool,
}

/// The first variable that is set to `class(…)`, else the first one that a factory makes, else a factory that needs
/// no arguments.
pub(crate) fn find(source: &Source, class: &str) -> Option<Target> {
    let files = candidates(source);
    // `Flask(` and `flask.Flask(`.
    let calls = [format!("{class}("), format!("{}.{class}(", class.to_ascii_lowercase())];
    let made = FACTORIES.map(|name| format!("{name}("));
    let by = |look: &dyn Fn(&str) -> Option<String>, factory: bool| {
        files.iter().find_map(|(path, text)| target(source, path, look(text)?, factory))
    };
    let has_class = files.iter().any(|(_, text)| calls.iter().any(|call| text.contains(call)));
    by(&|text| assigned(text, &calls), false)
        .or_else(|| by(&|text| has_class.then(|| assigned(text, &made)).flatten(), false))
        .or_else(|| by(&|text| factory(text, &calls), true))
}

/// The file to run where there is no application object: one of the usual names at the root, or a package that can
/// be run.
pub(crate) fn script(source: &Source) -> Option<Vec<String>> {
    const SCRIPTS: [&str; 6] = ["main.py", "app.py", "server.py", "run.py", "app/main.py", "src/main.py"];
    if let Some(path) = SCRIPTS.into_iter().find(|path| source.has(path)) {
        return Some(vec![path.to_owned()]);
    }
    let mut packages = source.paths.iter().filter_map(|path| path.strip_suffix("/__main__.py"));
    let only = packages.find(|package| is_module(package))?;
    packages.next().is_none().then(|| vec!["-m".to_owned(), only.replace('/', ".")])
}

fn candidates(source: &Source) -> Vec<(&str, &str)> {
    let searched = |path: &&str| {
        let parts: Vec<&str> = path.split('/').collect();
        let name = parts.last().copied().unwrap_or_default();
        NAMES.contains(&name) && parts.len() <= DEPTH + 1 && !parts.iter().any(|part| NOT_SEARCHED.contains(part))
    };
    let others = source.paths.iter().map(String::as_str).filter(|path| !FIRST.contains(path)).filter(searched);
    FIRST
        .into_iter()
        .filter(|path| source.has(path))
        .chain(others)
        .map(|path| (path, text_or_empty(source, path)))
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

fn target(source: &Source, path: &str, name: String, factory: bool) -> Option<Target> {
    let stem = path.strip_suffix(".py")?;
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    let below = stem.strip_prefix("src/");
    // Some applications import their own modules as `src.…`.
    let text = text_or_empty(source, path);
    let named_src = source.has("src/__init__.py") || text.contains("from src") || text.contains("import src");
    let module = below.filter(|_| !named_src).unwrap_or(stem);
    is_module(module).then(|| Target {
        path: path.to_owned(),
        module: module.replace('/', "."),
        name,
        factory,
        below_src: below.is_some(),
    })
}

/// Whether a path without its ending can be imported.
fn is_module(path: &str) -> bool {
    path.split('/').all(|part| is_name(part) && !part.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The first variable of a module that is set to one of these calls.
fn assigned(text: &str, calls: &[String]) -> Option<String> {
    text.lines().find_map(|line| {
        let (left, right) = line.split_once('=')?;
        // A type may stand between: `app: FastAPI = FastAPI()`.
        let name = left.split(':').next().unwrap_or_default().trim_end();
        let right = right.trim_start();
        (is_name(name) && calls.iter().any(|call| right.starts_with(call.as_str()))).then(|| name.to_owned())
    })
}

/// A factory of this module that makes such an application and can be called without arguments.
fn factory(text: &str, calls: &[String]) -> Option<String> {
    if !calls.iter().any(|call| text.contains(call.as_str())) {
        return None;
    }
    text.lines().find_map(|line| {
        let (name, rest) = line.strip_prefix("def ")?.split_once('(')?;
        let (parameters, _) = rest.rsplit_once(')')?;
        let optional = |part: &str| part.is_empty() || part.contains('=') || part.starts_with('*');
        let callable = parameters.split(',').all(|part| optional(part.trim()));
        (FACTORIES.contains(&name.trim()) && callable).then(|| name.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use convergence_plugin_api::template::Request;

    use super::*;

    fn found(files: &[(&str, &str)]) -> Option<(String, String, bool)> {
        let source = Request::application("demo", files.iter().copied()).source.unwrap();
        find(&source, "Flask").map(|target| (target.module, target.name, target.factory))
    }

    fn at(module: &str, name: &str, factory: bool) -> Option<(String, String, bool)> {
        Some((module.to_owned(), name.to_owned(), factory))
    }

    #[test]
    fn a_variable_comes_before_a_factory() {
        let factory = "def create_app(config=None):\n    app = Flask(__name__)\n    return app\n";
        assert_eq!(found(&[("shop/__init__.py", factory)]), at("shop", "create_app", true));
        let wsgi = ("wsgi.py", "from shop import create_app\napplication = create_app()\n");
        assert_eq!(found(&[("shop/__init__.py", factory), wsgi]), at("wsgi", "application", false));
        assert_eq!(found(&[("shop/__init__.py", "def create_app(config):\n    return Flask('x')\n")]), None);
        assert_eq!(found(&[wsgi]), None, "nothing says that it is Flask");
    }

    #[test]
    fn modules_are_named_as_they_are_imported() {
        let app = "import flask\nsite = flask.Flask(__name__)\n";
        assert_eq!(found(&[("src/shop/app.py", app)]), at("shop.app", "site", false));
        assert_eq!(found(&[("src/main.py", app)]), at("main", "site", false));
        assert_eq!(found(&[("src/main.py", app), ("src/__init__.py", "")]), at("src.main", "site", false));
        assert_eq!(found(&[("my-shop/app.py", app)]), None, "no module can have this name");
        assert_eq!(found(&[("tests/app.py", app)]), None);
    }

    #[test]
    fn scripts() {
        let source =
            |paths: &[&str]| Source { paths: paths.iter().map(|path| (*path).to_owned()).collect(), files: Vec::new() };
        assert_eq!(script(&source(&["server.py", "x/__main__.py"])).unwrap(), ["server.py"]);
        assert_eq!(script(&source(&["bot/__main__.py"])).unwrap(), ["-m", "bot"]);
        assert_eq!(script(&source(&["a/__main__.py", "b/__main__.py"])), None);
    }
}
