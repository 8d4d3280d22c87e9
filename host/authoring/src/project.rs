//! A project: a folder with a `plugin.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use convergence_sandbox::Kind;
use serde::{Deserialize, Serialize};

/// The file that makes a folder a project.
const MANIFEST: &str = "plugin.toml";

/// The folder of a project that holds what was built, and may be deleted at any time.
pub(crate) const BUILD_FOLDER: &str = "build";

/// Every kind a project can be of.
pub const KINDS: [Kind; 3] = [Kind::Template, Kind::Policy, Kind::Billing];

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// `cargo`, the target `wasm32-unknown-unknown`, and the SDK.
    Rust,
    /// `componentize-py`.
    Python,
    /// `componentize-qjs`.
    JavaScript,
    /// A clang that knows WebAssembly, and nothing else: no libc.
    C,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rust, Self::Python, Self::JavaScript, Self::C];

    /// The word for it: in `plugin.toml`, on the command line, as a folder's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::C => "c",
        }
    }

    /// Its name as people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::C => "C",
        }
    }

    /// The language of that word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == word)
    }
}

/// Why a folder is no project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Nothing there says what it is.
    #[error(
        "{} is no plugin project: it has no {MANIFEST}; go to one, or make one with `convergence plugin new`",
        folder.display()
    )]
    Absent {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// What is there cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The manifest.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is there makes no sense.
    #[error("{}: {reason}", file.display())]
    Wrong {
        /// The manifest.
        file: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// `plugin.toml`, as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    kind: String,
    language: Language,
}

/// A plugin project on this machine.
#[derive(Debug, Clone)]
pub struct Project {
    folder: PathBuf,
    name: String,
    kind: Kind,
    language: Language,
}

impl Project {
    /// Opens the project in `folder`.
    ///
    /// # Errors
    ///
    /// The folder has no `plugin.toml`, or one that cannot be read or makes no sense.
    pub fn open(folder: &Path) -> Result<Self, ProjectError> {
        let file = folder.join(MANIFEST);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ProjectError::Absent { folder: folder.to_owned() });
            }
            Err(source) => return Err(ProjectError::Unreadable { file, source }),
        };
        let wrong = |reason: String| ProjectError::Wrong { file: file.clone(), reason };
        let manifest: Manifest = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        check_name(&manifest.name).map_err(wrong)?;
        let kind = kind_named(&manifest.kind)
            .ok_or_else(|| wrong(format!("the kind `{}` is none of: {}", manifest.kind, kind_words())))?;
        // Toolchains are run in it, from where a relative path would lead elsewhere.
        let folder = folder.canonicalize().map_err(|source| ProjectError::Unreadable { file: file.clone(), source })?;
        Ok(Self { folder, name: manifest.name, kind, language: manifest.language })
    }

    /// Where it is: an absolute path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its name: a slug, and the name of the component's file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it makes.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is written in.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    /// Where [`build`](crate::build) puts the component: `build/NAME.wasm`.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        self.build_folder().join(&self.name).with_extension("wasm")
    }

    /// The folder of its cases, one JSON file each.
    #[must_use]
    pub fn cases(&self) -> PathBuf {
        self.folder.join("cases")
    }

    /// The folder for what is built: whatever is in it may be deleted at any time.
    #[must_use]
    pub fn build_folder(&self) -> PathBuf {
        self.folder.join(BUILD_FOLDER)
    }
}

/// The text of `plugin.toml` of a new project.
pub(crate) fn manifest(name: &str, kind: Kind, language: Language) -> (&'static str, String) {
    let text = format!(
        "# What `convergence plugin` knows about this project.\nname = \"{name}\"\nkind = \"{kind}\"\nlanguage = \"{}\"\n",
        language.as_str()
    );
    (MANIFEST, text)
}

/// The kind of that word.
#[must_use]
pub fn kind_named(word: &str) -> Option<Kind> {
    KINDS.into_iter().find(|kind| kind.as_str() == word)
}

/// The words of all kinds, for a sentence.
pub(crate) fn kind_words() -> String {
    KINDS.map(Kind::as_str).join(", ")
}

/// Whether a project may be called that: a slug, since it becomes an id, a file's name and a crate's.
///
/// # Errors
///
/// What to do instead.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let slug = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        && !name.ends_with('-')
        && !name.contains("--");
    if slug {
        Ok(())
    } else {
        Err(format!(
            "the name `{}` is no slug: begin with a lower-case letter and go on with those, digits and single hyphens, \
             63 characters at most, such as `my-rules`",
            name.escape_debug()
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn names_are_slugs() {
        for name in ["a", "my-rules", "ruby3"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "-a", "a-", "a--b", "A", "3a", "a_b", "a/b", "..", "a b", &"a".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_folder_without_a_manifest_is_told_and_a_wrong_one_names_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Project::open(folder.path()), Err(ProjectError::Absent { .. })));
        for (text, word) in [
            ("name = \"x\"\nkind = \"poem\"\nlanguage = \"c\"\n", "poem"),
            ("name = \"x\"\nkind = \"policy\"\nlanguage = \"cobol\"\n", "cobol"),
            ("name = \"../x\"\nkind = \"policy\"\nlanguage = \"c\"\n", "slug"),
            ("name = \"x\"\nkind = \"policy\"\nlanguage = \"c\"\ncolour = 1\n", "colour"),
        ] {
            fs::write(folder.path().join(MANIFEST), text).unwrap();
            let error = Project::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let (name, text) = manifest("x", Kind::Policy, Language::JavaScript);
        fs::write(folder.path().join(name), text).unwrap();
        let project = Project::open(folder.path()).unwrap();
        assert_eq!((project.kind(), project.language()), (Kind::Policy, Language::JavaScript));
        assert!(project.component().ends_with("build/x.wasm"));
    }
}
