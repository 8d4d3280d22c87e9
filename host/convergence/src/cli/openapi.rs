//! `convergence openapi`

use super::exit::Failure;
use super::output::write_result;

/// Prints the document that `/api-docs/openapi.json` of a server of this version answers.
pub(crate) fn run() -> Result<(), Failure> {
    let document = convergence_http::openapi()
        .to_pretty_json()
        .map_err(|error| Failure::Failed(format!("the OpenAPI document cannot be written: {error}")))?;
    write_result(&document);
    Ok(())
}
