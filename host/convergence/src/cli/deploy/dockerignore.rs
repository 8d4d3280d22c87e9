//! `.dockerignore`, as Docker reads it: unlike `.gitignore` it has one file at the root, its patterns are relative to that, and
//! a folder that is excluded may have files in it that are not.

use std::fs;
use std::io;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// The file.
const FILE: &str = ".dockerignore";

/// What a `.dockerignore` excludes.
#[derive(Debug, Default)]
pub(super) struct DockerIgnore {
    /// In the order of the file: the last one that matches decides.
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: GlobMatcher,
    excludes: bool,
}

impl DockerIgnore {
    /// Reads the file of a folder; none excludes nothing.
    ///
    /// # Errors
    /// It cannot be read, or has a pattern that is none.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        match fs::read_to_string(folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            read => Self::parse(&read?),
        }
    }

    fn parse(text: &str) -> io::Result<Self> {
        let mut rules = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (excludes, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (false, pattern.trim()),
                None => (true, line),
            };
            let cleaned: Vec<&str> = pattern.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
            if cleaned.is_empty() {
                continue;
            }
            let glob = GlobBuilder::new(&cleaned.join("/")).literal_separator(true).backslash_escape(true).build();
            let glob = glob.map_err(|error| io::Error::other(format!("{FILE}: {error}")))?;
            rules.push(Rule { pattern: glob.compile_matcher(), excludes });
        }
        Ok(Self { rules })
    }

    /// Whether there is anything it could exclude.
    pub(super) fn excludes_anything(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether a path, relative to the folder, is excluded: by itself or by a folder above it.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        let matching = |rule: &&Rule| path.ancestors().any(|above| rule.pattern.is_match(above));
        self.rules.iter().rev().find(matching).is_some_and(|rule| rule.excludes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_pattern_that_matches_a_path_or_a_folder_above_it_decides() {
        let rules = DockerIgnore::parse("# all but\n*\n!package.json\n!/src\nsrc/*.test.js\n").unwrap();
        let kept = |path: &str| !rules.excludes(Path::new(path));
        assert!(kept("package.json") && kept("src/a.js") && kept("src/deep/b.js") && kept("src"));
        assert!(!kept("README") && !kept("src/a.test.js") && !kept("other/package.json"));
        let rules = DockerIgnore::parse("*.md\n**/*.log\n./dist/\n").unwrap();
        let kept = |path: &str| !rules.excludes(Path::new(path));
        assert!(kept("docs/a.md") && kept("src/dist"));
        assert!(!kept("a.md") && !kept("x.log") && !kept("a/b/x.log") && !kept("dist/out.js"));
        assert!(DockerIgnore::parse("[").is_err());
    }
}
