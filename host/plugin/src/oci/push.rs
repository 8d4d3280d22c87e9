//! Publishing a component, so that `wkg` and we find it.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::LOCATION;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use tokio::time::timeout;

use super::error::RegistryError;
use super::exchange::{Action, Ask, Exchange, content_type};
use super::manifest::{Contents, MANIFEST_TYPE, SIGNATURE};
use super::reference::Reference;
use super::settings::RegistrySettings;
use crate::trust;

/// Bytes of an answer that has nothing to say.
const MAX_ANSWER: u64 = 64 << 10;

/// A component to publish, and what is known of it.
#[derive(Debug, Clone)]
pub struct Published {
    /// The component.
    pub bytes: Vec<u8>,
    /// What it says about itself.
    pub description: convergence_sandbox::Description,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// The interfaces it exports.
    pub exports: Vec<String>,
    /// The text of its `.sig` file, if it is signed.
    pub signature: Option<String>,
    /// When it is published.
    pub created: Timestamp,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// `sha256:…` of the manifest: with it the reference is pinned.
    pub manifest_digest: String,
}

/// Publishes a component under a tag. What has that tag loses it.
///
/// # Errors
/// The registry does not take it, or cannot be asked by the rules of [`RegistrySettings`].
pub async fn push(
    reference: &Reference,
    component: Published,
    settings: &RegistrySettings,
) -> Result<Pushed, RegistryError> {
    match timeout(settings.patience, publish(reference, component, settings)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(RegistryError::TimedOut { host: reference.registry(), after: settings.patience }),
    }
}

async fn publish(
    reference: &Reference,
    component: Published,
    settings: &RegistrySettings,
) -> Result<Pushed, RegistryError> {
    let Published { bytes, description, imports, exports, signature, created } = component;
    let mut exchange = Exchange::open(reference, settings, Action::Push)?;
    let facts = [
        ("org.opencontainers.image.version", Some(description.version.to_string())),
        ("org.opencontainers.image.description", Some(description.summary)),
        ("org.opencontainers.image.url", description.homepage),
        (SIGNATURE, signature),
    ];
    let facts = facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let annotations: BTreeMap<String, String> = facts.filter(|(_, value)| !value.is_empty()).collect();
    let contents = Contents {
        component: &bytes,
        file_name: format!("{}.wasm", description.id),
        imports: &imports,
        exports: &exports,
        annotations,
        created,
    };
    let (manifest, config) = contents.build().map_err(|error| RegistryError::NotAComponent {
        what: reference.to_string(),
        reason: format!("no manifest can be made of it: {error}"),
    })?;
    upload(&mut exchange, bytes).await?;
    upload(&mut exchange, config).await?;
    let manifest_digest = trust::digest(&manifest);
    let ask = Ask {
        method: Method::PUT,
        url: exchange.url(&format!("manifests/{}", reference.tag().unwrap_or(&manifest_digest)))?,
        headers: vec![content_type(MANIFEST_TYPE)],
        body: manifest.into(),
    };
    let answer = exchange.ask(&ask, MAX_ANSWER).await?;
    if answer.status != StatusCode::CREATED {
        return Err(exchange.unexpected(&answer));
    }
    Ok(Pushed { manifest_digest })
}

/// Uploads a blob, unless it is there.
async fn upload(exchange: &mut Exchange, bytes: Vec<u8>) -> Result<(), RegistryError> {
    let digest = trust::digest(&bytes);
    let url = exchange.url(&format!("blobs/{digest}"))?;
    let there = Ask { method: Method::HEAD, url, headers: Vec::new(), body: Bytes::new() };
    if exchange.ask(&there, MAX_ANSWER).await?.status == StatusCode::OK {
        return Ok(());
    }
    let begin =
        Ask { method: Method::POST, url: exchange.url("blobs/uploads/")?, headers: Vec::new(), body: Bytes::new() };
    let answer = exchange.ask(&begin, MAX_ANSWER).await?;
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let (StatusCode::ACCEPTED, Some(location)) = (answer.status, location) else {
        return Err(exchange.unexpected(&answer));
    };
    let mut url = exchange.join(&answer.url, location)?;
    url.query_pairs_mut().append_pair("digest", &digest);
    let headers = vec![content_type("application/octet-stream")];
    let answer = exchange.ask(&Ask { method: Method::PUT, url, headers, body: bytes.into() }, MAX_ANSWER).await?;
    if answer.status == StatusCode::CREATED { Ok(()) } else { Err(exchange.unexpected(&answer)) }
}
