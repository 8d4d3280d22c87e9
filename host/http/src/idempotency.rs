//! `Idempotency-Key`: a request that may be sent again, because its answer was lost, without being done twice.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use convergence_model::{Code, OrgId};
use convergence_store::Idempotency;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::App;
use crate::document::{Draft, Part, text};
use crate::problem::Problem;

/// The header, as clients write it.
pub(crate) const HEADER: &str = "idempotency-key";
/// Says that an answer is that of an earlier request.
pub(crate) const REPLAYED: &str = "idempotency-replayed";
/// Characters of a key.
const LENGTH_MAX: usize = 255;

/// The key a request came with, if it came with one.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(Option<String>);

impl Part for IdempotencyKey {
    fn describe(draft: &mut Draft) {
        let schema = text().min_length(Some(1)).max_length(Some(LENGTH_MAX)).pattern(Some("^[!-~]+$"));
        let description = "Sent again with the same key and the same request, it begins nothing and answers what the first \
                           request began. Requests are the same if they mean the same: the order of fields, and fields that \
                           say what holds anyway, make no difference, nor does how long the caller waits.";
        draft.header("Idempotency-Key", schema, description);
        draft.codes([Code::BadIdempotencyKey, Code::IdempotencyKeyReused]);
    }
}

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let key = value.to_str().unwrap_or_default();
        let good = (1..=LENGTH_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !good || values.next().is_some() {
            return Err(Problem::new(
                Code::BadIdempotencyKey,
                format!(
                    "`Idempotency-Key` is sent once, with 1 to {LENGTH_MAX} visible ASCII characters; a UUID is a good one"
                ),
            ));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

impl IdempotencyKey {
    /// The key, with a hash of everything that was asked: what is called, for whom, with which body. How long the caller
    /// waits is no part of it.
    ///
    /// # Errors
    /// The body cannot be written down: a defect.
    pub(crate) fn of(self, route: &str, org: OrgId, body: &impl Serialize) -> Result<Option<Idempotency>, NotWritten> {
        let Some(key) = self.0 else { return Ok(None) };
        let body = serde_json::to_vec(body).map_err(NotWritten)?;
        let request = Sha256::new().chain_update(route).chain_update(org.0.to_be_bytes()).chain_update(body).finalize();
        Ok(Some(Idempotency { key, request: request.to_vec() }))
    }
}

/// A request that cannot be written down to be compared: a defect.
#[derive(Debug)]
pub(crate) struct NotWritten(serde_json::Error);

impl From<NotWritten> for Problem {
    fn from(NotWritten(error): NotWritten) -> Self {
        Self::internal(&error)
    }
}

impl crate::document::Fails for NotWritten {
    fn codes() -> std::collections::BTreeSet<Code> {
        [Code::Internal].into()
    }
}
