//! What `go.mod` says, as far as a plan depends on it.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;

/// The part of `go.mod` that is read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Module {
    /// The module's path.
    pub(crate) path: String,
    /// The version of the language it asks for, as written.
    pub(crate) go: Option<String>,
    /// The release of Go that its authors use, as written: `go1.25.1`.
    pub(crate) toolchain: Option<String>,
    /// Paths of the modules it needs.
    requirements: Vec<String>,
    /// Whether it replaces a module by a folder of the source.
    pub(crate) replaces_by_folder: bool,
}

impl Module {
    /// Reads the `go.mod` at a path; none when the source has none.
    ///
    /// # Errors
    ///
    /// Invalid input when it cannot be read or names no module.
    pub(crate) fn read(source: &Source, path: &str) -> Result<Option<Self>, PluginError> {
        source.text(path)?.map(|text| Self::parse(path, text)).transpose()
    }

    fn parse(file: &str, text: &str) -> Result<Self, PluginError> {
        let mut module = Self::default();
        let mut in_requirements = false;
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or_default().trim();
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("module"), Some(path)) => path.trim_matches(['"', '`']).clone_into(&mut module.path),
                (Some("go"), Some(version)) => module.go = Some(version.to_owned()),
                (Some("toolchain"), Some(name)) => module.toolchain = Some(name.to_owned()),
                (Some("require"), Some("(")) => in_requirements = true,
                (Some("require"), Some(path)) => module.requirements.push(path.trim_matches('"').to_owned()),
                (Some(")"), _) => in_requirements = false,
                (Some(path), Some(_)) if in_requirements => {
                    module.requirements.push(path.trim_matches('"').to_owned());
                }
                _ => {}
            }
            module.replaces_by_folder |= line.contains("=> ./") || line.contains("=> ../");
        }
        if module.path.is_empty() {
            return Err(PluginError::invalid_input(
                file,
                format!("{file} names no module; begin it with a line such as `module example.com/my-app`"),
            ));
        }
        Ok(module)
    }

    /// Whether it needs other modules.
    pub(crate) fn has_requirements(&self) -> bool {
        !self.requirements.is_empty()
    }

    /// Whether it needs this module, in any major version.
    pub(crate) fn requires(&self, path: &str) -> bool {
        let is =
            |known: &String| known.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"));
        self.requirements.iter().any(is)
    }

    /// The last part of the module's path that is not a major version (`v2`).
    pub(crate) fn name(&self) -> &str {
        let is_version = |part: &str| {
            part.strip_prefix('v')
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        };
        self.path.rsplit('/').find(|part| !is_version(part)).unwrap_or(&self.path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_module_is_read() {
        let text = "// a comment\nmodule example.com/shop/v2 // here\n\ngo 1.22.3\ntoolchain go1.24.1\n\nrequire (\n\ta.b/c v1.0.0\n)\nreplace a.b/c => ./c\n";
        let module = Module::parse("go.mod", text).unwrap();
        assert_eq!(module.name(), "shop");
        assert_eq!(module.go.as_deref(), Some("1.22.3"));
        assert_eq!(module.toolchain.as_deref(), Some("go1.24.1"));
        assert!(
            module.requires("a.b/c")
                && !module.requires("a.b")
                && module.has_requirements()
                && module.replaces_by_folder
        );
        assert!(Module::parse("go.mod", "go 1.22\n").is_err());
    }
}
