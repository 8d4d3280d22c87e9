//! JavaScript.

use super::BuildError;
use crate::project::Project;

pub(super) fn build(_: &Project) -> Result<Vec<u8>, BuildError> {
    Err(BuildError::Project("JavaScript projects cannot be built yet".to_owned()))
}
