//! `convergence plugin push`

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use convergence_plugin::oci::{self, Published, Reference, RegistrySettings};
use convergence_plugin::trust::{Signature, read_signature};
use jiff::Timestamp;
use serde_json::json;

use super::component::Candidate;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::config::Config;

/// What to publish, and where.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Publish this component, with the signature beside it (FILE.sig) if there is one.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Publish to this reference, for example `oci://registry.example/team/ruby:1.2.0`.
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    /// Read credentials and registries without TLS from `[registries]` of this configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Publishes it as `wkg` would.
pub(super) async fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let Arguments { file, reference, config } = arguments;
    if reference.tag().is_none() || reference.digest().is_some() {
        let text = format!("`{reference}` cannot be published to: write a tag, as a rule the version, and no digest");
        return Err(Failure::Failed(text));
    }
    let settings = match &config {
        Some(config) => Config::load(Some(config), None)?.registries(),
        None => RegistrySettings::default(),
    };
    let shown = file.display();
    let signature = read_signature(&file).with_context(|| format!("cannot read the signature of {shown}"))?;
    let candidate = Candidate::read(&file)?;
    if let Some(text) = &signature {
        let signature = Signature::parse(text).with_context(|| format!("the signature of {shown} is of no use"))?;
        if signature.claim().digest != candidate.digest() {
            return Err(Failure::Failed(format!("the signature beside {shown} is one of other bytes; sign it again")));
        }
    }
    let (component, interfaces, bytes) = candidate.load_with_interfaces().await?;
    let digest = component.digest().to_owned();
    #[expect(clippy::disallowed_methods, reason = "a command has no clock to be given")]
    let created = Timestamp::now();
    let signed = signature.is_some();
    let published = Published {
        bytes,
        description: component.description().clone(),
        imports: interfaces.imports,
        exports: interfaces.exports,
        signature,
        created,
    };
    let pushed =
        oci::push(&reference, published, &settings).await.with_context(|| format!("{shown} was not published"))?;
    let document = json!({
        "reference": reference.to_string(),
        "manifest": pushed.manifest_digest,
        "digest": digest,
        "signed": signed,
    });
    output.result(&document, || {
        let signed = if signed { "with its signature" } else { "not signed" };
        format!("Published {reference}, {signed}.\nPinned: {reference}@{}", pushed.manifest_digest)
    });
    Ok(())
}
