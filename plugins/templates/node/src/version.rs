//! Which Node an application asks for, and the image that has it.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;

use crate::layout::Layout;

/// The image of the starter, and of applications that ask for nothing else.
pub(crate) const DEFAULT_IMAGE: &str = "node:22-bookworm-slim";

/// Release lines that have a Debian bookworm image, newest first.
pub(crate) const KNOWN: [(u32, &str); 4] = [(24, "24"), (22, "22"), (20, "20"), (18, "18")];

/// The release line of [`DEFAULT_IMAGE`].
const DEFAULT: u32 = 22;

/// Names that `.nvmrc` may use for release lines with long-term support.
const CODE_NAMES: [(&str, u32); 4] = [("krypton", 24), ("jod", 22), ("iron", 20), ("hydrogen", 18)];

/// A version as the source asks for it.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    /// As written.
    pub(crate) text: String,
    /// The file, or the file and the field.
    place: String,
    /// The release line that serves it; none when no known one does.
    line: Option<u32>,
}

/// The first of `.nvmrc`, `.node-version` and `engines.node` that says something.
///
/// # Errors
///
/// Invalid input when one of the files cannot be read.
pub(crate) fn asked_for(source: &Source, layout: &Layout) -> Result<Option<Asked>, PluginError> {
    let names = [".nvmrc", ".node-version"];
    // In a workspace, what the application's own folder says comes first.
    let own = names.map(|name| layout.in_package(name));
    for place in own.into_iter().chain(names.map(|name| layout.in_root(name))) {
        let text = source.text(&place)?.unwrap_or_default();
        if let Some(text) = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')) {
            return Ok(Some(Asked { text: text.to_owned(), line: line_of_name(text), place }));
        }
    }
    let own = layout.package.engine().map(|range| (range, layout.in_package("package.json")));
    let range = own.or_else(|| Some((layout.installed().engine()?, layout.in_root("package.json"))));
    Ok(range.map(|(range, file)| Asked {
        text: range.to_owned(),
        place: format!("{file}:engines.node"),
        line: line_of_range(range),
    }))
}

/// The image for what was asked, and a note on why.
///
/// # Errors
///
/// Unsupported when no known release line serves it.
pub(crate) fn image(asked: Option<&Asked>) -> Result<(String, String), PluginError> {
    let Some(asked) = asked else {
        return Ok((DEFAULT_IMAGE.to_owned(), format!("Node {DEFAULT}, because the source asks for no version.")));
    };
    let Some(line) = asked.line else {
        let known = KNOWN.map(|(_, text)| text).join(", ");
        return Err(PluginError::unsupported(format!(
            "{} asks for Node `{}`, and this template knows {known}; ask for one of these, or name an image as baseImage",
            asked.place, asked.text
        )));
    };
    Ok((format!("node:{line}-bookworm-slim"), format!("Node {line}, because {} says `{}`.", asked.place, asked.text)))
}

/// The release line of an exact version (`v20.11.1`, `20`) or an alias of nvm's (`lts/jod`, `lts/*`, `node`).
fn line_of_name(name: &str) -> Option<u32> {
    let name = name.to_ascii_lowercase();
    if matches!(name.as_str(), "node" | "stable" | "current" | "latest" | "lts" | "lts/*") {
        return Some(DEFAULT);
    }
    if let Some(code) = name.strip_prefix("lts/") {
        return CODE_NAMES.iter().find(|(known, _)| *known == code).map(|(_, line)| *line);
    }
    let major: u32 = name.strip_prefix('v').unwrap_or(&name).split('.').next()?.parse().ok()?;
    KNOWN.iter().map(|(line, _)| *line).find(|line| *line == major)
}

/// The release line that a range allows: the default one if it can be, else the newest known one.
fn line_of_range(range: &str) -> Option<u32> {
    std::iter::once(DEFAULT).chain(KNOWN.map(|(line, _)| line)).find(|line| allows(range, *line))
}

/// Whether a range allows the newest release of a line. A range that cannot be understood allows none.
fn allows(range: &str, line: u32) -> bool {
    range.split("||").any(|alternative| allows_all(alternative.trim(), line).unwrap_or(false))
}

fn allows_all(alternative: &str, line: u32) -> Option<bool> {
    if let Some((low, high)) = alternative.split_once(" - ") {
        return Some(compare(">=", low.trim(), line)? && compare("<=", high.trim(), line)?);
    }
    let mut operator = "";
    for token in alternative.split_whitespace() {
        let version = token.trim_start_matches(['<', '>', '=', '^', '~']);
        let (prefix, _) = token.split_at(token.len() - version.len());
        if !prefix.is_empty() {
            operator = prefix;
        }
        // An operator may stand apart from its version: `>= 18`.
        if version.is_empty() {
            continue;
        }
        if !compare(operator, version, line)? {
            return Some(false);
        }
        operator = "";
    }
    // An operator without a version is not understood; nothing at all allows everything.
    operator.is_empty().then_some(true)
}

/// Compares the newest release of a line, which is above every `<line>.x.y`, with a version.
fn compare(operator: &str, version: &str, line: u32) -> Option<bool> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let mut parts = version.split('.');
    let major = match parts.next()? {
        "*" | "x" | "X" => return Some(true),
        major => major.parse::<u32>().ok()?,
    };
    let has_minor = parts.next().is_some_and(|part| part.parse::<u32>().is_ok());
    Some(match operator {
        ">=" => line >= major,
        ">" => line > major || (has_minor && line == major),
        "<" => line < major,
        "<=" => line < major || (!has_minor && line == major),
        "" | "=" | "^" | "~" | "~>" => line == major,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nvm() {
        assert_eq!(line_of_name("v20.11.1"), Some(20));
        assert_eq!(line_of_name("18"), Some(18));
        assert_eq!(line_of_name("lts/*"), Some(22));
        assert_eq!(line_of_name("lts/Iron"), Some(20));
        assert_eq!(line_of_name("16"), None);
        assert_eq!(line_of_name("iojs"), None);
    }

    #[test]
    fn ranges_of_npm() {
        for (range, line) in [
            (">=18", Some(22)),
            (">= 18.0.0", Some(22)),
            ("*", Some(22)),
            ("", Some(22)),
            ("20.x", Some(20)),
            ("^20.1.0 || ^24", Some(24)),
            ("18 - 20", Some(20)),
            (">=18 <21", Some(20)),
            (">22", Some(24)),
            (">22.1", Some(22)),
            ("<=20", Some(20)),
            ("~18.2.0", Some(18)),
            ("^16", None),
            (">=99", None),
            ("what", None),
            (">=", None),
        ] {
            assert_eq!(line_of_range(range), line, "{range}");
        }
    }
}
