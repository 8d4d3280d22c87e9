//! The OpenAPI document and the page to browse it; its assets are part of the binary.

use axum::Router;
use axum::response::Redirect;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::App;

#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Convergence",
        description = "Tenants as containers, planned by sandboxed WebAssembly components. While no keys exist the server is in development mode: it answers this machine only, and asks for no key.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "tenant", description = "One isolated app of an organization."),
        (name = "deployment", description = "What a tenant ran, runs and is about to run: its revisions."),
        (name = "variable", description = "What the app of a tenant is given as environment variables, plain and secret."),
        (name = "volume", description = "Folders of a tenant that outlive its container, and how much is in them."),
        (name = "source", description = "Applications that tenants are built from."),
        (name = "container", description = "Tenants as a Docker multi-tenant service served them, for clients that were written for it: a container for each client organization, and errors as `{success: false, error}`."),
        (name = "template", description = "What languages there are."),
        (name = "plugin", description = "The components that extend the server. Administrators only."),
        (name = "operation", description = "Durable pieces of work on tenants."),
        (name = "leftover", description = "Things in the engine that belong to no tenant."),
        (name = "key", description = "The keys that secrets are sealed with. Administrators only."),
        (name = "registry", description = "The registries that an organization pulls images from as a user of theirs."),
        (name = "health", description = "Whether the server is well.")
    )
)]
struct Base;

/// What the document says beyond the routes.
pub(crate) fn document() -> Document {
    Base::openapi()
}

/// `/api-docs` to browse, `/api-docs/openapi.json` to read.
pub(crate) fn browser(document: Document) -> Router<App> {
    SwaggerUi::new("/api-docs")
        .url("/api-docs/openapi.json", document)
        .config(Config::new(["/api-docs/openapi.json"]).try_it_out_enabled(true))
        .into()
}

/// `/` leads to the reference.
pub(crate) async fn entrance() -> Redirect {
    Redirect::to("/api-docs/")
}
