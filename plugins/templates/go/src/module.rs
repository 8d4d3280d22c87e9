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
    /// Whether it needs other modules.
    pub(crate) has_requirements: bool,
    /// Whether it replaces a module by a folder of the source.
    pub(crate) replaces_by_folder: bool,
}

impl Module {
    /// Reads `go.mod`; none when the source has none.
    ///
    /// # Errors
    ///
    /// Invalid input when it cannot be read or names no module.
    pub(crate) fn read(source: &Source) -> Result<Option<Self>, PluginError> {
        source.text("go.mod")?.map(Self::parse).transpose()
    }

    fn parse(text: &str) -> Result<Self, PluginError> {
        let mut module = Self::default();
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or_default().trim();
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("module"), Some(path)) => path.trim_matches(['"', '`']).clone_into(&mut module.path),
                (Some("go"), Some(version)) => module.go = Some(version.to_owned()),
                (Some("require"), Some(_)) => module.has_requirements = true,
                _ => {}
            }
            module.replaces_by_folder |= line.contains("=> ./") || line.contains("=> ../");
        }
        if module.path.is_empty() {
            return Err(PluginError::invalid_input(
                "go.mod",
                "go.mod names no module; begin it with a line such as `module example.com/my-app`",
            ));
        }
        Ok(module)
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
        let text = "// a comment\nmodule example.com/shop/v2 // here\n\ngo 1.22.3\n\nrequire (\n\ta.b/c v1.0.0\n)\nreplace a.b/c => ./c\n";
        let module = Module::parse(text).unwrap();
        assert_eq!(module.name(), "shop");
        assert_eq!(module.go.as_deref(), Some("1.22.3"));
        assert!(module.has_requirements && module.replaces_by_folder);
        assert!(Module::parse("go 1.22\n").is_err());
    }
}
