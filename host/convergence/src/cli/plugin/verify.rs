//! `convergence plugin verify`

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use convergence_plugin::trust::{PublicKey, TrustPolicy, TrustSettings, read_signature};
use jiff::Timestamp;
use serde_json::json;

use super::component::Candidate;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::config::Config;

/// What to check, and against whom.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Verify this component against the signature beside it (FILE.sig).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Trust this public key, `ed25519:…`; repeat the option for more.
    #[arg(long = "key", value_name = "KEY", required_unless_present = "config")]
    keys: Vec<PublicKey>,
    /// Use the keys and revocations of this server configuration.
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    config: Option<PathBuf>,
}

/// Judges it as a server would that requires signatures.
pub(super) async fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let settings = match &arguments.config {
        Some(file) => TrustSettings { require_signatures: true, ..Config::load(Some(file), None)?.trust },
        None => TrustSettings {
            require_signatures: true,
            // A key given twice is one key.
            keys: arguments.keys.iter().map(|key| (key.id().to_owned(), key.to_string())).collect::<BTreeMap<_, _>>(),
            revocations: None,
        },
    };
    let policy = TrustPolicy::new(settings).map_err(anyhow::Error::from)?;
    policy.refresh().map_err(anyhow::Error::from)?;
    let file = arguments.file.display();
    let signature = read_signature(&arguments.file).with_context(|| format!("cannot read the signature of {file}"))?;
    #[expect(clippy::disallowed_methods, reason = "a command has no clock to be given")]
    let now = Timestamp::now();
    let refused = |error| anyhow!("{file} is not to be trusted: {error}");
    let candidate = Candidate::read(&arguments.file)?;
    let digest = candidate.digest();
    // Before untrusted code is compiled, as the server does it.
    let admitted = policy.admit(&digest, signature.as_deref(), now).map_err(refused)?;
    let component = candidate.load().await?;
    let description = component.description();
    let signer = admitted
        .confirm(&description.id, &description.version, component.kind())
        .map_err(refused)?
        .with_context(|| format!("{file} is not signed by a key that is trusted"))?;
    let document = json!({
        "file": arguments.file,
        "digest": digest,
        "id": description.id,
        "version": description.version.to_string(),
        "kind": component.kind().as_str(),
        "signer": { "name": signer.name, "key": signer.key, "expires": signer.expires.to_string() },
    });
    output.result(&document, || {
        format!(
            "{file} is the {} `{}` {}, signed by `{}` until {}",
            component.kind(),
            description.id,
            description.version,
            signer.name,
            signer.expires
        )
    });
    Ok(())
}
