//! `POST /api/v1/plugins`

use axum::Json;
use axum::body::BodyDataStream;
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use convergence_model::plugin::Source;
use convergence_model::{Code, Violation};
use convergence_plugin::oci::{Reference, ReferenceError};
use convergence_plugin::{ChangeError, InstallError, Outcome};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::Content;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

use super::wire::{self, Plugin};
use crate::App;
use crate::document::{Answers, Created, Draft, Either, Link, Linked, Part, problems, text};
use crate::extract::Authenticated;
use crate::input::{Drafted, content_type, read_json};
use crate::problem::Problem;

/// Where the signature of a component that is sent as it is goes: the text of its `.sig` file on one line.
const SIGNATURE: &str = "x-plugin-signature";
/// Bytes of the longest signature.
const SIGNATURE_MAX: usize = convergence_plugin::trust::MAX_SIGNATURE_BYTES;

problems!(Refused: InstallError, ChangeError);

/// The component is installed.
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

/// It was installed before; nothing changed.
#[derive(Debug)]
pub(crate) struct Known(Installed);

impl Answers for Known {
    fn describe(draft: &mut Draft) {
        let content = Content::new(Some(draft.schema::<Installed>()));
        draft.answer(200, "It was installed before; nothing changed.", vec![("application/json", content)]);
    }
}

impl IntoResponse for Known {
    fn into_response(self) -> Response {
        Json(self.0).into_response()
    }
}

impl Linked for Installed {
    const LINKS: &'static [Link] = &[
        ("plugin", "plugin_show", "id", "$response.body#/plugin/id"),
        ("stats", "plugin_stats", "id", "$response.body#/plugin/id"),
    ];
}

/// A component in a registry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Published {
    /// `oci://host/name:version`, or `@sha256:…` instead of the version.
    #[schema(
        pattern = "^oci://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)+(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$",
        max_length = 512,
        example = "oci://registry.example/team/ruby:1.0.0"
    )]
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

/// What is installed: the bytes of a component with its signature, or where it is published.
#[derive(Debug)]
pub(crate) enum Sent {
    Component(Vec<u8>, Option<String>),
    Reference(Reference),
}

impl Part for Sent {
    fn describe(draft: &mut Draft) {
        let bytes =
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        let (form, published) = (draft.schema::<Upload>(), draft.schema::<Published>());
        draft.body([
            ("application/wasm", Content::new(Some(bytes.build()))),
            ("multipart/form-data", Content::new(Some(form))),
            ("application/json", Content::new(Some(published))),
        ]);
        let description = "With `application/wasm`: the text of the component's `.sig` file, on one line.";
        draft.header("X-Plugin-Signature", text(), description);
        draft.codes([
            Code::NotAComponent,
            Code::EncodedBody,
            Code::Truncated,
            Code::TooLarge,
            Code::MalformedForm,
            Code::MalformedSignature,
            Code::MalformedJson,
            Code::Invalid,
        ]);
    }
}

impl FromRequest<App> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let limit = app.catalogue.max_component_bytes();
        match content_type(request.headers())?.as_str() {
            "application/json" => {
                let Drafted { body: Published { reference }, wrong } = read_json(request).await?;
                if !wrong.is_empty() {
                    return Err(Problem::invalid(&wrong));
                }
                let reference = reference.parse().map_err(|error: ReferenceError| {
                    Problem::invalid(&[Violation::deny("reference", "invalid-reference", error.to_string())])
                })?;
                Ok(Self::Reference(reference))
            }
            "application/wasm" | "application/octet-stream" => {
                let signature = request.headers().get(SIGNATURE).map(|value| value.to_str().map(str::to_owned));
                let signature = signature.transpose().map_err(|_| unreadable_signature())?;
                Ok(Self::Component(whole(request.into_body().into_data_stream(), limit).await?, signature))
            }
            "multipart/form-data" => {
                let form = Multipart::from_request(request, app).await;
                let (bytes, signature) = form_of(form.map_err(|error| malformed(&error.body_text()))?, limit).await?;
                Ok(Self::Component(bytes, signature))
            }
            other => Err(Problem::new(
                Code::NotAComponent,
                format!(
                    "send a component as it is with `Content-Type: application/wasm`, as the part `component` of \
                     `multipart/form-data`, or where it is published as `application/json`; it was {other:?}"
                ),
            )),
        }
    }
}

/// Install a component, or a new version of one. It is checked as one that is dropped into the plugins folder, and in use
/// when this answers, unless a higher version is installed.
#[utoipa::path(post, path = "/api/v1/plugins", tag = "plugin")]
pub(crate) async fn install(
    State(app): State<App>,
    caller: Authenticated,
    sent: Sent,
) -> Result<Either<Created<Installed>, Known>, Refused> {
    let caller = caller.administrator();
    let outcome = match sent {
        Sent::Component(bytes, signature) => {
            app.catalogue.install(bytes, signature, Source::Upload, caller.name()).await?
        }
        Sent::Reference(reference) => app.catalogue.install_from(&reference, caller.name()).await?,
    };
    answer(&app, outcome).await
}

async fn answer(app: &App, outcome: Outcome) -> Result<Either<Created<Installed>, Known>, Refused> {
    let plugin = wire::find(app, &outcome.plugin).await?.into();
    let location = format!("/api/v1/plugins/{}", outcome.plugin);
    let installed =
        Installed { version: outcome.version.to_string(), digest: outcome.digest, active: outcome.active, plugin };
    Ok(if outcome.known { Either::Other(Known(installed)) } else { Either::One(Created { location, body: installed }) })
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
