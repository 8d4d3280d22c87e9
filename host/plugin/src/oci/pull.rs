//! Fetching a component.

use hyper::StatusCode;
use tokio::time::timeout;

use super::error::RegistryError;
use super::exchange::{Action, Exchange};
use super::manifest::Manifest;
use super::reference::Reference;
use super::settings::RegistrySettings;
use crate::trust;

/// Bytes of the largest manifest: one layer, some annotations.
const MAX_MANIFEST: u64 = 256 << 10;
/// An index is asked for too, so that it can be said what is wrong with it.
const ACCEPT_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// A component as it came. Its bytes are those that its manifest names; what they are worth is for the trust policy and
/// the sandbox to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The component.
    pub bytes: Vec<u8>,
    /// `sha256:…` of `bytes`.
    pub digest: String,
    /// `sha256:…` of the manifest: with it the reference is pinned.
    pub manifest_digest: String,
    /// The text of the `.sig` file, if it is signed.
    pub signature: Option<String>,
}

/// Fetches a component.
///
/// # Errors
/// It is not there, is something else, is too large or not what its digest says; the registry cannot be asked, or not
/// by the rules of [`RegistrySettings`].
pub async fn pull(reference: &Reference, settings: &RegistrySettings) -> Result<Pulled, RegistryError> {
    match timeout(settings.patience, fetch(reference, settings)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(RegistryError::TimedOut { host: reference.registry(), after: settings.patience }),
    }
}

async fn fetch(reference: &Reference, settings: &RegistrySettings) -> Result<Pulled, RegistryError> {
    let mut exchange = Exchange::open(reference, settings, Action::Pull)?;
    let what = format!("manifests/{}", reference.version());
    let answer = exchange.get(&what, ACCEPT_MANIFEST, MAX_MANIFEST).await?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            let what = format!("{}:{}", reference.repository(), reference.version());
            return Err(RegistryError::NotFound { registry: reference.registry(), what });
        }
        _ => return Err(exchange.unexpected(&answer)),
    }
    let manifest_digest = trust::digest(&answer.body);
    let named = match reference.digest() {
        Some(digest) => Some(digest),
        None => answer.headers.get("docker-content-digest").and_then(|value| value.to_str().ok()),
    };
    if let Some(expected) = named.filter(|digest| *digest != manifest_digest) {
        let expected = expected.chars().take(100).collect();
        return Err(RegistryError::WrongDigest { what: "manifest", expected, actual: manifest_digest });
    }
    let no_component = |reason| RegistryError::NotAComponent { what: reference.to_string(), reason };
    let manifest = Manifest::parse(&answer.body).map_err(no_component)?;
    let layer = manifest.component().map_err(no_component)?;
    if layer.size > settings.max_component_bytes {
        return Err(RegistryError::TooLarge { what: "component", limit: settings.max_component_bytes });
    }
    let answer = exchange.get(&format!("blobs/{}", layer.digest), "application/wasm, */*", layer.size).await?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            return Err(RegistryError::NotFound { registry: reference.registry(), what: layer.digest.clone() });
        }
        _ => return Err(exchange.unexpected(&answer)),
    }
    let digest = trust::digest(&answer.body);
    if digest != layer.digest {
        return Err(RegistryError::WrongDigest { what: "component", expected: layer.digest.clone(), actual: digest });
    }
    tracing::info!(target: "plugin", %reference, manifest = manifest_digest, digest, bytes = answer.body.len(), "fetched a component");
    Ok(Pulled { signature: manifest.signature().map(str::to_owned), bytes: answer.body, digest, manifest_digest })
}
