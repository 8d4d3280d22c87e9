//! What the template answers, as its callers see it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use convergence_plugin_api::template::{Base, BuildPlan, Origin, Probe, Request, Stage, Step, Template};
use convergence_plugin_api::{Attribute, NoConfig, PluginError};

use crate::Ruby;

const LOCK: &str = "GEM\n  specs:\n    nio4r (2.7.3)\n    puma (6.4.3)\n      nio4r (~> 2.0)\n\n\
    PLATFORMS\n  x86_64-linux\n\nDEPENDENCIES\n  puma\n\nRUBY VERSION\n   ruby 3.2.4p170\n\nBUNDLED WITH\n   2.5.22\n";

fn plan(request: &Request) -> BuildPlan {
    Ruby::plan(request, &NoConfig {}).unwrap()
}

fn refused_at(request: &Request) -> String {
    match Ruby::plan(request, &NoConfig {}) {
        Err(PluginError::InvalidInput(errors)) => errors[0].path.clone(),
        other => panic!("not refused as invalid input: {other:?}"),
    }
}

fn rack(lock: &str) -> Request {
    Request::application("demo", [("Gemfile", "gem 'puma'\n"), ("Gemfile.lock", lock), ("config.ru", "")])
}

fn copies(stage: &Stage) -> Vec<(Origin, String)> {
    let paths = |step: &Step| match step {
        Step::Copy(copy) => Some((copy.origin.clone(), copy.paths.join(" "))),
        _ => None,
    };
    stage.steps.iter().filter_map(paths).collect()
}

#[test]
fn the_starter_needs_one_image_and_nothing_from_elsewhere() {
    let plan = plan(&Request::starter("demo"));
    assert_eq!(plan.stages.len(), 1);
    assert_eq!(plan.stages[0].base, Base::Image("ruby:3.3-slim-bookworm".into()));
    assert!(plan.stages[0].steps.iter().all(|step| !matches!(step, Step::Run(_))));
    assert_eq!(plan.service.command, ["ruby", "server.rb"]);
    assert_eq!(plan.service.health.probe, Probe::Http("/health".into()));
    assert_eq!(Ruby::languages()[0].images, ["ruby:3.3-slim-bookworm"]);
}

#[test]
fn gems_are_compiled_where_there_is_a_compiler_and_run_where_there_is_none() {
    let plan = plan(&rack(LOCK));
    assert_eq!(plan.stages[0].base, Base::Image("ruby:3.2.4-bookworm".into()));
    assert_eq!(plan.stages[1].base, Base::Image("ruby:3.2.4-slim-bookworm".into()));
    assert_eq!(copies(&plan.stages[0]), [(Origin::Source, "Gemfile Gemfile.lock".to_owned())]);
    assert_eq!(
        copies(&plan.stages[1]),
        [(Origin::Stage("gems".into()), "/gems".to_owned()), (Origin::Source, ".".to_owned())]
    );
    assert_eq!(plan.service.command.join(" "), "bundle exec puma --bind tcp://0.0.0.0:3000 --workers 0");
    assert_eq!(plan.service.health.probe, Probe::Tcp);
}

#[test]
fn gems_that_are_not_pinned_or_not_for_this_machine_are_refused() {
    assert_eq!(refused_at(&Request::application("demo", [("Gemfile", ""), ("app.rb", "")])), "Gemfile.lock");
    let mut request = rack(LOCK);
    request.architecture = "arm64".to_owned();
    let Err(PluginError::InvalidInput(errors)) = Ruby::plan(&request, &NoConfig {}) else {
        panic!("gems of another machine were accepted");
    };
    assert!(errors[0].message.contains("bundle lock --add-platform aarch64-linux"), "{}", errors[0].message);
}

#[test]
fn a_gem_in_a_folder_of_the_source_is_installed_with_it() {
    let lock = format!("PATH\n  remote: engine\n  specs:\n    engine (0.1.0)\n\n{LOCK}");
    assert_eq!(copies(&plan(&rack(&lock)).stages[0]), [(Origin::Source, ".".to_owned())]);
}

#[test]
fn rack_needs_a_server_and_a_program_needs_a_name() {
    assert_eq!(refused_at(&rack("GEM\n  specs:\n    rack (3.1.8)\n      puma (>= 1)\n")), "Gemfile");
    assert_eq!(plan(&Request::application("demo", [("main.rb", "")])).service.command, ["ruby", "main.rb"]);
    let mut request = Request::application("demo", [("site.rb", "")]);
    assert_eq!(refused_at(&request), "processes.web");
    request.processes = vec![Attribute::new("web", "ruby site.rb -p $PORT")];
    assert_eq!(plan(&request).service.command, ["ruby", "site.rb", "-p", "3000"]);
    request.framework = Some("rack".to_owned());
    assert_eq!(refused_at(&request), "framework");
}

#[test]
fn the_version_is_the_source_s_and_a_base_image_wins() {
    let mut request = Request::application("demo", [("app.rb", ""), (".ruby-version", "ruby-3.4.1\n")]);
    assert_eq!(plan(&request).stages[0].base, Base::Image("ruby:3.4.1-slim-bookworm".into()));
    for unknown in ["2.7.8", "3.33", "jruby-9.4", "3.3.x", "3.3.5-alpine"] {
        let request = Request::application("demo", [("app.rb", ""), (".ruby-version", unknown)]);
        assert!(matches!(Ruby::plan(&request, &NoConfig {}), Err(PluginError::Unsupported(_))), "{unknown}");
    }
    request = rack(LOCK);
    request.base_image = Some("ruby:3.2".to_owned());
    assert!(plan(&request).stages.iter().all(|stage| stage.base == Base::Image("ruby:3.2".into())));
}

#[test]
fn a_source_is_recognized_by_its_files() {
    let detect = |request: &Request| Ruby::detect(request, &NoConfig {}).unwrap();
    assert_eq!(detect(&Request::starter("demo")), None);
    assert_eq!(detect(&Request::application("demo", [("go.mod", "")])), None);
    let found = detect(&rack(LOCK)).unwrap();
    assert_eq!((found.framework.as_deref(), found.version.as_deref()), (Some("rack"), Some("3.2.4")));
    assert!(found.confidence > 90);
}
