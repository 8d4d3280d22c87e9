//! The registries that an organization pulls images from as a user of theirs.

mod list;
mod login;
mod logout;
mod path;

use convergence_store::Registry;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::document::route;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(route!(list::list)).routes(route!(login::login, logout::logout))
}

/// A registry that an organization is logged in to, without the password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistryView {
    /// The registry's host as images name it.
    #[schema(example = "registry.example:5000")]
    host: String,
    /// The user's name there.
    user: String,
    /// Who logged in.
    actor: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Registry> for RegistryView {
    fn from(registry: Registry) -> Self {
        let Registry { host, user, actor, created_at } = registry;
        Self { host: host.to_string(), user, actor, created_at }
    }
}
