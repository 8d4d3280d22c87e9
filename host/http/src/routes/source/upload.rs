//! `POST /api/v1/sources`

use std::collections::BTreeSet;

use axum::body::BodyDataStream;
use axum::extract::{FromRequest, Request, State};
use axum::http::HeaderMap;
use convergence_model::{Code, Violation};
use convergence_source::SourceError;
use convergence_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::openapi::Content;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::{IntoParams, ToSchema};

use super::SourceView;
use crate::App;
use crate::document::{Absent, Created, Draft, Fails, Link, Linked, Part, problems, text};
use crate::extract::Authenticated;
use crate::input::{Query, content_type};
use crate::problem::Problem;

problems!(Refused: Absent, StoreError, SourceError, Unkept);

/// What was received is not the organization's.
#[derive(Debug)]
pub(crate) struct Unkept(StoreError);

impl From<Unkept> for Problem {
    fn from(Unkept(error): Unkept) -> Self {
        error.into()
    }
}

impl Fails for Unkept {
    fn codes() -> BTreeSet<Code> {
        let mut codes = StoreError::codes();
        codes.insert(Code::SourcesFull);
        codes
    }
}

/// What an archive may be sent as. Its first bytes say which kind it is.
const MEDIA_TYPES: [&str; 6] = [
    "application/gzip",
    "application/octet-stream",
    "application/x-gtar",
    "application/x-tar",
    "application/zip",
    "application/zstd",
];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The organization it is for; the caller's own where absent.
    org_id: Option<i64>,
}

/// The source is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Uploaded {
    source: SourceView,
    /// What was made of the archive, human-readable.
    notes: Vec<String>,
}

impl Linked for Uploaded {
    const LINKS: &'static [Link] = &[("source", "source_show", "digest", "$response.body#/source/digest")];
}

/// An archive, as it comes, with the SHA-256 that its sender says it has.
#[derive(Debug)]
pub(crate) struct Archive {
    body: BodyDataStream,
    checksum: Option<[u8; 32]>,
}

impl Part for Archive {
    fn describe(draft: &mut Draft) {
        let bytes =
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        let schema = bytes.build();
        draft.body(MEDIA_TYPES.map(|media| (media, Content::new(Some(schema.clone())))));
        let description = "`sha-256=:<base64>:` of the archive (RFC 9530). What arrives differently is refused.";
        let pattern = "^(?:[^,]*,)*\\s*sha-256=:[A-Za-z0-9+/]{43}=:\\s*(?:,.*)?$";
        draft.header("Content-Digest", text().pattern(Some(pattern)), description);
        draft.codes([Code::NotAnArchive, Code::EncodedBody, Code::Invalid]);
    }
}

impl FromRequest<App> for Archive {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Problem> {
        let media_type = content_type(request.headers())?;
        if !MEDIA_TYPES.contains(&media_type.as_str()) {
            // Not a formality: a form on another site can send anything but these.
            let detail = format!(
                "send an archive as it is, with one of these content types: {}; it was {media_type:?}",
                MEDIA_TYPES.join(", ")
            );
            return Err(Problem::new(Code::NotAnArchive, detail));
        }
        let checksum = checksum(request.headers())?;
        Ok(Self { body: request.into_body().into_data_stream(), checksum })
    }
}

/// The SHA-256 of a `Content-Digest` (RFC 9530), if there is one.
fn checksum(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Problem> {
    let Some(value) = headers.get("content-digest") else { return Ok(None) };
    let read = |text: &str| {
        let digest = text.split(',').find_map(|part| part.trim().strip_prefix("sha-256=:")?.strip_suffix(':'))?;
        data_encoding::BASE64.decode(digest.as_bytes()).ok()?.try_into().ok()
    };
    value.to_str().ok().and_then(read).map(Some).ok_or_else(|| {
        let message = "it is not `sha-256=:<base64 of the SHA-256>:`; write it so, or leave the header out";
        Problem::invalid(&[Violation::deny("Content-Digest", "bad-form", message)])
    })
}

/// Upload the source of an application: a tar, tar.gz, tar.zst or zip.
///
/// It is checked entry by entry and kept under the hash of what is in it, for tenants to be built from. Sending the same again
/// changes nothing. A source that nothing is built from is removed after some time.
#[utoipa::path(post, path = "/api/v1/sources", tag = "source")]
pub(crate) async fn upload(
    State(app): State<App>,
    caller: Authenticated,
    Query(parameters): Query<Parameters>,
    Archive { body, checksum }: Archive,
) -> Result<Created<Uploaded>, Refused> {
    let (org, scope) = caller.organization(parameters.org_id)?;
    if app.store.organization(&scope, org).await?.is_none() {
        return Err(Absent("organization").into());
    }
    let received = app.sources.receive(body, checksum).await?;
    app.provisioner.keep_source(org, &received).await.map_err(Unkept)?;
    let digest = received.digest.to_string();
    let location = format!("/api/v1/sources/{digest}");
    let source = SourceView { digest, bytes: received.bytes, files: received.files };
    Ok(Created { location, body: Uploaded { source, notes: received.notes } })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_checksum_is_read_as_rfc_9530_writes_it() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-digest", value.parse().unwrap());
            checksum(&headers).map_err(|_| ())
        };
        let good = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(of(good).unwrap().unwrap().first(), Some(&0x44));
        assert_eq!(of(&format!("md5=:AAAA:, {good}")).unwrap(), of(good).unwrap());
        for bad in ["", "sha-256=abc", "sha-256=:abc:", "sha-512=:RK/0:"] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
        assert_eq!(checksum(&HeaderMap::new()).ok(), Some(None));
    }
}
