//! `convergence plugin new`

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use convergence_authoring::{Kind, Language};
use serde_json::json;

use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// What to make.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Choose what the plugin does.
    #[arg(long, value_parser = kinds(), value_name = "KIND")]
    kind: Kind,

    /// Choose the language to write the plugin in.
    #[arg(long, value_parser = languages(), value_name = "LANGUAGE")]
    lang: Language,

    /// Name the plugin: lower-case letters, digits and '-'. The folder, the id and the component get this name.
    name: String,

    /// Create the project in this folder, which must be new or empty [default: NAME].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn kinds() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(convergence_authoring::KINDS.map(Kind::as_str))
        .try_map(|word| convergence_authoring::kind_named(&word).ok_or("is no kind"))
}

fn languages() -> impl TypedValueParser<Value = Language> {
    PossibleValuesParser::new(Language::ALL.map(Language::as_str))
        .try_map(|word| Language::named(&word).ok_or("is no language"))
}

/// Makes a project and says what to do next.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let folder = arguments.dir.clone().unwrap_or_else(|| PathBuf::from(&arguments.name));
    let project = convergence_authoring::new(arguments.kind, arguments.lang, &arguments.name, &folder)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let document = json!({
        "folder": project.folder(),
        "name": project.name(),
        "kind": project.kind().as_str(),
        "language": project.language().as_str(),
    });
    output.result(&document, || {
        format!(
            "created {}: a {} plugin in {}\n\nnext:\n  cd {}\n  convergence plugin check\n  convergence plugin test",
            folder.display(),
            project.kind(),
            project.language().title(),
            folder.display()
        )
    });
    Ok(())
}
