//! `.dockerignore`, as Docker reads it: unlike `.gitignore` it has one file at the root, its patterns are relative to that, and
//! a folder that is excluded may have files in it that are not.

use std::fs;
use std::io;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns of one file.
const PATTERNS_MAX: usize = 1000;

/// What a `.dockerignore` excludes.
#[derive(Debug, Default)]
pub struct DockerIgnore {
    patterns: GlobSet,
    /// Whether each of them excludes, in the order of the file: the last one that matches decides.
    excludes: Vec<bool>,
}

impl DockerIgnore {
    /// The name of the file.
    pub const FILE: &str = ".dockerignore";

    /// Reads the file of a folder; none excludes nothing.
    ///
    /// # Errors
    /// It cannot be read, or as of [`DockerIgnore::parse`].
    pub fn of(folder: &Path) -> io::Result<Self> {
        match fs::read_to_string(folder.join(Self::FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            read => Self::parse(&read?).map_err(|message| io::Error::other(format!("{}: {message}", Self::FILE))),
        }
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// It has a pattern that cannot be read, or more than a thousand: which, human-readable.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut patterns, mut rules) = (GlobSetBuilder::new(), Vec::new());
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (excludes, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (false, pattern.trim()),
                None => (true, line),
            };
            let cleaned: Vec<&str> = pattern.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
            if cleaned.is_empty() {
                continue;
            }
            if rules.len() == PATTERNS_MAX {
                return Err(format!("it has more than {PATTERNS_MAX} patterns"));
            }
            let glob = GlobBuilder::new(&cleaned.join("/")).literal_separator(true).backslash_escape(true).build();
            patterns.add(glob.map_err(|error| error.to_string())?);
            rules.push(excludes);
        }
        Ok(Self { patterns: patterns.build().map_err(|error| error.to_string())?, excludes: rules })
    }

    /// Whether there is anything it could exclude.
    pub fn excludes_anything(&self) -> bool {
        !self.excludes.is_empty()
    }

    /// Whether a path, relative to the folder, is excluded: by itself or by a folder above it.
    pub fn excludes(&self, path: &Path) -> bool {
        let last = path.ancestors().filter_map(|above| self.patterns.matches(above).into_iter().max()).max();
        last.and_then(|last| self.excludes.get(last)).is_some_and(|excludes| *excludes)
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
        assert!(DockerIgnore::parse(&"a\n".repeat(PATTERNS_MAX + 1)).unwrap_err().contains("1000"));
    }
}
