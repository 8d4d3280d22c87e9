//! The plan of a site: which folder is served, and by what.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{BuildPlan, Health, Request, Service, Source, Stage};

/// Has what the server needs, which is Node alone. The template for Node has the same, so that a machine keeps one.
pub(crate) const DEFAULT_IMAGE: &str = "node:22-bookworm-slim";

/// Where the service listens inside its container.
const PORT: u16 = 3000;

/// Below this memory limit, in MiB, Node does not start reliably.
const MIN_MEMORY_MB: u32 = 128;

/// Where a site may be in its source, in the order in which it is looked for: the root, then the folders that people
/// and build tools put pages in.
const FOLDERS: [&str; 4] = [".", "public", "dist", "build"];

/// Where the files are in the container.
const SITE: &str = "/app/site";

/// Plans the image of the starter or of a source.
///
/// # Errors
///
/// Invalid input when the source has no page, or its process `web` cannot be read.
pub(crate) fn plan(request: &Request) -> Result<BuildPlan, PluginError> {
    let image = request.base_image_or(DEFAULT_IMAGE);
    let stage = Stage::from_image("run", &image)
        .workdir("/app")
        .env("NODE_ENV", "production")
        .copy_plan(["serve.mjs"], "/app/");
    let Some(source) = &request.source else {
        return Ok(BuildPlan::new(service("/health", None))
            .file("serve.mjs", include_str!("../server/serve.mjs"))
            .file("site/index.html", include_str!("../starter/index.html"))
            .file("site/health", include_str!("../starter/health"))
            .stage(stage.copy_plan(["site"], SITE))
            .note(format!("The starter page, served by Node on `{image}`.")));
    };
    let Some(folder) = folder(source) else {
        return Err(PluginError::invalid_input(
            "index.html",
            "the source has no index.html, neither at its root nor in `public`, `dist` or `build`; add one, or name the \
             language of the application",
        ));
    };
    let command = request.process_command("web", PORT)?;
    let started = match &command {
        Some(command) => format!("Started with `{}`, as the process `web` says.", command.join(" ")),
        None => format!("Served by Node on `{image}`. Unknown paths get index.html, or 404.html where there is one."),
    };
    let what = match folder {
        "." => "The whole source".to_owned(),
        folder => format!("The folder `{folder}`"),
    };
    let note =
        format!("{what} is served, because it has {}; files whose name begins with a dot are not.", index(folder));
    Ok(BuildPlan::new(service("/", command))
        .file("serve.mjs", include_str!("../server/serve.mjs"))
        .stage(stage.copy_source([folder], SITE))
        .note(note)
        .note(started))
}

/// The first folder with a page to begin with.
pub(crate) fn folder(source: &Source) -> Option<&'static str> {
    FOLDERS.into_iter().find(|folder| source.has(&index(folder)))
}

/// The page that a folder begins with.
pub(crate) fn index(folder: &str) -> String {
    match folder {
        "." => "index.html".to_owned(),
        folder => format!("{folder}/index.html"),
    }
}

/// The server, or another command, that is well when it has this path.
fn service(path: &str, command: Option<Vec<String>>) -> Service {
    let ask =
        format!("fetch('http://127.0.0.1:{PORT}{path}').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))");
    let command = command.unwrap_or_else(|| ["node", "/app/serve.mjs", SITE].map(str::to_owned).to_vec());
    Service::new(command, PORT, Health::http(path).in_container(["node", "-e", &ask])).min_memory_mb(MIN_MEMORY_MB)
}
