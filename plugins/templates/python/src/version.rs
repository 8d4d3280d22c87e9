//! Which Python an application asks for, and the image that has it.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;

use crate::project::Project;

/// The image of the starter, and of applications that ask for nothing else.
pub(crate) const DEFAULT_IMAGE: &str = "python:3.12-slim-bookworm";

/// Major and minor number.
type Line = (u32, u32);

/// Release lines that have a Debian bookworm image, newest first.
pub(crate) const KNOWN: [(Line, &str); 5] =
    [((3, 14), "3.14"), ((3, 13), "3.13"), ((3, 12), "3.12"), ((3, 11), "3.11"), ((3, 10), "3.10")];

/// The release line of [`DEFAULT_IMAGE`].
const DEFAULT: Line = (3, 12);

/// A version as the source asks for it.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    /// As written.
    pub(crate) text: String,
    /// The file, or the file and the field.
    place: &'static str,
    /// The release line that serves it; none when no known one does.
    line: Option<Line>,
}

/// The first of `.python-version`, `runtime.txt` and the project's range that says something.
///
/// # Errors
///
/// Invalid input when one of the files cannot be read.
pub(crate) fn asked_for(source: &Source, project: &Project) -> Result<Option<Asked>, PluginError> {
    for place in [".python-version", "runtime.txt"] {
        let text = source.text(place)?.unwrap_or_default();
        if let Some(text) = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')) {
            return Ok(Some(Asked { text: text.to_owned(), place, line: line_of_name(text) }));
        }
    }
    Ok(project.requires_python.as_ref().map(|(range, place)| Asked {
        text: range.clone(),
        place,
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
        return Ok((DEFAULT_IMAGE.to_owned(), "the source asks for no version".to_owned()));
    };
    let Some((major, minor)) = asked.line else {
        let known = KNOWN.map(|(_, text)| text).join(", ");
        return Err(PluginError::unsupported(format!(
            "{} asks for Python `{}`, and this template knows {known}; ask for one of these, or name an image as baseImage",
            asked.place, asked.text
        )));
    };
    Ok((format!("python:{major}.{minor}-slim-bookworm"), format!("{} says `{}`", asked.place, asked.text)))
}

/// The release line of `3.12.4`, `3.12`, `3`, `python-3.12.4` or uv's `cpython@3.12`.
fn line_of_name(name: &str) -> Option<Line> {
    let prefixes = ["python-", "cpython-", "cpython@", "python@"];
    let (line, _) = parse(prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name))?;
    match line {
        (3, None) => Some(DEFAULT),
        (major, minor) => KNOWN.iter().map(|(line, _)| *line).find(|line| Some(line.1) == minor && line.0 == major),
    }
}

/// The release line that a range allows: the default one if it can be, else the next newer one that is known, else
/// the next older one. The newest is not the first choice, because wheels for it come late.
fn line_of_range(range: &str) -> Option<Line> {
    let known = KNOWN.map(|(line, _)| line);
    let newer = known.into_iter().rev().filter(|line| *line > DEFAULT);
    let older = known.into_iter().filter(|line| *line < DEFAULT);
    std::iter::once(DEFAULT)
        .chain(newer)
        .chain(older)
        .find(|line| range.split(',').all(|part| allows(part.trim(), *line).unwrap_or(false)))
}

/// Whether one specifier allows the newest release of a line. None when it cannot be understood.
fn allows(specifier: &str, line: Line) -> Option<bool> {
    let version = specifier.trim_start_matches(['<', '>', '=', '!', '~', '^']);
    let operator = specifier.strip_suffix(version)?;
    if version.is_empty() || version == "*" {
        return Some(operator.is_empty());
    }
    let ((major, minor), has_patch) = parse(version.trim())?;
    // The newest release of a line is above every `<line>.x`, so bounds are compared by line.
    let asked = (major, minor.unwrap_or(0));
    Some(match operator {
        ">=" => line >= asked,
        ">" => line > asked || (has_patch && line == asked),
        "<" => line < asked,
        "<=" => line < asked || (!has_patch && line == asked),
        "!=" => has_patch || line != asked,
        "^" => line.0 == major && line >= asked,
        "~=" if !has_patch => line.0 == major && line >= asked,
        "" | "=" | "==" | "===" | "~=" | "~" => line.0 == major && minor.is_none_or(|minor| line.1 == minor),
        _ => return None,
    })
}

/// Major and minor number, and whether a third number follows; `*` counts as absent.
fn parse(version: &str) -> Option<((u32, Option<u32>), bool)> {
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = match parts.next() {
        None | Some("*") => None,
        Some(text) => Some(text.parse().ok()?),
    };
    let has_patch = parts.next().is_some_and(|part| part != "*");
    Some(((major, minor), has_patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(line_of_name("3.11.4"), Some((3, 11)));
        assert_eq!(line_of_name("python-3.13.1"), Some((3, 13)));
        assert_eq!(line_of_name("cpython@3.14"), Some((3, 14)));
        assert_eq!(line_of_name("3"), Some((3, 12)));
        assert_eq!(line_of_name("3.6"), None);
        assert_eq!(line_of_name("pypy3.10"), None);
    }

    #[test]
    fn ranges() {
        for (range, line) in [
            (">=3.10", Some((3, 12))),
            (">=3.10,<4", Some((3, 12))),
            (">= 3.10, < 3.12", Some((3, 11))),
            ("==3.11.*", Some((3, 11))),
            ("~=3.11", Some((3, 12))),
            ("~=3.11.2", Some((3, 11))),
            ("^3.13", Some((3, 13))),
            (">3.12", Some((3, 13))),
            ("!=3.12.*", Some((3, 13))),
            (">=3.14", Some((3, 14))),
            ("<3.12", Some((3, 11))),
            ("*", Some((3, 12))),
            ("", Some((3, 12))),
            ("<3", None),
            (">=4", None),
            ("three", None),
        ] {
            assert_eq!(line_of_range(range), line, "{range}");
        }
    }
}
