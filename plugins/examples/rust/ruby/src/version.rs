//! Which Ruby an application asks for, and the images that have it.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;

use crate::gems;

/// Release lines that have a Debian bookworm image, newest first.
pub(crate) const KNOWN: [&str; 4] = ["4.0", "3.4", "3.3", "3.2"];

/// The release line of the starter, and of applications that ask for nothing else.
pub(crate) const DEFAULT: &str = "3.3";

/// A version as the source asks for it.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    /// Two or three numbers: `3.3`, `3.3.5`.
    pub(crate) text: String,
    /// The file.
    pub(crate) place: &'static str,
}

/// What the service runs on: without a compiler.
pub(crate) fn run_image(version: &str) -> String {
    format!("ruby:{version}-slim-bookworm")
}

/// What gems are installed on: many are compiled.
pub(crate) fn build_image(version: &str) -> String {
    format!("ruby:{version}-bookworm")
}

/// What Gemfile.lock says, since Bundler insists on it, or else `.ruby-version`.
///
/// # Errors
///
/// Invalid input when one of the files cannot be read, unsupported when no known release line serves it.
pub(crate) fn asked_for(source: &Source) -> Result<Option<Asked>, PluginError> {
    let lock = source.text("Gemfile.lock")?.unwrap_or_default();
    let pinned = source.text(".ruby-version")?.unwrap_or_default().trim();
    let (text, place) = match gems::locked_ruby(lock) {
        Some(version) => (version, "Gemfile.lock"),
        None if pinned.is_empty() => return Ok(None),
        None => (pinned.strip_prefix("ruby-").unwrap_or(pinned), ".ruby-version"),
    };
    if !is_known(text) {
        return Err(PluginError::unsupported(format!(
            "{place} asks for Ruby `{text}`, and this template knows {}; ask for one of these, as in `{DEFAULT}`",
            KNOWN.join(", ")
        )));
    }
    Ok(Some(Asked { text: text.to_owned(), place }))
}

/// Whether it is a known release line, or a release of one. Images exist for each release, and Bundler refuses another
/// than the one that a Gemfile names, so a release is kept as it is.
fn is_known(version: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    KNOWN.iter().any(|line| match version.strip_prefix(line) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('.').is_some_and(is_number),
        None => false,
    })
}
