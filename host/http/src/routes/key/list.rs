//! `GET /api/v1/keys`

use axum::Json;
use axum::extract::State;
use convergence_provision::RingKey;
use convergence_store::StoreError;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::document::problems;
use crate::extract::Authenticated;

problems!(Refused: StoreError);

/// The key ring, without the keys themselves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeysView {
    keys: Vec<KeyView>,
}

/// A key of the ring.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    #[schema(example = "3fa91c07")]
    id: String,
    /// `sealing` (it seals), `opening` (values are sealed with it), `unused` (it can be retired), `retired` (it may be removed from
    /// the ring; backups may still need it) or `missing` (it is not in this server's ring, and should be).
    state: String,
    /// How many values are sealed with it.
    values: u64,
    /// When it sealed first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
}

impl From<RingKey> for KeyView {
    fn from(key: RingKey) -> Self {
        let values = key.known.as_ref().map_or(0, |known| known.values);
        let state = match (&key.known, values) {
            _ if !key.is_held => "missing",
            _ if key.is_newest => "sealing",
            (None, _) => "retired",
            (Some(_), 0) => "unused",
            (Some(_), _) => "opening",
        };
        let created_at = key.known.map(|known| known.created_at);
        Self { id: key.id.to_string(), state: state.to_owned(), values, created_at }
    }
}

/// The keys that secrets are sealed with, and how many values each has sealed.
#[utoipa::path(get, path = "/api/v1/keys", tag = "key")]
pub(crate) async fn list(State(app): State<App>, caller: Authenticated) -> Result<Json<KeysView>, Refused> {
    let _ = caller.administrator();
    let keys = app.provisioner.ring().await?.into_iter().map(KeyView::from).collect();
    Ok(Json(KeysView { keys }))
}
