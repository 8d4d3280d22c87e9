//! `POST /api/v1/plugins`

use axum::Json;
use axum::body::BodyDataStream;
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use convergence_model::plugin::Source;
use convergence_model::{Code, Violation};
use convergence_plugin::Outcome;
use convergence_plugin::oci::{Reference, ReferenceError};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::wire::{self, Plugin};
use crate::App;
use crate::extract::{Authenticated, Body};
use crate::problem::{Problem, ProblemDocument};

/// Where the signature of a component that is sent as it is goes: the text of its `.sig` file on one line.
const SIGNATURE: &str = "x-plugin-signature";
/// Bytes of the longest signature.
const SIGNATURE_MAX: usize = convergence_plugin::trust::MAX_SIGNATURE_BYTES;

/// What became of a component.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Installed {
    /// The version that was sent.
    version: String,
    /// `sha256:…` of what was sent.
    digest: String,
    /// Whether it is in use. Not so where a higher version is installed: `rollback` goes down.
    active: bool,
    plugin: Plugin,
}

/// A component in a registry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Published {
    /// `oci://host/name:version`, or `@sha256:…` instead of the version.
    reference: String,
}

/// A component as a form.
#[derive(Debug, ToSchema)]
#[allow(dead_code)] // for the document alone
pub(crate) struct Upload {
    /// The component.
    #[schema(value_type = String, format = Binary)]
    component: Vec<u8>,
    /// The text of its `.sig` file.
    signature: Option<String>,
}

/// Install a component, or a new version of one. It is checked as one that is dropped into the plugins folder, and in use
/// when this answers, unless a higher version is installed.
#[utoipa::path(
    post, path = "/api/v1/plugins", tag = "plugin",
    params(("X-Plugin-Signature" = Option<String>, Header, description = "With `application/wasm`: the text of the component's `.sig` file, on one line.")),
    request_body(content(
        (Vec<u8> = "application/wasm"),
        (Upload = "multipart/form-data"),
        (Published = "application/json")
    )),
    responses(
        (status = 201, body = Installed, description = "It is installed."),
        (status = 200, body = Installed, description = "It was installed before; nothing changed."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It is at odds with what is installed: another kind, another component of the same version, a language that is served."),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "It is larger than components may be."),
        (status = 502, body = ProblemDocument, content_type = "application/problem+json", description = "It could not be fetched from the registry."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "It failed a check; the detail says which, and what to do."),
    )
)]
pub(crate) async fn install(
    State(app): State<App>,
    caller: Authenticated,
    request: Request,
) -> Result<Response, Problem> {
    let caller = caller.administrator()?;
    let limit = app.catalogue.max_component_bytes();
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type == "application/json" {
        let Body(Published { reference }) = Body::from_request(request, &app).await?;
        let reference: Reference = reference.parse().map_err(|error: ReferenceError| {
            Problem::invalid(&[Violation::deny("reference", "invalid-reference", error.to_string())])
        })?;
        return answer(&app, app.catalogue.install_from(&reference, caller.name()).await?).await;
    }
    let (bytes, signature) = match media_type.as_str() {
        "application/wasm" | "application/octet-stream" => {
            let signature = request.headers().get(SIGNATURE).map(|value| value.to_str().map(str::to_owned));
            let signature = signature.transpose().map_err(|_| unreadable_signature())?;
            (whole(request.into_body().into_data_stream(), limit).await?, signature)
        }
        "multipart/form-data" => {
            let form = Multipart::from_request(request, &app).await;
            form_of(form.map_err(|error| malformed(&error.body_text()))?, limit).await?
        }
        other => {
            return Err(Problem::new(
                Code::NotAComponent,
                format!(
                    "send a component as it is with `Content-Type: application/wasm`, as the part `component` of \
                     `multipart/form-data`, or where it is published as `application/json`; it was {other:?}"
                ),
            ));
        }
    };
    answer(&app, app.catalogue.install(bytes, signature, Source::Upload, caller.name()).await?).await
}

async fn answer(app: &App, outcome: Outcome) -> Result<Response, Problem> {
    let plugin = wire::find(app, &outcome.plugin).await?.into();
    let status = if outcome.known { StatusCode::OK } else { StatusCode::CREATED };
    let installed =
        Installed { version: outcome.version.to_string(), digest: outcome.digest, active: outcome.active, plugin };
    Ok((status, Json(installed)).into_response())
}

/// A body of at most `limit` bytes.
async fn whole(mut stream: BodyDataStream, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.try_next().await.map_err(|_| truncated())? {
        if bytes.len().saturating_add(chunk.len()) > limit {
            return Err(too_large("the component", limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The parts `component` and `signature` of a form, each at most once, and no others.
async fn form_of(mut form: Multipart, limit: usize) -> Result<(Vec<u8>, Option<String>), Problem> {
    let (mut component, mut signature) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|error| malformed(&error.body_text()))? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "component" if component.is_none() => component = Some(part(field, limit).await?),
            "signature" if signature.is_none() => {
                let text = String::from_utf8(part(field, SIGNATURE_MAX).await?);
                signature = Some(text.map_err(|_| unreadable_signature())?);
            }
            "component" | "signature" => return Err(malformed(&format!("the part `{name}` is there twice"))),
            other => return Err(malformed(&format!("there is no part {other:?}; send `component` and `signature`"))),
        }
    }
    let component = component.ok_or_else(|| malformed("the part `component` is missing"))?;
    Ok((component, signature))
}

async fn part(mut field: Field<'_>, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| malformed(&error.body_text()))? {
        if bytes.len().saturating_add(chunk.len()) > limit {
            let name = field.name().unwrap_or_default();
            return Err(too_large(&format!("the part `{name}`"), limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn truncated() -> Problem {
    Problem::new(Code::Truncated, "the body ended before all of it was there; send it again")
}

fn malformed(reason: &str) -> Problem {
    Problem::new(Code::MalformedForm, format!("the form cannot be read: {reason}"))
}

fn unreadable_signature() -> Problem {
    Problem::new(Code::MalformedSignature, "the signature is not text; send what its `.sig` file holds")
}

fn too_large(what: &str, limit: usize) -> Problem {
    let detail = format!("{what} is larger than {limit} bytes; strip debug information from it");
    Problem::new(Code::TooLarge, detail)
}
