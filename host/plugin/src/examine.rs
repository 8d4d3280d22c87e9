//! The checks that a component passes before it is installed.

use convergence_sandbox::{Component, Kind, Sandbox};
use jiff::Timestamp;
use semver::Version;

use crate::case::run_examples;
use crate::trust::{self, Admitted, TrustPolicy};

/// Why a component is not installed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct Rejected {
    /// What it is by its exports, where it could be read that far.
    pub kind: Option<Kind>,
    /// What it says that it is, where it could be asked.
    pub plugin: Option<(String, Version)>,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// What judges components.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Examiner<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) trust: &'a TrustPolicy,
}

impl Examiner<'_> {
    /// Asks who vouches for a component, looks at it, compiles it, asks it what it is and holds it to its own examples.
    /// `now` is the moment at which its signature must be good. The bytes come back.
    pub(crate) async fn examine(
        self,
        bytes: Vec<u8>,
        signature: Option<&str>,
        now: Timestamp,
    ) -> Result<(Component, Vec<u8>), Rejected> {
        let (component, bytes) = self.vouched(bytes, signature, now).await?;
        run_examples(&component).await.map_err(|reason| rejected(&component, reason))?;
        Ok((component, bytes))
    }

    /// Loads a component that was installed before. Its examples held then, and its signature was good then; what was
    /// revoked since is not.
    pub(crate) async fn reload(
        self,
        bytes: Vec<u8>,
        signature: Option<&str>,
        installed_at: Timestamp,
    ) -> Result<Component, Rejected> {
        self.vouched(bytes, signature, installed_at).await.map(|(component, _)| component)
    }

    async fn vouched(
        self,
        bytes: Vec<u8>,
        signature: Option<&str>,
        at: Timestamp,
    ) -> Result<(Component, Vec<u8>), Rejected> {
        let (bytes, kind) = claim(self.sandbox, bytes).await?;
        let admitted = self.trust.admit(&trust::digest(&bytes), signature, at);
        let admitted: Admitted =
            admitted.map_err(|error| Rejected { kind, plugin: None, reason: error.to_string() })?;
        let (component, bytes) = load(self.sandbox, bytes, kind).await?;
        let description = component.description();
        admitted
            .confirm(&description.id, &description.version, component.kind())
            .map_err(|error| rejected(&component, error.to_string()))?;
        Ok((component, bytes))
    }
}

fn rejected(component: &Component, reason: String) -> Rejected {
    let description = component.description();
    let plugin = Some((description.id.clone(), description.version.clone()));
    Rejected { kind: Some(component.kind()), plugin, reason }
}

fn inside(error: &tokio::task::JoinError) -> String {
    format!("loading it failed inside the server: {error}")
}

/// What it is by its exports. Apart from what follows, which may fail in ways of its own: an installed policy must not
/// be overlooked then.
async fn claim(sandbox: &Sandbox, bytes: Vec<u8>) -> Result<(Vec<u8>, Option<Kind>), Rejected> {
    let sandbox = sandbox.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let kind = sandbox.claimed_kind(&bytes);
        (bytes, kind)
    });
    looking.await.map_err(|error| Rejected { kind: None, plugin: None, reason: inside(&error) })
}

/// Compiling takes seconds, so it has a thread that may wait.
async fn load(sandbox: &Sandbox, bytes: Vec<u8>, kind: Option<Kind>) -> Result<(Component, Vec<u8>), Rejected> {
    let sandbox = sandbox.clone();
    let loading = tokio::task::spawn_blocking(move || sandbox.load(&bytes).map(|component| (component, bytes)));
    let loaded = match loading.await {
        Ok(loaded) => loaded.map_err(|error| error.to_string()),
        Err(error) => Err(inside(&error)),
    };
    loaded.map_err(|reason| Rejected { kind, plugin: None, reason })
}
