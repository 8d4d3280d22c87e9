//! How the application is started: its Procfile, its framework, or a script with a usual name.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{Health, Request, Source};

use crate::django::Django;
use crate::place::text_or_empty;
use crate::project::Project;
use crate::search::{self, Target};
use crate::service::{PORT, PYTHON, probe_health, tcp_health};

/// The server that is added where an ASGI application brings none; the starter has the same.
const UVICORN: &str = "uvicorn==0.54.0";

/// The server that is added where a WSGI application brings none.
const GUNICORN: &str = "gunicorn==27.0.1";

/// Pages that Streamlit applications begin with, in this order.
pub(crate) const STREAMLIT_PAGES: [&str; 7] =
    ["streamlit_app.py", "app.py", "main.py", "Home.py", "home.py", "src/app.py", "src/main.py"];

/// How the application is started.
#[derive(Debug)]
pub(crate) struct Start {
    /// The command.
    pub(crate) command: Vec<String>,
    /// A server that must be installed in addition.
    pub(crate) server: Option<&'static str>,
    /// When it is well.
    pub(crate) health: Health,
    /// A folder that must be on the import path.
    pub(crate) import_folder: Option<String>,
    /// The Django project, where static files may have to be collected.
    pub(crate) django: Option<Django>,
    /// What was decided.
    pub(crate) notes: Vec<String>,
}

impl Start {
    fn new(command: Vec<String>, why: &str) -> Self {
        let note = format!("Started with `{}`: {why}.", command.join(" "));
        let (server, import_folder, django) = (None, None, None);
        Self { command, server, health: tcp_health(), import_folder, django, notes: vec![note] }
    }

    fn server(mut self, server: Option<&'static str>) -> Self {
        if let Some(server) = server {
            self.notes.push(format!(
                "`{server}` is installed in addition: the application depends on no web server. Add one to its \
                 dependencies to choose the version."
            ));
        }
        self.server = server;
        self
    }
}

/// The framework that an application is made with, where this template knows it.
pub(crate) fn framework(source: &Source, project: &Project) -> Option<&'static str> {
    // `manage.py` is Django's alone. Of the others, Streamlit often shows what an API of the same project serves.
    if project.depends_on("django") && Django::find(source).is_some() {
        return Some("django");
    }
    crate::FRAMEWORKS.into_iter().find(|framework| project.depends_on(framework))
}

/// Decides how the application is started.
///
/// # Errors
///
/// Invalid input at `processes.web` where nothing says it, or what says it cannot be run.
pub(crate) fn decide(
    request: &Request,
    source: &Source,
    project: &Project,
    framework: Option<&str>,
) -> Result<Start, PluginError> {
    let django = if framework == Some("django") { Django::find(source) } else { None };
    let mut start = if let Some(argv) = request.process_command("web", PORT)? {
        let program = argv.first().map(String::as_str).unwrap_or_default();
        let server = match program {
            "gunicorn" if !project.depends_on("gunicorn") => Some(GUNICORN),
            "uvicorn" if !project.has_uvicorn() => Some(UVICORN),
            _ => None,
        };
        let mut start = Start::new(argv, "the process `web` says so").server(server);
        start.import_folder = django.as_ref().map(|django| django.folder.clone()).filter(|folder| !folder.is_empty());
        start
    } else {
        let found = match framework {
            Some("django") => django.as_ref().and_then(|django| django_start(source, project, django)),
            Some("fastapi") => search::find(source, "FastAPI").map(|target| fastapi_start(project, &target)),
            Some("flask") => search::find(source, "Flask").map(|target| flask_start(project, &target)),
            Some("streamlit") => streamlit_start(source),
            _ => None,
        };
        match found {
            Some(start) => start,
            None => script_start(source, framework)?,
        }
    };
    start.django = django;
    if request.processes.iter().any(|process| process.key == "release") {
        start.notes.push(
            "The process `release` is not run: release commands are not supported yet. Run migrations at the start of \
             the service."
                .to_owned(),
        );
    }
    Ok(start)
}

fn module_command(words: &[&str]) -> Vec<String> {
    [PYTHON, "-m"].iter().chain(words).map(|word| (*word).to_owned()).collect()
}

fn gunicorn(project: &Project, object: &str, why: &str) -> Start {
    let bind = format!("0.0.0.0:{PORT}");
    // One worker, so threads: a request that waits for a database must not stop all others.
    let command = module_command(&["gunicorn", object, "--bind", &bind, "--threads", "4"]);
    Start::new(command, why).server((!project.depends_on("gunicorn")).then_some(GUNICORN))
}

fn uvicorn(project: &Project, object: &str, factory: bool, why: &str) -> Start {
    let port = PORT.to_string();
    let mut words = vec!["uvicorn", object, "--host", "0.0.0.0", "--port", &port];
    if factory {
        words.push("--factory");
    }
    Start::new(module_command(&words), why).server((!project.has_uvicorn()).then_some(UVICORN))
}

fn why(target: &Target, class: &str) -> String {
    let verb = if target.factory { "makes" } else { "holds" };
    format!("`{}` of {} {verb} the {class} application", target.name, target.path)
}

fn src_folder(target: &Target) -> Option<String> {
    target.below_src.then(|| "src".to_owned())
}

fn fastapi_start(project: &Project, target: &Target) -> Start {
    let object = format!("{}:{}", target.module, target.name);
    let start = uvicorn(project, &object, target.factory, &why(target, "FastAPI"));
    Start { import_folder: src_folder(target), ..start }
}

fn flask_start(project: &Project, target: &Target) -> Start {
    let call = if target.factory { "()" } else { "" };
    let object = format!("{}:{}{call}", target.module, target.name);
    Start { import_folder: src_folder(target), ..gunicorn(project, &object, &why(target, "Flask")) }
}

fn django_start(source: &Source, project: &Project, django: &Django) -> Option<Start> {
    let (module, asgi) = django.application(source, project)?;
    let why = format!("it belongs to the settings that {} names", django.manage_py());
    let object = format!("{module}:application");
    let mut start = if !asgi {
        gunicorn(project, &object, &why)
    } else if project.depends_on("daphne") {
        Start::new(module_command(&["daphne", "-b", "0.0.0.0", "-p", &PORT.to_string(), &object]), &why)
    } else {
        uvicorn(project, &object, false, &why)
    };
    start.import_folder = Some(django.folder.clone()).filter(|folder| !folder.is_empty());
    start.notes.push(format!(
        "Migrations are not run. Run `python {} migrate` yourself, or in a script that the process `web` names.",
        django.manage_py()
    ));
    Some(start)
}

fn streamlit_start(source: &Source) -> Option<Start> {
    let is_page = |path: &&str| text_or_empty(source, path).contains("streamlit");
    let there = || STREAMLIT_PAGES.into_iter().filter(|path| source.has(path));
    let page = there().find(is_page).or_else(|| there().next())?;
    let port = format!("--server.port={PORT}");
    let command = module_command(&[
        "streamlit",
        "run",
        page,
        "--server.headless=true",
        "--server.address=0.0.0.0",
        &port,
        // Files do not change in an image, and watching them costs memory.
        "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false",
    ]);
    let start = Start::new(command, &format!("{page} is the Streamlit page"));
    Some(Start { health: probe_health("/_stcore/health"), ..start })
}

fn script_start(source: &Source, framework: Option<&str>) -> Result<Start, PluginError> {
    let Some(words) = search::script(source) else {
        let looked = framework.map(|name| format!("no {name} application and ")).unwrap_or_default();
        return Err(PluginError::invalid_input(
            "processes.web",
            format!(
                "nothing says how the application is started: there is {looked}no main.py, app.py or server.py; name a \
                 `web` process, such as `web: python -m mysite`, in a Procfile"
            ),
        ));
    };
    let command = std::iter::once(PYTHON.to_owned()).chain(words).collect();
    let mut start = Start::new(command, "it is the first of the usual names that is there");
    if let Some(framework) = framework {
        start.notes.push(format!(
            "The application depends on {framework}, but no {framework} application was found in the usual files. It \
             must listen on 0.0.0.0 and on the port in `PORT`."
        ));
    }
    Ok(start)
}
