//! `convergence plugin build`

use clap::Args;
use convergence_authoring::Subject;
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
        let subject = Subject::prepare(project.folder())?;
        let bytes = std::fs::metadata(subject.file())?.len();
        anyhow::Ok((subject.file().to_owned(), bytes, subject.identity()?))
    });
    let (file, bytes, identity) =
        built.await.map_err(|error| Failure::Failed(format!("building it failed: {error}")))??;
    let document = json!({
        "file": file,
        "bytes": bytes,
        "kind": identity.kind,
        "id": identity.id,
        "version": identity.version,
    });
    output.result(&document, || {
        format!(
            "{}: {} {} {}, {:.1} KiB",
            file.display(),
            identity.kind,
            identity.id,
            identity.version,
            bytes as f64 / 1024.0
        )
    });
    Ok(())
}
