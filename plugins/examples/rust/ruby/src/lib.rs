//! An example of a template for a language that the product does not bring: Ruby.
//!
//! Dropped into the plugins folder of a running server it adds the language; nothing else is needed. An
//! application is a `config.ru` served by Puma, a file such as `app.rb`, or whatever its Procfile says. Its gems are
//! those of `Gemfile.lock`, installed in a stage of their own, whose image has a compiler; what runs has none.

use convergence_plugin_api::template::{BuildPlan, Detection, Language, Request, Source, Template};
use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};

mod application;
mod gems;
mod service;
mod starter;
#[cfg(test)]
mod tests;
mod version;

/// Frameworks that a caller may name; the first is the starter's.
const FRAMEWORKS: [&str; 2] = ["plain", "rack"];

/// The template.
#[derive(Debug)]
pub struct Ruby;

impl Template for Ruby {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::template(
            "ruby",
            "Ruby",
            env!("CARGO_PKG_VERSION"),
            "Runs Ruby applications: a starter, or your own with its Gemfile.lock honoured.",
        )
        .example(
            Example::new(
                "the starter",
                "{}",
                r#"{"tenantName":"my-app","framework":"plain","architecture":"amd64","memoryMb":256}"#,
            )
            .expect(r#"{"service":{"command":["ruby","server.rb"],"port":3000}}"#),
        )
        .example(
            Example::new(
                "a Rack application",
                "{}",
                r#"{"tenantName":"my-app","architecture":"amd64","memoryMb":512,"source":{
                    "paths":["Gemfile","Gemfile.lock","config.ru"],
                    "files":[{"path":"Gemfile","contents":"gem 'puma'\n","executable":false},
                             {"path":"Gemfile.lock","contents":"GEM\n  specs:\n    puma (6.4.3)\n","executable":false}]}}"#,
            )
            .expect(
                r#"{"service":{"command":["bundle","exec","puma","--bind","tcp://0.0.0.0:3000","--workers","0"]}}"#,
            ),
        )
        .example(
            Example::new(
                "gems that are not pinned are refused",
                "{}",
                r#"{"tenantName":"my-app","architecture":"amd64","memoryMb":512,"source":{
                    "paths":["Gemfile","app.rb"],"files":[{"path":"Gemfile","contents":"","executable":false}]}}"#,
            )
            .expect(r#"{"error":"invalid-input"}"#),
        )
    }

    fn languages() -> Vec<Language> {
        vec![Language::new("ruby", FRAMEWORKS, version::KNOWN, [version::run_image(version::DEFAULT).as_str()])]
    }

    fn wants() -> Vec<String> {
        ["/Gemfile", "/Gemfile.lock", "/.ruby-version"].map(str::to_owned).to_vec()
    }

    fn detect(request: &Request, _: &NoConfig) -> Result<Option<Detection>, PluginError> {
        request.source.as_ref().map_or(Ok(None), detect)
    }

    fn plan(request: &Request, _: &NoConfig) -> Result<BuildPlan, PluginError> {
        let framework = request.framework_among(&FRAMEWORKS)?;
        match &request.source {
            None => starter::plan(request, framework),
            Some(source) => application::plan(request, source, framework),
        }
    }
}

register_template!(Ruby);

/// Files that only a Ruby application has, with how sure each one makes us.
const MARKS: [(&str, u8); 5] = [("Gemfile", 95), ("config.ru", 95), ("Rakefile", 70), ("app.rb", 60), ("main.rb", 60)];

fn detect(source: &Source) -> Result<Option<Detection>, PluginError> {
    let Some((mark, confidence)) = MARKS.into_iter().find(|(mark, _)| source.has(mark)) else {
        return Ok(None);
    };
    Ok(Some(Detection {
        confidence,
        language: "ruby".to_owned(),
        framework: source.has("config.ru").then(|| "rack".to_owned()),
        version: version::asked_for(source)?.map(|asked| asked.text),
        reason: format!("it has a {mark}"),
    }))
}
