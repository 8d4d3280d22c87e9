//! The names in an archive, and what may not be among them.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::SourceError;

/// Bytes of a path.
const PATH_MAX: usize = 1024;
/// Bytes between two slashes, as file systems have it.
const NAME_MAX: usize = 255;
/// Folders within folders.
const DEPTH_MAX: usize = 64;

/// What is in a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub(crate) enum Kind {
    /// A regular file.
    File {
        /// Its bytes.
        size: u64,
        /// Whether it may be run.
        executable: bool,
        /// Where in the tar its contents begin.
        at: u64,
        /// The SHA-256 of its contents, in hexadecimal digits.
        sha256: String,
    },
    /// A folder; those that hold something are not named.
    Folder,
    /// A link to something else in the source.
    Link {
        /// As it is written in the link.
        to: String,
    },
}

/// Something in a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Relative to its root, with `/` between names.
    pub(crate) path: String,
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

/// The path of an entry as it is kept; none where the entry is left out.
///
/// # Errors
/// It leads out of the archive, or is no name for a file.
pub(crate) fn path(bytes: &[u8]) -> Result<Option<String>, SourceError> {
    let shown = shown(bytes);
    let refuse = |what: &str| Err(SourceError::Refused(format!("the archive has the path {shown}, which {what}")));
    let Ok(text) = std::str::from_utf8(bytes) else { return refuse("is not UTF-8; rename the file") };
    if text.starts_with('/') {
        return refuse("is absolute; pack the folder from inside, with paths relative to it");
    }
    if text.chars().any(char::is_control) {
        return refuse("has control characters; rename the file");
    }
    if text.contains('\\') {
        return refuse("has a backslash; pack with `/` between folders, or rename the file");
    }
    let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if names.contains(&"..") {
        return refuse("leads out of the archive by `..`; pack the folder from inside");
    }
    // A repository's history is nothing that a build needs, and may hold what was removed from it.
    if names.contains(&".git") {
        return Ok(None);
    }
    if names.len() > DEPTH_MAX || names.iter().any(|name| name.len() > NAME_MAX) {
        return refuse("is too deep or has a name of more than 255 bytes");
    }
    let path = names.join("/");
    if path.len() > PATH_MAX {
        return refuse("is longer than 1024 bytes");
    }
    Ok((!path.is_empty()).then_some(path))
}

/// Where a link leads.
///
/// # Errors
/// It leads out of the archive.
pub(crate) fn link(path: &str, target: &[u8]) -> Result<String, SourceError> {
    let refuse = |what: &str| {
        let to = shown(target);
        Err(SourceError::Refused(format!(
            "the archive has the link {path:?} to {to}, which {what}; replace the link by what it leads to"
        )))
    };
    let Ok(text) = std::str::from_utf8(target) else { return refuse("is not UTF-8") };
    if text.is_empty() || text.len() > PATH_MAX || text.chars().any(char::is_control) {
        return refuse("is no path");
    }
    if text.starts_with('/') || text.contains('\\') {
        return refuse("is not relative to the link");
    }
    let mut depth = path.matches('/').count();
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return refuse("is outside of the archive"),
            },
            _ => depth += 1,
        }
    }
    Ok(text.to_owned())
}

/// The names of an archive seen so far.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// In one case, to the path as it was written and whether it is a folder.
    seen: HashMap<String, (String, bool)>,
}

impl Names {
    /// Takes a path, and answers the folders above it that were not seen before, the outermost first. A folder may come
    /// again; then nothing is answered, and `false`.
    ///
    /// # Errors
    /// The path is there already, but for its case perhaps, or a file is where a folder has to be.
    pub(crate) fn take(&mut self, path: &str, is_folder: bool) -> Result<(Vec<String>, bool), SourceError> {
        let mut made = Vec::new();
        for (end, _) in path.match_indices('/') {
            let folder = path.get(..end).unwrap_or_default();
            if self.insert(folder, true)? {
                made.push(folder.to_owned());
            }
        }
        let is_new = self.insert(path, is_folder)?;
        Ok((made, is_new))
    }

    fn insert(&mut self, path: &str, is_folder: bool) -> Result<bool, SourceError> {
        let refuse = |text: String| Err(SourceError::Refused(format!("the archive has {text}")));
        match self.seen.get(&path.to_lowercase()) {
            None => {
                self.seen.insert(path.to_lowercase(), (path.to_owned(), is_folder));
                Ok(true)
            }
            Some((there, _)) if there != path => {
                refuse(format!("{there:?} and {path:?}, which differ in case only; rename one"))
            }
            Some((_, true)) if is_folder => Ok(false),
            Some((_, was_folder)) if *was_folder != is_folder => {
                refuse(format!("{path:?} both as a file and as a folder; pack it again"))
            }
            Some(_) => refuse(format!("{path:?} twice; pack it again")),
        }
    }
}

/// The one folder that holds everything, if there is one: what `tar czf app.tar.gz app` makes.
pub(crate) fn only_folder(entries: &BTreeMap<String, Kind>) -> Option<String> {
    let mut tops = entries.keys().map(|path| path.split('/').next().unwrap_or_default());
    let first = tops.next()?;
    let is_folder = entries.get(first).is_none_or(|kind| *kind == Kind::Folder);
    let is_more = entries.len() > 1;
    (is_folder && is_more && tops.all(|top| top == first)).then(|| first.to_owned())
}

/// A path as people can read it, however long it is and whatever is in it.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let short: String = text.chars().take(200).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_relative_and_stay_inside() {
        let kept = |text: &str| path(text.as_bytes()).unwrap();
        assert_eq!(kept("./src//[slug].js"), Some("src/[slug].js".to_owned()));
        assert_eq!(kept("./"), None);
        assert_eq!(kept("a/.git/config"), None);
        assert_eq!(kept(".gitignore"), Some(".gitignore".to_owned()));
        for bad in ["/etc/passwd", "a/../../b", "..", "a\nb", "a\\b", &"x".repeat(256), &"a/".repeat(65), "a\u{1b}[2J"]
        {
            assert!(matches!(path(bad.as_bytes()), Err(SourceError::Refused(_))), "{bad:?}");
        }
        assert!(path(b"a\xff").is_err());
    }

    #[test]
    fn links_stay_inside() {
        for (from, to) in [("a", "b"), ("x/y/a", "../../b"), ("a", "./x/../y"), ("x/a", "../.")] {
            assert_eq!(link(from, to.as_bytes()).unwrap(), to);
        }
        for (from, to) in [("a", "../b"), ("x/a", "../../b"), ("a", "/etc/passwd"), ("a", ""), ("a", "x/../../b")] {
            assert!(link(from, to.as_bytes()).is_err(), "{from} to {to}");
        }
    }

    #[test]
    fn a_name_is_taken_once() {
        let mut names = Names::default();
        assert_eq!(names.take("a/b/c", false).unwrap(), (vec!["a".to_owned(), "a/b".to_owned()], true));
        assert_eq!(names.take("a/d", false).unwrap(), (vec![], true));
        assert_eq!(names.take("a", true).unwrap(), (vec![], false));
        for (path, is_folder, says) in [
            ("a/d", false, "twice"),
            ("A/e", false, "case"),
            ("a/d/f", false, "as a folder"),
            ("a", false, "as a folder"),
        ] {
            let error = names.take(path, is_folder).unwrap_err().to_string();
            assert!(error.contains(says), "{path}: {error}");
        }
    }

    #[test]
    fn a_folder_around_everything_is_found() {
        let entries = |paths: &[&str]| {
            let file = Kind::File { size: 0, executable: false, at: 0, sha256: String::new() };
            paths.iter().map(|path| ((*path).to_owned(), file.clone())).collect()
        };
        assert_eq!(only_folder(&entries(&["app/a", "app/b/c"])), Some("app".to_owned()));
        assert_eq!(only_folder(&entries(&["app/a", "b"])), None);
        assert_eq!(only_folder(&entries(&["app"])), None);
    }
}
