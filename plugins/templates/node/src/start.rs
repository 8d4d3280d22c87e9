//! How an application is started: its own word first, then what is usual for its framework, then files by name.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{Request, Source, split_command};

use crate::framework::{self, Default};
use crate::layout::Layout;
use crate::service::PORT;

/// Files that start an application that does not say how it is started.
const ENTRY_POINTS: [&str; 6] = ["server.js", "index.js", "app.js", "server.mjs", "index.mjs", "main.js"];

/// Programs of start scripts that serve a developer and not the public, with the first argument that makes them so.
/// They need the development dependencies, and most of them listen to this machine only.
const DEVELOPMENT: [(&str, Option<&str>); 13] = [
    ("vite", None),
    ("react-scripts", Some("start")),
    ("nest", Some("start")),
    ("next", Some("dev")),
    ("nuxt", Some("dev")),
    ("astro", Some("dev")),
    ("astro", Some("preview")),
    ("remix", None),
    ("react-router", Some("dev")),
    ("ng", Some("serve")),
    ("vue-cli-service", Some("serve")),
    ("webpack", Some("serve")),
    ("webpack-dev-server", None),
];

/// Package managers that a script may call, npm apart, which is in every image.
const MANAGERS: [&str; 3] = ["pnpm", "yarn", "bun"];

/// How an application is run.
#[derive(Debug)]
pub(crate) enum Start {
    /// By this command, in the folder of the package.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
        /// Whether the package manager has to be in the image, because the script calls it.
        needs_manager: bool,
    },
    /// As files in this folder of the package.
    Site(String),
}

/// Decides how the application is started, with a note on why.
///
/// # Errors
///
/// Invalid input when nothing says it, or what says it cannot be run; unsupported where Bun would have to run it.
pub(crate) fn decide(
    request: &Request,
    source: &Source,
    layout: &Layout,
    framework: Option<&'static str>,
) -> Result<(Start, String), PluginError> {
    if let Some(argv) = request.process_command("web", PORT)? {
        let note = format!("Started with `{}`, as the process `web` says.", argv.join(" "));
        let needs_manager = argv.first().is_some_and(|program| MANAGERS.contains(&program.as_str()));
        return Ok((Start::Command { argv, needs_manager }, note));
    }
    let path = layout.in_package("package.json");
    let mut before = String::new();
    for name in ["start", "start:prod"] {
        let Some(script) = layout.package.scripts.get(name) else { continue };
        if is_development(script) {
            before = format!("The script `{name}` of {path}, `{script}`, is for development and is not used. ");
            continue;
        }
        let (argv, needs_manager) = script_command(layout, name, script)?;
        let note = format!("{before}Started with `{}`: the script `{name}` of {path}.", argv.join(" "));
        return Ok((Start::Command { argv, needs_manager }, note));
    }
    match framework::default(source, layout, framework)? {
        Some(default) => {
            needs_build(layout, framework)?;
            Ok(match default {
                Default::Command(argv) => {
                    let name = framework.unwrap_or("the framework");
                    let note = format!("{before}Started with `{}`, as is usual for {name}.", argv.join(" "));
                    (Start::Command { argv, needs_manager: false }, note)
                }
                Default::Site(folder) => {
                    let note = format!(
                        "{before}Served as files from `{folder}`, which the `build` script makes; unknown paths get index.html."
                    );
                    (Start::Site(folder), note)
                }
            })
        }
        None => by_file(source, layout, &path, &before),
    }
}

fn by_file(source: &Source, layout: &Layout, path: &str, before: &str) -> Result<(Start, String), PluginError> {
    let (file, why) =
        match (&layout.package.main, ENTRY_POINTS.into_iter().find(|file| source.has(&layout.in_package(file)))) {
            (Some(main), _) => (main.clone(), format!("`main` of {path} names it")),
            (None, Some(file)) => (file.to_owned(), format!("{path} has no `start` script and no `main`")),
            (None, None) => {
                return Err(PluginError::invalid_input(
                    &format!("{path}:scripts.start"),
                    format!(
                        "{before}Nothing says how the application is started; add a `start` script to {path}, such as \
                     `node server.js`"
                    ),
                ));
            }
        };
    let note = format!("{before}Started with `node {file}`: {why}.");
    Ok((Start::Command { argv: vec!["node".to_owned(), file], needs_manager: false }, note))
}

/// The default of a framework is about what its build makes.
fn needs_build(layout: &Layout, framework: Option<&str>) -> Result<(), PluginError> {
    if layout.package.has_script("build") || layout.workspace.as_ref().is_some_and(|root| root.has_script("build")) {
        return Ok(());
    }
    let path = layout.in_package("package.json");
    let script = match framework {
        Some("next") => "next build",
        Some("nest") => "nest build",
        Some("nuxt") => "nuxt build",
        Some("astro") => "astro build",
        Some("react-router") => "react-router build",
        Some("remix") => "remix vite:build",
        Some("vite" | "sveltekit") => "vite build",
        _ => "react-scripts build",
    };
    Err(PluginError::invalid_input(
        &format!("{path}:scripts.build"),
        format!(
            "{path} has neither a `start` script nor a `build` script; add `\"build\": \"{script}\"` to its scripts"
        ),
    ))
}

/// The words of a script without what only sets NODE_ENV, which the service has anyway.
fn words(script: &str) -> Vec<&str> {
    let sets = |word: &&str| matches!(*word, "cross-env" | "NODE_ENV=production");
    script.split_whitespace().skip_while(sets).collect()
}

fn is_development(script: &str) -> bool {
    let words = words(script);
    let argument = words.get(1).copied();
    // `nest start` compiles first, and `start:prod` is what its authors mean for production.
    DEVELOPMENT
        .into_iter()
        .any(|(program, first)| words.first() == Some(&program) && first.is_none_or(|first| argument == Some(first)))
}

/// A plain call of node, else npm, which finds the programs of node_modules: npm between the engine and the program
/// costs memory and a second of every start.
fn script_command(layout: &Layout, name: &str, script: &str) -> Result<(Vec<String>, bool), PluginError> {
    let package = &layout.package;
    let path = layout.in_package("package.json");
    let words = words(script);
    let program = words.first().copied().unwrap_or_default();
    if !package.depends_on(program) && package.builds_with(program) {
        return Err(PluginError::invalid_input(
            &format!("{path}:scripts.{name}"),
            format!(
                "the script `{name}` runs `{program}`, which {path} has in devDependencies, and these are not in the \
                 image; start with `node`, or move `{program}` to dependencies"
            ),
        ));
    }
    if matches!(program, "bun" | "bunx") {
        return Err(PluginError::unsupported(format!(
            "the script `{name}` of {path} is `{script}`, and this template runs applications with Node; start with \
             `node`, such as `node server.js`"
        )));
    }
    let is_hooked = ["pre", "post"].iter().any(|hook| package.has_script(&format!("{hook}{name}")));
    let argv = match split_command(&words.join(" "), PORT) {
        Ok(argv) if !is_hooked && program == "node" => argv,
        _ if name == "start" => ["npm", "start"].map(str::to_owned).to_vec(),
        _ => ["npm", "run", name].map(str::to_owned).to_vec(),
    };
    let needs_manager = argv.first().is_some_and(|program| program == "npm")
        && script.split(|c: char| c.is_whitespace() || ";&|()".contains(c)).any(|word| MANAGERS.contains(&word));
    Ok((argv, needs_manager))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_for_development() {
        for script in
            ["vite", "vite --host", "vite preview", "nest start --watch", "cross-env NODE_ENV=production next dev"]
        {
            assert!(is_development(script), "{script}");
        }
        for script in ["next start", "node vite.js", "react-scripts build", "npm run vite"] {
            assert!(!is_development(script), "{script}");
        }
    }
}
