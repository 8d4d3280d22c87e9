//! Which tenant a client organization is.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use convergence_model::{EnvId, TenantName, Violation};
use convergence_provision::Report;
use convergence_store::StoreError;
use utoipa::openapi::schema::SchemaFormat;
use uuid::Uuid;

use crate::App;
use crate::document::refusal::{ByName, Wrong};
use crate::document::{Absent, Answers, Draft, Part, problems, text};
use crate::extract::Authenticated;

/// A UUID as those clients write it: with hyphens, in either case.
const UUID: &str = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$";
/// Characters of such a UUID.
const LENGTH: usize = 36;

problems!(NoContainer: ByName, Absent);
problems!(NoClient: Wrong);
problems!(Unseen: NoContainer, StoreError);

/// The client organization that the path names. Its tenant is not looked up here.
#[derive(Debug, Clone)]
pub(crate) struct ClientPath(pub(crate) TenantName);

impl Part for ClientPath {
    fn describe(draft: &mut Draft) {
        let schema = text().format(Some(SchemaFormat::Custom("uuid".to_owned()))).pattern(Some(UUID));
        let schema = schema.examples(["550e8400-e29b-41d4-a716-446655440001"]);
        draft.path("organizationId", schema, "The UUID of the client organization.");
        NoClient::describe(draft);
    }
}

impl FromRequestParts<App> for ClientPath {
    type Rejection = NoClient;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoClient> {
        let text = Path::<String>::from_request_parts(parts, app).await.map(|path| path.0).unwrap_or_default();
        Ok(Self(name_of(&text)?))
    }
}

/// The name of a client organization's tenant.
pub(super) fn name_of(organization_id: &str) -> Result<TenantName, Wrong> {
    let wrong = || {
        let message = format!(
            "{organization_id:?} is not a UUID; send one with hyphens, for example 550e8400-e29b-41d4-a716-446655440001"
        );
        Wrong(vec![Violation::deny("organizationId", "bad-form", message)])
    };
    if !is_client(organization_id) {
        return Err(wrong());
    }
    TenantName::parse(&organization_id.to_ascii_lowercase()).map_err(|_| wrong())
}

/// Whether a tenant of this name is a client organization's.
pub(super) fn is_client(name: &str) -> bool {
    name.len() == LENGTH && Uuid::try_parse(name).is_ok()
}

/// The tenant of a client organization.
pub(super) async fn find(app: &App, caller: &Authenticated, client: &TenantName) -> Result<EnvId, NoContainer> {
    let (org, scope) = caller.organization(None)?;
    Ok(app.store.tenant_named(&scope, org, client).await.map_err(ByName)?.ok_or(Absent("tenant"))?)
}

/// How the tenant of a client organization is.
pub(super) async fn report(app: &App, caller: &Authenticated, client: &TenantName) -> Result<Report, Unseen> {
    let env_id = find(app, caller, client).await?;
    let report = app.provisioner.status(&caller.0.scope(), env_id).await?;
    Ok(report.ok_or_else(|| NoContainer::from(Absent("tenant")))?)
}

/// Where a tenant answers, as its neighbours on the host reach it.
pub(super) fn url_of(app: &App, port: u16) -> String {
    let address = app.provisioner.publish_address();
    if address.is_loopback() || address.is_unspecified() {
        return format!("http://localhost:{port}");
    }
    format!("http://{}", std::net::SocketAddr::new(address, port))
}

/// The engine's id of a tenant's container; none where there is none, or the engine does not answer.
pub(super) async fn engine_id(app: &App, container_name: &str) -> Option<String> {
    let observed = app.runtime.observe(container_name).await.ok()??;
    observed.instances.into_iter().next().map(|instance| instance.id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_client_organization_is_meant_by_a_uuid_with_hyphens_in_either_case() {
        let validator = jsonschema::draft202012::new(&serde_json::json!({ "pattern": UUID })).unwrap();
        let id = "550e8400-e29b-41d4-a716-446655440001";
        assert_eq!(name_of(&id.to_uppercase()).unwrap().as_str(), id);
        assert_eq!(name_of("00000000-0000-0000-0000-000000000000").unwrap().as_str().len(), LENGTH);
        for text in ["550e8400e29b41d4a716446655440001", "{550e8400-e29b-41d4-a716-446655440001}", "", "invalid-uuid"] {
            assert!(name_of(text).is_err() && !validator.is_valid(&text.into()), "{text:?}");
        }
        assert!(validator.is_valid(&id.into()));
    }
}
