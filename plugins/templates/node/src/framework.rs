//! The frameworks that this template knows, and how each is started where the application does not say it.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;

use crate::layout::Layout;
use crate::package::Package;
use crate::service::PORT;

/// Frameworks that a caller may name; the first is the starter's.
pub(crate) const FRAMEWORKS: [&str; 8] = ["express", "fastify", "koa", "nest", "next", "react-router", "remix", "vite"];

/// Frameworks by the packages that show them. The first match is the application's: those that build on others come
/// before these, and vite, which many build with, is last.
const BY_PACKAGE: [(&str, &[&str]); 11] = [
    ("next", &["next"]),
    ("nuxt", &["nuxt"]),
    ("astro", &["astro"]),
    ("sveltekit", &["@sveltejs/kit"]),
    ("nest", &["@nestjs/core"]),
    ("react-router", &["@react-router/dev", "@react-router/serve"]),
    ("remix", &["@remix-run/dev", "@remix-run/serve"]),
    ("express", &["express"]),
    ("fastify", &["fastify"]),
    ("koa", &["koa"]),
    ("vite", &["vite"]),
];

/// Tools that build a site of files, with the folder they build it in.
const SITE_TOOLS: [(&str, &str); 3] = [("vite", "dist"), ("react-scripts", "build"), ("@vue/cli-service", "dist")];

/// Ends of the names of configuration files.
const CONFIG_ENDS: [&str; 6] = ["js", "mjs", "cjs", "ts", "mts", "cts"];

/// The frameworks of a package, the one that decides first.
pub(crate) fn all(package: &Package) -> impl Iterator<Item = &'static str> {
    BY_PACKAGE
        .into_iter()
        .filter(|(name, packages)| {
            packages.iter().any(|known| match *name {
                // Development dependencies of these build what runs without them.
                "astro" | "nuxt" | "react-router" | "remix" | "sveltekit" | "vite" => package.builds_with(known),
                _ => package.depends_on(known),
            })
        })
        .map(|(name, _)| name)
}

/// How an application is run that does not say it.
#[derive(Debug, PartialEq)]
pub(crate) enum Default {
    /// By a command, which the framework's own package brings.
    Command(Vec<String>),
    /// As files below this folder of the package, by a server of the template.
    Site(String),
}

/// What is usual for a framework or a tool; none where applications differ.
///
/// # Errors
///
/// Invalid input when a package that starts it is missing, or a setting names a folder that cannot be copied.
pub(crate) fn default(
    source: &Source,
    layout: &Layout,
    framework: Option<&'static str>,
) -> Result<Option<Default>, PluginError> {
    let package = &layout.package;
    Ok(match framework {
        Some("next") => Some(match config(source, layout, "next.config")? {
            Some((_, text)) if literal(text, "output") == Some("export") => Default::Site("out".to_owned()),
            _ => command(["next", "start", "-p", &PORT.to_string(), "-H", "0.0.0.0"]),
        }),
        Some("nest") => Some(command(["node", "dist/main"])),
        Some("nuxt") if package.scripts.get("build").is_some_and(|build| build.contains("nuxt generate")) => {
            Some(Default::Site(".output/public".to_owned()))
        }
        // What Nuxt builds holds its dependencies.
        Some("nuxt") => Some(command(["node", ".output/server/index.mjs"])),
        Some("astro") if package.builds_with("@astrojs/node") => Some(command(["node", "dist/server/entry.mjs"])),
        Some("astro") => Some(Default::Site("dist".to_owned())),
        Some("sveltekit") if package.builds_with("@sveltejs/adapter-node") => Some(command(["node", "build"])),
        Some("sveltekit") if package.builds_with("@sveltejs/adapter-static") => Some(Default::Site("build".to_owned())),
        Some("sveltekit") => {
            let path = layout.in_package("package.json");
            return Err(PluginError::invalid_input(
                &path,
                format!(
                    "{path} has no adapter of SvelteKit that makes a server or files; install `@sveltejs/adapter-node`, \
                     or `@sveltejs/adapter-static`, and name it in svelte.config.js"
                ),
            ));
        }
        Some("react-router") => {
            let config = config(source, layout, "react-router.config")?;
            let is_site = config.is_some_and(|(_, text)| text.replace(char::is_whitespace, "").contains("ssr:false"));
            if is_site {
                Some(Default::Site("build/client".to_owned()))
            } else {
                served_by(layout, "@react-router/serve", ["react-router-serve", "./build/server/index.js"])?
            }
        }
        Some("remix") => {
            let is_vite = config(source, layout, "vite.config")?.is_some();
            let program = if is_vite { "./build/server/index.js" } else { "./build/index.js" };
            served_by(layout, "@remix-run/serve", ["remix-serve", program])?
        }
        None | Some("vite") => match SITE_TOOLS.into_iter().find(|(tool, _)| package.builds_with(tool)) {
            Some(("vite", folder)) => Some(Default::Site(folder_of_vite(source, layout)?.unwrap_or(folder.to_owned()))),
            Some((_, folder)) => Some(Default::Site(folder.to_owned())),
            None => None,
        },
        Some(_) => None,
    })
}

fn command<'a>(argv: impl IntoIterator<Item = &'a str>) -> Default {
    Default::Command(argv.into_iter().map(str::to_owned).collect())
}

fn served_by(layout: &Layout, server: &str, argv: [&str; 2]) -> Result<Option<Default>, PluginError> {
    if layout.package.depends_on(server) {
        return Ok(Some(command(argv)));
    }
    let path = layout.in_package("package.json");
    Err(PluginError::invalid_input(
        &format!("{path}:scripts.start"),
        format!("{path} has no `start` script and does not depend on `{server}`; add one of the two"),
    ))
}

/// A configuration file by its name without the end, with its path.
fn config<'a>(source: &'a Source, layout: &Layout, name: &str) -> Result<Option<(String, &'a str)>, PluginError> {
    for end in CONFIG_ENDS {
        let path = layout.in_package(&format!("{name}.{end}"));
        if let Some(text) = source.text(&path)? {
            return Ok(Some((path, text)));
        }
    }
    Ok(None)
}

/// Where Vite builds to when its configuration says so.
fn folder_of_vite(source: &Source, layout: &Layout) -> Result<Option<String>, PluginError> {
    let Some((path, text)) = config(source, layout, "vite.config")? else {
        return Ok(None);
    };
    let Some(folder) = literal(text, "outDir") else {
        return Ok(None);
    };
    let inside = folder.trim_start_matches("./").trim_end_matches('/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-/".contains(c);
    let is_plain = inside.split('/').all(|part| !matches!(part, "" | "." | "..")) && inside.chars().all(allowed);
    if is_plain {
        return Ok(Some(inside.to_owned()));
    }
    Err(PluginError::invalid_input(
        &path,
        format!("outDir in {path} is `{folder}`; name a folder within that of the package, such as `dist`"),
    ))
}

/// The string that a key has in a JavaScript object, where it is written as such: `outDir: "site"`. Code that computes
/// it is not run.
fn literal<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.match_indices(key).find_map(|(at, _)| {
        let is_whole = !text.get(..at)?.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        let after = text.get(at + key.len()..)?.trim_start_matches(['"', '\'']).trim_start();
        let value = after.strip_prefix(':')?.trim_start();
        let quote = value.chars().next().filter(|c| is_whole && matches!(c, '"' | '\'' | '`'))?;
        value.get(1..)?.split(quote).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_a_configuration() {
        assert_eq!(literal("export default { build: { outDir: 'site' } }", "outDir"), Some("site"));
        assert_eq!(literal("module.exports = {\"output\" : \"export\"}", "output"), Some("export"));
        assert_eq!(literal("{ myoutput: 'x', output: mode }", "output"), None);
        assert_eq!(literal("{}", "output"), None);
    }
}
