//! An application of the tenant's own.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{BuildPlan, Origin, Request, Source, Stage};

use crate::install::{self, Install};
use crate::place::Place;
use crate::project::Project;
use crate::service::{PYTHON, run_stage, service};
use crate::start::{self, Start};
use crate::{system, tool, version};

/// The stage in which static files are collected.
const STATIC_STAGE: &str = "static";

/// Plans the build of an application.
///
/// # Errors
///
/// Invalid input where the source contradicts itself or the request, unsupported where it needs other tools.
pub(crate) fn plan(request: &Request, source: &Source, framework: Option<&str>) -> Result<BuildPlan, PluginError> {
    let place = Place::find(source)?;
    plan_at(request, &place, framework).map_err(|error| place.locate(error))
}

fn plan_at(request: &Request, place: &Place, asked: Option<&str>) -> Result<BuildPlan, PluginError> {
    let source = &place.source;
    let project = Project::read(source)?;
    if let Some(framework) = asked
        && !project.depends_on(framework)
    {
        return Err(PluginError::invalid_input(
            "framework",
            format!(
                "the application does not depend on `{framework}`; add it to the dependencies, or leave the framework out"
            ),
        ));
    }
    if source.has_folder(".venv") {
        return Err(PluginError::invalid_input(
            ".venv",
            "the source contains a virtual environment, which works only where it was made; leave it out",
        ));
    }
    let (install, install_notes) = tool::what_to_install(source, &project)?;
    let (image, why) = match &request.base_image {
        Some(image) => (image.clone(), "the request names it as baseImage".to_owned()),
        None => version::image(version::asked_for(source, &project)?.as_ref())?,
    };
    let framework = asked.or_else(|| start::framework(source, &project));
    let start = start::decide(request, source, &project, framework)?;
    let (static_stage, static_note) = collect_static(request, place, &project, &start);

    let mut plan = BuildPlan::new(service(&start.command, start.health));
    if let Install::Listed(lines) = &install {
        plan = plan.file(install::LISTED, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    }
    plan = plan.stage(install::stage(request, &image, &Origin::Source, place, &install, start.server));
    let run = start.import_folder.iter().fold(run_stage(&image), |stage, folder| {
        // The script's own folder is not on the path of a module that a server imports.
        stage.env("PYTHONPATH", &format!("/app/{folder}"))
    });
    plan = match static_stage {
        Some(stage) => plan.stage(stage).stage(run.copy_stage(STATIC_STAGE, ["/app"], "/app")),
        None => plan.stage(run.copy_source([place.full(".")], "/app/").copy_stage(
            install::STAGE,
            [install::VENV],
            install::VENV,
        )),
    };
    let mut notes = Vec::new();
    if let Some(folder) = &place.folder {
        notes.push(format!("The application is in the folder `{folder}`: no other folder holds a Python application."));
    }
    notes.push(format!("Base image `{image}`: {why}."));
    notes.extend(install_notes);
    notes.extend(start.notes);
    notes.extend(static_note);
    notes.extend(system::notes(&project, &image));
    Ok(notes.into_iter().fold(plan, BuildPlan::note))
}

/// The stage that collects static files, where Django's settings say where to, and a note on it.
fn collect_static(request: &Request, place: &Place, project: &Project, start: &Start) -> (Option<Stage>, Vec<String>) {
    let Some(django) = &start.django else { return (None, Vec::new()) };
    let Some(settings) = &django.static_root else {
        let note = "Static files are not collected: the settings set no STATIC_ROOT.";
        return (None, vec![note.to_owned()]);
    };
    if request.build_args.iter().any(|arg| arg.key == "DISABLE_COLLECTSTATIC" && arg.value != "0") {
        let note = "Static files are not collected: the build argument DISABLE_COLLECTSTATIC says so.";
        return (None, vec![note.to_owned()]);
    }
    let argv = django.collect_static(request, PYTHON);
    let stage = Stage::from_stage(STATIC_STAGE, install::STAGE).copy_source([place.full(".")], "/app/").run(argv);
    let mut notes = vec![format!(
        "Static files are collected while the image is built, because {settings} sets STATIC_ROOT. The settings must \
         load without variables of the run time; secret keys have a placeholder. Set the build argument \
         DISABLE_COLLECTSTATIC=1 to leave this out."
    )];
    if !project.depends_on("whitenoise") {
        notes.push(
            "The application does not depend on whitenoise: gunicorn and uvicorn do not serve the static files."
                .to_owned(),
        );
    }
    (Some(stage), notes)
}
