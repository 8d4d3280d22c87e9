//! `GET /ready`: whether tenants can be spawned, and if not, why.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use convergence_provision::Machine;
use convergence_store::{Backlog, Unclaimable};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Content;

use crate::App;
use crate::document::{Answers, Draft};

const PATIENCE: Duration = Duration::from_secs(5);

/// Whether tenants can be spawned.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ready`, `degraded`, or `starting`: it compiles plugins and answers nothing else.
    pub(crate) status: &'static str,
    pub(crate) checks: Vec<Check>,
}

impl Answers for Readiness {
    fn describe(draft: &mut Draft) {
        for (status, description) in [(200, "Tenants can be spawned."), (503, "Something needed is missing.")] {
            let content = Content::new(Some(draft.schema::<Self>()));
            draft.answer(status, description, vec![("application/json", content)]);
        }
    }
}

impl IntoResponse for Readiness {
    fn into_response(self) -> Response {
        let ok = self.checks.iter().all(|check| check.ok);
        let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}

/// One thing that is needed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// `database`, `engine`, `queue`, `plugins`, `leftovers` or `log`; `start` while the server starts.
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    /// What was found, or what is wrong and what to do.
    pub(crate) detail: String,
}

/// Whether tenants can be spawned, and if not, why.
#[utoipa::path(get, path = "/ready", tag = "health")]
pub(crate) async fn ready(State(app): State<App>) -> Readiness {
    let (database, engine, queue) = tokio::join!(database(&app), engine(&app), queue(&app));
    let checks = vec![database, engine, queue, plugins(&app), leftovers(&app), log(&app)];
    let ok = checks.iter().all(|check| check.ok);
    Readiness { status: if ok { "ready" } else { "degraded" }, checks }
}

async fn database(app: &App) -> Check {
    let answer = tokio::time::timeout(PATIENCE, app.store.check()).await;
    let (ok, detail) = match answer {
        Ok(Ok(())) => (true, format!("{} answers", app.store.engine_name())),
        Ok(Err(error)) => (false, error.to_string()),
        Err(_) => (false, format!("no answer within {PATIENCE:?}")),
    };
    Check { name: "database", ok, detail }
}

async fn engine(app: &App) -> Check {
    let answer = tokio::time::timeout(PATIENCE, app.runtime.engine()).await;
    let (ok, detail) = match answer {
        Ok(Ok(engine)) => {
            let version = format!("{} {} (API {})", engine.name, engine.version, engine.api_version);
            let defaults = app.provisioner.default_limits();
            match Machine::from(&engine).refuses_defaults(&defaults) {
                None => (true, version),
                Some(reason) => (false, format!("{version}; {reason}")),
            }
        }
        Ok(Err(error)) => (false, error.to_string()),
        Err(_) => (false, format!("no answer within {PATIENCE:?}; is the engine hanging?")),
    };
    Check { name: "engine", ok, detail }
}

/// A full queue accepts nothing more; what is stuck needs an operator, and does not keep others from working.
async fn queue(app: &App) -> Check {
    let known = app.operations.known();
    let both = async { tokio::try_join!(app.store.backlog(), app.store.unclaimable(&known)) };
    let answer = tokio::time::timeout(PATIENCE, both).await;
    let (ok, detail) = match answer {
        Ok(Ok((Backlog { queued, running, waiting, stuck, oldest }, unclaimable))) => {
            let limit = app.operations.settings().backlog_max;
            let mut detail =
                format!("{queued} queued, {running} running, {limit} may be; {waiting} waiting for a time or a signal");
            if let Some(oldest) = oldest {
                detail.push_str(&format!("; the oldest was accepted {oldest}"));
            }
            if stuck > 0 {
                detail.push_str(&format!(
                    "; {stuck} stuck: look at `GET /api/v1/operations?state=stuck`, fix the cause it reports, then retry it"
                ));
            }
            for Unclaimable { kind, checkpoint_version, count } in unclaimable {
                detail.push_str(&format!(
                    "; {count} of kind {kind} (checkpoint version {checkpoint_version}) are left alone: this server does \
                     not know them; run the version that wrote them"
                ));
            }
            (queued + running < u64::from(limit), detail)
        }
        Ok(Err(error)) => (false, error.to_string()),
        Err(_) => (false, format!("no answer within {PATIENCE:?}")),
    };
    Check { name: "queue", ok, detail }
}

/// A rejected template does not make the server unready as long as another works; a rejected policy does.
fn plugins(app: &App) -> Check {
    let plugged = app.catalogue.snapshot();
    let templates = plugged.templates();
    let problems = app.catalogue.problems();
    let languages: Vec<_> =
        templates.iter().flat_map(|template| &template.languages).map(|language| language.name.as_str()).collect();
    let mut detail = match languages.as_slice() {
        [] => "no language template is active; put one into the plugins folder".to_owned(),
        some => format!("languages: {}", some.join(", ")),
    };
    for problem in &problems {
        detail.push_str("; ");
        detail.push_str(problem);
    }
    for decision in app.catalogue.decisions() {
        detail.push_str("; ");
        detail.push_str(&decision);
    }
    // Without a policy that was meant to be there nothing is accepted, whatever else works.
    let rejected = plugged.rejected_policy();
    if let Some(failure) = &rejected {
        detail = format!("{failure}; {detail}");
    }
    Check { name: "plugins", ok: !languages.is_empty() && rejected.is_none(), detail }
}

/// What waits for an operator keeps nobody from spawning.
fn leftovers(app: &App) -> Check {
    let strays = app.provisioner.strays();
    let waiting = strays.iter().filter(|stray| stray.held.is_some()).count();
    let detail = match (waiting, strays.len()) {
        (0, 0) => "nothing is left in the engine that belongs to no tenant".to_owned(),
        (0, all) => format!("{all} things that belong to no tenant will be removed"),
        (waiting, _) => format!(
            "{waiting} things in the engine belong to no tenant and wait for an operator: `convergence leftovers` lists them \
             with the reason, and removes what you name"
        ),
    };
    Check { name: "leftovers", ok: true, detail }
}

/// A server that cannot write its log does everything else.
fn log(app: &App) -> Check {
    let detail = match app.lost_lines.load(Ordering::Relaxed) {
        0 => "every line was written".to_owned(),
        lost => format!(
            "{lost} lines could not be written since the server started: check that the disk or the reader of its standard \
             error takes them"
        ),
    };
    Check { name: "log", ok: true, detail }
}
