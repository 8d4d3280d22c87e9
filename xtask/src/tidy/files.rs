//! Rules about single files: names, headers, length, links, and no trace of the machine they were written on.

use std::path::{Component, Path, PathBuf};

use super::Complaint;

/// The longest a Rust file may be, in lines.
const LINES: usize = 500;

/// Names that say nothing about what is inside.
const BANNED_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc"];

/// Beginnings of paths that exist on somebody's machine alone.
const MACHINE_PATHS: &[&str] =
    &[concat!("/Use", "rs/"), concat!("/ro", "ot/.cargo"), concat!("/ro", "ot/.rustup"), concat!("C:\\Use", "rs")];

/// Complains about a file or folder whose name says nothing.
pub(super) fn check_name(path: &Path) -> Option<Complaint> {
    let parts = path.with_extension("");
    let name = parts.components().find_map(|part| {
        let name = part.as_os_str().to_str()?;
        BANNED_NAMES.contains(&name).then(|| name.to_owned())
    })?;
    Some(Complaint::new(path.display(), format!("the name `{name}` says nothing: name the file after what is in it")))
}

/// Complains about the text of a file.
pub(super) fn check_text(path: &Path, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |what: String| complaints.push(Complaint::new(path.display(), what));
    if path.extension().is_some_and(|extension| extension == "rs") {
        if !text.starts_with("//!") {
            complain("does not open with `//!`: say in a line or two what the file is for".to_owned());
        }
        let lines = text.lines().count();
        if lines > LINES {
            complain(format!(
                "has {lines} lines, more than {LINES}: move its tests to a sibling file, or split it by what it does"
            ));
        }
    }
    let in_tests = path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
    let may_grant = !path.starts_with("host") || path.starts_with("host/access") || path.starts_with("host/model");
    let grant = text.lines().position(|line| line.contains("Scope::granted("));
    if let (false, false, Some(line)) = (may_grant, in_tests, grant) {
        complain(format!(
            "line {} grants a scope: only `host/access` knows who is calling; take the caller's",
            line + 1
        ));
    }
    for trace in MACHINE_PATHS {
        if let Some(line) = text.lines().position(|line| line.contains(trace)) {
            complain(format!("line {} holds `{trace}`, a path of one machine: take it from the environment", line + 1));
        }
    }
    complaints
}

/// Complains about links of a Markdown file that lead to no file of this repository. Links to the web are not tried.
pub(super) fn check_links(root: &Path, path: &Path, text: &str) -> Vec<Complaint> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let leads_nowhere = |link: &&str| {
        let Some(target) = normal(&folder.join(link)) else { return true };
        !root.join(target).exists()
    };
    let broken = links(text).into_iter().filter(leads_nowhere);
    broken
        .map(|link| {
            Complaint::new(
                path.display(),
                format!("the link `{link}` leads nowhere: correct it or write what it promises"),
            )
        })
        .collect()
}

/// The files that a Markdown text links to, code apart.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between back quotes is code.
        for prose in line.split('`').step_by(2) {
            for after in prose.split("](").skip(1) {
                let target = after.split([')', '#', ' ']).next().unwrap_or_default();
                let elsewhere = target.contains("://") || target.starts_with("mailto:");
                if !target.is_empty() && !elsewhere {
                    found.push(target);
                }
            }
        }
    }
    found
}

/// A path without `.` and `..`; nothing if it leads out of the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

/// The base image that a template's source takes when an application asks for none, from its `DEFAULT_IMAGE`.
pub(super) fn default_image(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("DEFAULT_IMAGE: &str = \"")?;
    after.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_says_nothing_is_found() {
        for path in ["host/store/src/utils.rs", "host/common/src/lib.rs", "docs/misc.md"] {
            assert!(check_name(Path::new(path)).is_some(), "{path}");
        }
        assert!(check_name(Path::new("host/store/src/tenant.rs")).is_none());
    }

    #[test]
    fn a_file_without_a_header_or_too_long_is_found() {
        let path = Path::new("a.rs");
        assert!(check_text(path, "//! What it is for.\n").is_empty());
        assert_eq!(check_text(path, "fn main() {}\n").len(), 1);
        assert_eq!(check_text(path, &format!("//! Long.\n{}", "\n".repeat(LINES))).len(), 1);
        assert!(check_text(Path::new("a.md"), "# No rule for this\n").is_empty());
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let text = format!("cache = {}me\n", MACHINE_PATHS.first().expect("there is one"));
        assert_eq!(check_text(Path::new("a.toml"), &text).len(), 1);
    }

    #[test]
    fn links_are_read_and_code_is_not() {
        let text = "[a](docs/a.md#part) `[b](b.md)` [c](https://c.example/) [d](#d)\n```\n[e](e.md)\n```\n![f](f.png \"title\")\n";
        assert_eq!(links(text), ["docs/a.md", "f.png"]);
    }

    #[test]
    fn a_link_out_of_the_repository_leads_nowhere() {
        assert_eq!(normal(Path::new("docs/../../x")), None);
        assert_eq!(normal(Path::new("docs/adr/../x.md")), Some(PathBuf::from("docs/x.md")));
    }

    #[test]
    fn a_default_image_is_found() {
        let text = "/// What it starts from.\npub(crate) const DEFAULT_IMAGE: &str = \"node:22-bookworm-slim\";\n";
        assert_eq!(default_image(text), Some("node:22-bookworm-slim"));
        assert_eq!(default_image("const OTHER: &str = \"node:20\";"), None);
    }
}
