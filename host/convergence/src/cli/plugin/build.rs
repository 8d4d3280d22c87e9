//! `convergence plugin build`

use clap::Args;
use convergence_sandbox::{Sandbox, SandboxConfig};
use serde_json::json;

use super::Place;
use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// Which project.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// Makes a component and says what it is.
pub(crate) async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let project = arguments.place.open()?;
    let built = tokio::task::spawn_blocking(move || {
        let file = convergence_authoring::build(&project).map_err(anyhow::Error::new)?;
        let bytes = std::fs::read(&file)?;
        let described = Sandbox::new(SandboxConfig::default())?.load(&bytes)?.description().clone();
        anyhow::Ok((file, bytes.len(), described))
    });
    let (file, bytes, described) =
        built.await.map_err(|error| Failure::Failed(format!("building it failed: {error}")))??;
    let document = json!({
        "file": file,
        "bytes": bytes,
        "kind": described.kind.as_str(),
        "id": described.id,
        "version": described.version.to_string(),
    });
    output.result(&document, || {
        format!(
            "{}: {} {} {}, {:.1} KiB",
            file.display(),
            described.kind,
            described.id,
            described.version,
            bytes as f64 / 1024.0
        )
    });
    Ok(())
}
