//! Every route, one folder a noun, one file a verb.

pub(crate) mod container;
pub(crate) mod deployment;
pub(crate) mod health;
pub(crate) mod key;
pub(crate) mod leftover;
pub(crate) mod operation;
pub(crate) mod plugin;
pub(crate) mod registry;
pub(crate) mod source;
pub(crate) mod template;
pub(crate) mod tenant;
pub(crate) mod variable;
pub(crate) mod volume;

use axum::http::{Method, Uri};
use convergence_model::Code;
use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::problem::Problem;

/// All of them.
pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(tenant::routes())
        .merge(deployment::routes())
        .merge(variable::routes())
        .merge(volume::routes())
        .merge(source::routes())
        .merge(container::routes())
        .merge(template::routes())
        .merge(operation::routes())
        .merge(leftover::routes())
        .merge(plugin::routes())
        .merge(key::routes())
        .merge(registry::routes())
        .merge(health::routes())
}

/// A path that names nothing.
pub(crate) async fn absent(uri: Uri) -> Problem {
    Problem::new(Code::NoSuchPath, format!("there is nothing at {:?}; /api-docs lists what there is", uri.path()))
}

/// A path that exists, asked the wrong way.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(Code::WrongMethod, format!("{} does not answer {method}; /api-docs lists what it does", uri.path()))
}
