//! Which package of the module is the program.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;

use crate::module::Module;
use crate::place::join;

/// Folders that hold programs which do not serve.
const NOT_PROGRAMS: [&str; 6] = ["example", "examples", "internal", "node_modules", "testdata", "vendor"];

/// Build constraints of files that are no part of a server on Linux.
const NOT_BUILT: [&str; 7] = ["ignore", "tools", "js", "wasm", "js && wasm", "windows", "darwin"];

/// How many programs an error lists.
const LISTED: usize = 20;

/// The program to build.
#[derive(Debug, PartialEq)]
pub(crate) struct Program {
    /// The package, as `go build` is told: `.` or `./cmd/api`.
    pub(crate) package: String,
    /// Why this one.
    pub(crate) why: String,
}

/// What a folder is known to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holds {
    /// A file says `package main`.
    Program,
    /// Its name says so, and no file of it was read.
    Perhaps,
    /// Another package.
    Library,
}

/// Finds the program of the module in `folder`: the module's own package, the only package that is a program, or the
/// one of several that has the name `asked`, or is named after the module or the tenant, `server`, `web` or `api`.
///
/// # Errors
///
/// Invalid input where there is none, or several of which none is named so.
pub(crate) fn find(
    source: &Source,
    folder: &str,
    module: &Module,
    tenant_name: &str,
    asked: Option<&str>,
) -> Result<Program, PluginError> {
    let packages = packages(source, folder);
    let is_program = |package: &str| packages.iter().any(|(name, holds)| name == package && *holds == Holds::Program);
    let program = |package: &str, why: String| {
        let package = if package == "." { package.to_owned() } else { format!("./{package}") };
        Ok(Program { package, why })
    };
    let all: Vec<&str> = packages
        .iter()
        .filter(|(name, holds)| *holds == Holds::Program || (*holds == Holds::Perhaps && name.starts_with("cmd/")))
        .map(|(name, _)| name.as_str())
        .collect();
    let named = |name: &str| {
        let last = |package: &&&str| package.rsplit('/').next() == Some(name);
        let in_cmd = all.iter().filter(last).find(|package| package.starts_with("cmd/"));
        in_cmd.or_else(|| all.iter().find(last)).copied()
    };
    if let Some(package) = asked.and_then(named) {
        return program(package, "the process `web` names it".to_owned());
    }
    if is_program(".") {
        return program(".", "the module's own folder holds `package main`".to_owned());
    }
    if let [only] = all.as_slice() {
        return program(only, "it is the only program".to_owned());
    }
    let tenant = kebab(tenant_name);
    let names = [
        (module.name(), "the module"),
        (tenant.as_str(), "the tenant"),
        ("server", "a server"),
        ("web", "a server"),
        ("api", "a server"),
    ];
    if let Some((package, after)) = names.into_iter().find_map(|(name, after)| Some((named(name)?, after))) {
        return program(package, format!("of {} programs it is the one named after {after}", all.len()));
    }
    let commands: Vec<&&str> = all.iter().filter(|package| package.starts_with("cmd/")).collect();
    if let [only] = commands.as_slice() {
        return program(only, "it is the only program under `cmd`".to_owned());
    }
    if all.is_empty() && packages.iter().any(|(name, holds)| name == "." && *holds == Holds::Perhaps) {
        return program(".", "its folder holds the module's only Go files that can be a program".to_owned());
    }
    if all.is_empty() {
        let path = join(folder, "main.go");
        return Err(PluginError::invalid_input(
            &path,
            format!("there is no program: no `package main` was found; put one in {path}, or in a folder under `cmd`"),
        ));
    }
    let listed: Vec<String> = all.iter().take(LISTED).map(|package| join(folder, package)).collect();
    Err(PluginError::invalid_input(
        &join(folder, "cmd"),
        format!(
            "there are {} programs ({}), and none is named after the module (`{}`) or the tenant (`{tenant}`); start one \
             by its name in a Procfile, such as `web: {}`",
            all.len(),
            listed.join(", "),
            module.name(),
            all.first().and_then(|package| package.rsplit('/').next()).unwrap_or("server")
        ),
    ))
}

/// The module's packages in byte order, as far as they can be a program, with what each one holds.
fn packages(source: &Source, folder: &str) -> Vec<(String, Holds)> {
    let mut packages: Vec<(String, Holds)> = Vec::new();
    let modules: Vec<&str> = source.paths.iter().filter_map(|path| of(path, folder)?.strip_suffix("/go.mod")).collect();
    for path in &source.paths {
        let Some(inner) = of(path, folder) else { continue };
        let (package, file) = inner.rsplit_once('/').unwrap_or((".", inner));
        let of_module = |module: &&str| inside(inner, module).is_some();
        let skipped = |part: &str| part != "." && (part.starts_with(['.', '_']) || NOT_PROGRAMS.contains(&part));
        if !file.ends_with(".go")
            || file.ends_with("_test.go")
            || package.split('/').any(skipped)
            || modules.iter().any(of_module)
        {
            continue;
        }
        let Some(holds) = holds(source, path, file, package) else { continue };
        match packages.iter_mut().find(|(name, _)| name == package) {
            Some((_, known)) if *known == Holds::Perhaps || holds == Holds::Program => *known = holds,
            Some(_) => {}
            None => packages.push((package.to_owned(), holds)),
        }
    }
    packages.sort_by(|a, b| a.0.cmp(&b.0));
    packages
}

/// What one file says of its package. None where it says nothing because it is left out of builds.
fn holds(source: &Source, path: &str, file: &str, package: &str) -> Option<Holds> {
    let contents = source.files.iter().find(|file| file.path == path).map(|file| file.contents.as_slice());
    let text = contents.and_then(|contents| std::str::from_utf8(contents).ok()).unwrap_or_default();
    let constraint = |line: &str| line.strip_prefix("//go:build ").is_some_and(|rest| NOT_BUILT.contains(&rest.trim()));
    if text.lines().any(constraint) {
        return None;
    }
    let clause = text.lines().find_map(|line| line.strip_prefix("package "));
    match clause.and_then(|rest| rest.split_whitespace().next()) {
        Some("main") => Some(Holds::Program),
        Some(_) => Some(Holds::Library),
        // Not handed over, or too large: the name is all there is to go by.
        None if file == "main.go" => Some(Holds::Program),
        None if package == "." => Some(Holds::Perhaps),
        None => package.strip_prefix("cmd/").filter(|name| !name.contains('/')).map(|_| Holds::Perhaps),
    }
}

/// A path as seen from the module's folder, which is empty for the root.
fn of<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    if folder.is_empty() { Some(path) } else { inside(path, folder) }
}

fn inside<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// A name as folders are written: `My Shop` as `my-shop`.
fn kebab(name: &str) -> String {
    let lower = name.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use convergence_plugin_api::template::Request;

    use super::*;

    const MAIN: &str = "// Says hello.\npackage main\n";

    fn found(files: &[(&str, &str)]) -> Result<String, PluginError> {
        found_as(files, None)
    }

    fn found_as(files: &[(&str, &str)], asked: Option<&str>) -> Result<String, PluginError> {
        let files = files.iter().copied().chain([("go.mod", "module example.com/shop/v2\n")]);
        let source = Request::application("demo", files).source.unwrap();
        let module = Module::read(&source, "go.mod")?.unwrap();
        find(&source, "", &module, "My Till", asked).map(|program| program.package)
    }

    #[test]
    fn a_package_is_known_by_its_clause() {
        let library = ("shop.go", "package shop\n");
        assert_eq!(found(&[library, ("service/run.go", MAIN)]).unwrap(), "./service");
        assert_eq!(found(&[("run.go", MAIN), ("cmd/x/main.go", MAIN)]).unwrap(), ".");
        assert_eq!(
            found(&[("gen.go", "//go:build ignore\n\npackage main\n"), ("cmd/x/x.go", MAIN)]).unwrap(),
            "./cmd/x"
        );
        assert!(found(&[library, ("cmd/x/x.go", "package x\n")]).is_err());
        assert!(found(&[library, ("examples/x/main.go", MAIN), ("main_test.go", MAIN)]).is_err());
        assert!(found(&[library, ("sdk/go.mod", ""), ("sdk/cmd/x/main.go", MAIN)]).is_err(), "another module's");
    }

    #[test]
    fn of_several_the_name_decides() {
        let of = |names: &[&str]| {
            let paths: Vec<String> = names.iter().map(|name| format!("{name}/main.go")).collect();
            found(&paths.iter().map(|path| (path.as_str(), MAIN)).collect::<Vec<_>>())
        };
        assert_eq!(of(&["cmd/a", "cmd/my-till", "cmd/shop"]).unwrap(), "./cmd/shop");
        assert_eq!(of(&["cmd/a", "cmd/my-till", "cmd/server"]).unwrap(), "./cmd/my-till");
        let both = [("cmd/a/main.go", MAIN), ("cmd/shop/main.go", MAIN), ("main.go", MAIN)];
        assert_eq!(found_as(&both, Some("a")).unwrap(), "./cmd/a");
        assert_eq!(found_as(&both, Some("x")).unwrap(), ".");
        assert_eq!(of(&["cmd/a", "tools/gen"]).unwrap(), "./cmd/a");
        let Err(PluginError::InvalidInput(errors)) = of(&["cmd/a", "cmd/b"]) else { panic!("one of two was chosen") };
        assert!(
            errors.iter().all(|error| error.message.contains("cmd/a, cmd/b") && error.message.contains("`my-till`"))
        );
    }
}
