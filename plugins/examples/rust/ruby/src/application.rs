//! An application of the tenant's own.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{BuildPlan, Request, Source};

use crate::gems::{self, Gems};
use crate::service::{PORT, run_stage, service, tcp_health};
use crate::version;

/// Files that an application without a framework is started by.
const PROGRAMS: [&str; 3] = ["app.rb", "main.rb", "server.rb"];

/// Plans the build of an application.
///
/// # Errors
///
/// Invalid input where the source contradicts itself or the request, unsupported where it needs another Ruby.
pub(crate) fn plan(request: &Request, source: &Source, framework: Option<&str>) -> Result<BuildPlan, PluginError> {
    if framework == Some("rack") && !source.has("config.ru") {
        return Err(PluginError::invalid_input(
            "framework",
            "there is no config.ru, which every Rack application has; add it, or leave the framework out",
        ));
    }
    let gems = Gems::read(request, source)?;
    let command = command(request, source, gems.as_ref())?;
    let (run_image, build_image, why) = images(request, source)?;
    let mut plan = BuildPlan::new(service(&command, tcp_health()));
    let mut run = run_stage(&run_image);
    if let Some(gems) = &gems {
        plan =
            plan.stage(gems.stage(request, &build_image)).note(format!("Gems as in Gemfile.lock, on `{build_image}`."));
        run = gems::settings(run).copy_stage(gems::STAGE, [gems::FOLDER], gems::FOLDER);
    }
    Ok(plan
        .stage(run.copy_source(["."], "/app/"))
        .note(format!("Runs on `{run_image}`: {why}."))
        .note(format!("Started with `{}`.", command.join(" "))))
}

/// The image that runs, the one that gems are installed on, and why these.
fn images(request: &Request, source: &Source) -> Result<(String, String, String), PluginError> {
    if let Some(image) = &request.base_image {
        // Gems are compiled for one Ruby: those of another image might not load.
        return Ok((
            image.clone(),
            image.clone(),
            "as asked for; gems that are compiled need a compiler in it".to_owned(),
        ));
    }
    let asked = version::asked_for(source)?;
    let (version, why) = match &asked {
        Some(asked) => (asked.text.as_str(), format!("{} says `{}`", asked.place, asked.text)),
        None => (version::DEFAULT, "the source asks for no version".to_owned()),
    };
    Ok((version::run_image(version), version::build_image(version), why))
}

/// A process `web`, else Puma for a `config.ru`, else a file with a usual name.
fn command(request: &Request, source: &Source, gems: Option<&Gems>) -> Result<Vec<String>, PluginError> {
    if let Some(argv) = request.process_command("web", PORT)? {
        return Ok(argv);
    }
    let argv = if source.has("config.ru") {
        if !gems.is_some_and(|gems| gems.has("puma")) {
            return Err(PluginError::invalid_input(
                "Gemfile",
                "a Rack application needs a server to run in; add `gem \"puma\"`, run `bundle lock`, or name a `web` process in a Procfile",
            ));
        }
        // One process: replicas scale an application, and a worker costs as much memory as all of it.
        let bind = format!("tcp://0.0.0.0:{PORT}");
        ["bundle", "exec", "puma", "--bind", &bind, "--workers", "0"].map(str::to_owned).to_vec()
    } else if let Some(program) = PROGRAMS.into_iter().find(|program| source.has(program)) {
        let with_gems: &[&str] = if gems.is_some() { &["bundle", "exec"] } else { &[] };
        with_gems.iter().chain(&["ruby", program]).map(|&word| word.to_owned()).collect()
    } else {
        return Err(PluginError::invalid_input(
            "processes.web",
            "nothing says how the application is started; name a `web` process, such as `bundle exec ruby site.rb`, in a Procfile",
        ));
    };
    Ok(argv)
}
