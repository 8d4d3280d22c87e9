//! Reading a request, and making one for a test.

use super::{File, Language, Request, Source};
use crate::PluginError;

impl Request {
    /// A request for the starter application on `amd64` with 512 MiB: where a test begins.
    pub fn starter(tenant_name: &str) -> Self {
        Self {
            tenant_name: tenant_name.to_owned(),
            framework: None,
            source: None,
            base_image: None,
            architecture: "amd64".to_owned(),
            memory_mb: 512,
            env_names: Vec::new(),
            build_args: Vec::new(),
            secret_names: Vec::new(),
            processes: Vec::new(),
            config: "{}".to_owned(),
            extra: Vec::new(),
        }
    }

    /// A request for an application of these files: where a test of an application's own source begins.
    pub fn application<'a>(tenant_name: &str, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut files: Vec<File> = files.into_iter().map(|(path, contents)| File::new(path, contents)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let paths = files.iter().map(|file| file.path.clone()).collect();
        Self { source: Some(Source { paths, files }), ..Self::starter(tenant_name) }
    }

    /// The base image the caller named, or else `default`.
    pub fn base_image_or(&self, default: &str) -> String {
        self.base_image.clone().unwrap_or_else(|| default.to_owned())
    }

    /// The framework asked for, if any, which must be one of `known`.
    ///
    /// # Errors
    ///
    /// [`PluginError::InvalidInput`] at `framework` that lists the known ones.
    pub fn framework_among(&self, known: &[&str]) -> Result<Option<&str>, PluginError> {
        match self.framework.as_deref() {
            Some(framework) if !known.contains(&framework) => Err(PluginError::invalid_input(
                "framework",
                format!("`{framework}` is not a framework of this template; leave it out or use {}", or_list(known)),
            )),
            framework => Ok(framework),
        }
    }
}

impl Source {
    /// Whether the application has this file.
    pub fn has(&self, path: &str) -> bool {
        self.paths.iter().any(|known| known == path)
    }

    /// Whether the application has a file in this folder.
    pub fn has_folder(&self, path: &str) -> bool {
        self.paths.iter().any(|known| known.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }

    /// The text of a file. None when the application has no such file.
    ///
    /// # Errors
    ///
    /// [`PluginError::InvalidInput`] when it is there but not UTF-8, or when the host did not hand it over because
    /// it is too large or not among the template's `wants`.
    pub fn text(&self, path: &str) -> Result<Option<&str>, PluginError> {
        if !self.has(path) {
            return Ok(None);
        }
        let file = self.files.iter().find(|file| file.path == path).ok_or_else(|| {
            PluginError::invalid_input(path, format!("`{path}` could not be read; it may be too large"))
        })?;
        match std::str::from_utf8(&file.contents) {
            // Editors on Windows put a byte order mark in front, which no parser below expects.
            Ok(text) => Ok(Some(text.strip_prefix('\u{feff}').unwrap_or(text))),
            Err(_) => Err(PluginError::invalid_input(path, format!("`{path}` is not UTF-8 text; save it as UTF-8"))),
        }
    }
}

impl Language {
    /// A language; the first framework is the default of the starter, versions come newest first.
    pub fn new<'a>(
        name: &str,
        frameworks: impl IntoIterator<Item = &'a str>,
        versions: impl IntoIterator<Item = &'a str>,
        images: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let owned = |names: &mut dyn Iterator<Item = &'a str>| names.map(str::to_owned).collect();
        Self {
            name: name.to_owned(),
            frameworks: owned(&mut frameworks.into_iter()),
            versions: owned(&mut versions.into_iter()),
            images: owned(&mut images.into_iter()),
        }
    }
}

/// ``"`a`, `b` or `c`"``.
fn or_list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_framework_is_refused_with_the_known_ones() {
        let mut request = Request::starter("demo");
        assert_eq!(request.framework_among(&["express"]), Ok(None));
        request.framework = Some("express".to_owned());
        assert_eq!(request.framework_among(&["express", "plain"]), Ok(Some("express")));
        request.framework = Some("rails".to_owned());
        let Err(PluginError::InvalidInput(errors)) = request.framework_among(&["express", "plain"]) else {
            panic!("an unknown framework was accepted");
        };
        assert_eq!(errors.len(), 1);
        assert!(errors.iter().all(|error| error.path == "framework" && error.message.contains("`express` or `plain`")));
    }

    #[test]
    fn text_is_read_without_a_byte_order_mark_and_refused_when_it_is_none() {
        let request = Request::application("demo", [("b.txt", "\u{feff}b"), ("a/c.txt", "c")]);
        let Some(mut source) = request.source else { panic!("no source") };
        assert_eq!(source.text("b.txt"), Ok(Some("b")));
        assert_eq!(source.text("absent"), Ok(None));
        assert!(source.has_folder("a") && !source.has_folder("b.txt"));
        source.files.push(File::new("raw", [0xff_u8, 0xfe]));
        source.paths.extend(["raw".to_owned(), "huge".to_owned()]);
        assert!(matches!(source.text("raw"), Err(PluginError::InvalidInput(_))));
        assert!(matches!(source.text("huge"), Err(PluginError::InvalidInput(_))));
    }
}
