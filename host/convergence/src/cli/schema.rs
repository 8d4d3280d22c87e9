//! `convergence schema`

use super::exit::Failure;
use super::output::write_result;

/// Prints the JSON Schema of `convergence.toml`.
pub(crate) fn run() -> Result<(), Failure> {
    let schema = serde_json::to_string_pretty(&convergence_provision::manifest_schema())
        .map_err(|error| Failure::Failed(format!("the schema cannot be written: {error}")))?;
    write_result(&schema);
    Ok(())
}
