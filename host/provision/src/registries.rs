//! Private registries: who an organization pulls images as. The password is sealed before the store sees it, opened where an image
//! is pulled for a tenant of that organization, and given to the builder for the registry that it is for.
//!
//! An engine keeps what it pulled and gives it to everybody. So an image that was pulled with credentials is remembered, and from
//! then on the registry has to let an organization pull it before that organization gets it.

use convergence_access::{Caller, Place};
use convergence_model::{ImageRepository, OrgId, RegistryCredentials, RegistryHost, Scope};
use convergence_runtime::Pull;
use convergence_store::{Conflict, NewRegistry, Registry, SealedIn, SealedRegistry, SealedRow, StoreError};

use crate::Provisioner;
use crate::keys::RingError;
use crate::secrets::SecretError;

/// How often a login is tried that others of the same organization overtake.
const ATTEMPTS: u32 = 5;

/// How registries and engines say that an image is not for everybody, in lower case.
const DENIED: [&str; 8] = [
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "access denied",
    "access to the resource is denied",
    "403 forbidden",
    "error parsing http 401",
    "error parsing http 403",
];

/// Why a login is not kept. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The store does not answer, or there is no such organization.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The password cannot be sealed: the key ring cannot be used.
    #[error(transparent)]
    Ring(#[from] RingError),
}

impl Provisioner {
    /// Keeps what an organization logs in to a registry with, instead of what it had. The registry is not asked.
    ///
    /// # Errors
    /// [`LoginError`]; also [`Conflict::NoOrganization`].
    pub async fn log_in(
        &self,
        scope: &Scope,
        caller: &Caller,
        org: OrgId,
        credentials: &RegistryCredentials,
    ) -> Result<Registry, LoginError> {
        // Another server may have added a key, which seals from then on.
        self.keys.reload(&self.store, self.clock.now()).await?;
        let RegistryCredentials { host, user, password } = credentials;
        let (owner, actor) = (org.to_string(), caller.name());
        let mut attempt = 0;
        loop {
            attempt += 1;
            let set = self.store.registries_set(scope, org).await?;
            let set = set.ok_or_else(|| StoreError::from(Conflict::NoOrganization(org)))?;
            let (version, now) = (set.saturating_add(1), self.clock.now());
            let place = Place { column: SealedIn::Registries.column(), owner: &owner, name: host.as_str(), version };
            let sealed = self.keys.seals.seal(place, password).map_err(RingError::from)?;
            let new = NewRegistry { host, user, version, sealed: &sealed, actor, now };
            match self.store.log_in(scope, org, new).await {
                Err(StoreError::Conflict(Conflict::ChangedMeanwhile)) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    let (host, user, actor) = (host.clone(), user.clone(), actor.to_owned());
                    return Ok(Registry { host, user, actor, created_at: now });
                }
            }
        }
    }

    /// Deletes what an organization logs in to a registry with; false where it does not. What was built stays.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn log_out(
        &self,
        scope: &Scope,
        caller: &Caller,
        org: OrgId,
        host: &RegistryHost,
    ) -> Result<bool, StoreError> {
        self.store.log_out(scope, org, host, caller.name(), self.clock.now()).await
    }

    /// How an image is pulled for an organization: `reference` is what the operator's map made of what was `asked` for.
    pub(crate) async fn pull_of(&self, org: OrgId, asked: &str, reference: &str) -> Result<Pull, SecretError> {
        let Some(repository) = ImageRepository::of(reference) else { return Ok(Pull::default()) };
        let credentials = self.credentials(org, &repository.host).await?;
        // What the operator put in the place of images of another registry is for every organization.
        let is_mapped = ImageRepository::of(asked).is_none_or(|asked| asked.host != repository.host);
        let ask_registry = !repository.is_official()
            && ((credentials.is_some() && !is_mapped) || self.store.is_private_image(&repository).await?);
        Ok(Pull { credentials, ask_registry })
    }

    /// Remembers, before it is pulled, that a registry may let this organization alone pull an image. Answers the repository
    /// where that is new, so that it is forgotten where there is no such image.
    pub(crate) async fn remember_pull(
        &self,
        reference: &str,
        pull: &Pull,
    ) -> Result<Option<ImageRepository>, StoreError> {
        match ImageRepository::of(reference) {
            Some(repository) if pull.ask_registry && pull.credentials.is_some() => {
                Ok(self.store.add_private_image(&repository).await?.then_some(repository))
            }
            _ => Ok(None),
        }
    }

    /// Forgets it again where the engine does not have the image: a login to a registry that has none must not take local images
    /// from others.
    pub(crate) async fn forget_pull(&self, reference: &str, repository: &ImageRepository) -> Result<(), StoreError> {
        match self.builder.image_id(reference).await {
            Ok(None) => self.store.forget_private_image(repository).await,
            // Another pull brought it, or that cannot be told.
            _ => Ok(()),
        }
    }

    async fn credentials(&self, org: OrgId, host: &RegistryHost) -> Result<Option<RegistryCredentials>, SecretError> {
        let Some(kept) = self.store.registry(&Scope::platform(), org, host).await? else { return Ok(None) };
        let SealedRegistry { user, version, sealed } = kept;
        let (owner, name) = (org.to_string(), host.to_string());
        let row = SealedRow { kept_in: SealedIn::Registries, owner, name, version, sealed };
        let password = self.open(&row).await?;
        Ok(Some(RegistryCredentials { host: host.clone(), user, password }))
    }
}

/// The likely cause and what to do, where an image was not pulled for want of a login.
pub(crate) fn login_needed(reference: &str, message: &str) -> Option<(String, String)> {
    let repository = ImageRepository::of(reference)?;
    let said = message.to_ascii_lowercase();
    // Docker Hub says the same of an official image that does not exist.
    if repository.is_official() || !DENIED.iter().any(|words| said.contains(words)) {
        return None;
    }
    let host = repository.host;
    let cause = format!("the registry {host} does not let this organization pull the image, or has no such image");
    let next = format!(
        "log in with `convergence registry login {host} --user NAME`, then send the request again; where the organization is logged in, check the image's name and what that user may pull"
    );
    Some((cause, next))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pull_that_needs_a_login_says_where() {
        let told = |reference: &str, message: &str| login_needed(reference, message).map(|(_, next)| next);
        for message in [
            "Head \"https://registry.example:5000/v2/app/manifests/1\": no basic auth credentials",
            "unauthorized: authentication required",
            "pull access denied for registry.example:5000/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
            "error parsing HTTP 403 response body: it is not what a registry answers",
        ] {
            let next = told("registry.example:5000/app:1", message).unwrap();
            assert!(next.contains("`convergence registry login registry.example:5000 --user NAME`"), "{next}");
        }
        assert!(told("acme/app", "pull access denied").unwrap().contains("login docker.io "));
        assert_eq!(told("no-such-image:1", "pull access denied"), None);
        assert_eq!(told("registry.example/app:1", "dial tcp: lookup registry.example: no such host"), None);
    }
}
