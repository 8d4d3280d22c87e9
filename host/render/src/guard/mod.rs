//! Looks at everything a template returned before anything is made of it.
//!
//! The bounds are those of `wit/template/template.wit` and `docs/security.md`. All violations are reported at
//! once, with the path of the field as a template's author knows it: `plan.stages[1].steps[3].run.argv[0]`.

mod files;
mod path;
mod report;
mod service;
mod stages;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use convergence_model::build::BaseImage;
use convergence_model::plan::BuildPlan;
use convergence_model::{Violation, field::Severity};

pub use service::health_path;

use crate::images::ImagePolicy;
use report::{Report, excerpt};

/// Files in a plan.
pub const FILES_MAX: usize = 256;
/// Bytes in one file.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Bytes in all files of a plan.
pub const FILES_BYTES_MAX: usize = 8 << 20;
/// Components of a path.
pub const PATH_DEPTH_MAX: usize = 16;
/// Bytes in a path.
pub const PATH_BYTES_MAX: usize = 255;
/// Stages of a plan.
pub const STAGES_MAX: usize = 16;
/// Steps of a stage.
pub const STEPS_MAX: usize = 32;
/// Arguments of a program, the program included; paths of one copy.
pub const ARGS_MAX: usize = 64;
/// Bytes in one argument, and in the value of a variable.
pub const ARG_BYTES_MAX: usize = 4096;
/// Variables of a service.
pub const VARS_MAX: usize = 64;
/// Caches of a step; scratch folders and volumes of a service.
pub const MOUNTS_MAX: usize = 16;
/// MiB of one scratch folder.
pub const WRITABLE_MB_MAX: u32 = 16_384;
/// Notes of a plan.
pub const NOTES_MAX: usize = 64;
/// Seconds between the stop signal and the kill.
pub const STOP_GRACE_MAX: u32 = 300;

/// What a plan is held against.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// What it may start from.
    pub images: &'a ImagePolicy,
    /// The `baseImage` of the request, so that a refusal of it names that field.
    pub base_image: Option<&'a str>,
    /// Whether the application brings source, so that a plan may copy from it.
    pub source: bool,
    /// Whether the application brings its image, which then says what is run and where it listens.
    pub brings_image: bool,
    /// MiB of memory the service will get.
    pub memory_mb: u32,
}

/// A plan that the guard has looked at. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedPlan {
    plan: BuildPlan,
    images: BTreeMap<String, String>,
}

impl GuardedPlan {
    /// Looks again at a plan that was read back from the store: what was accepted once may have been edited
    /// since, and rules may have become stricter.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn recheck(plan: BuildPlan, rules: &Rules<'_>) -> Result<Self, Vec<Violation>> {
        guard(plan, rules)
    }

    /// The plan.
    pub fn plan(&self) -> &BuildPlan {
        &self.plan
    }

    /// The plan, to be stored.
    pub fn into_plan(self) -> BuildPlan {
        self.plan
    }

    /// The images it starts from: as the plan names them → the reference to ask an engine for.
    pub fn images(&self) -> &BTreeMap<String, String> {
        &self.images
    }
}

/// Accepts a plan, or says everything that is wrong with it.
///
/// # Errors
/// At least one violation; a plan that is wrong in more than a hundred ways is reported with the first hundred.
pub fn guard(plan: BuildPlan, rules: &Rules<'_>) -> Result<GuardedPlan, Vec<Violation>> {
    let mut report = Report::default();
    files::check(&plan.files, &mut report);
    let images = stages::check(&plan, rules, &mut report);
    service::check(&plan.service, rules, &mut report);
    let too_many_notes = plan.notes.len() > NOTES_MAX;
    if too_many_notes {
        report.deny("plan.notes", "too-many", format!("at most {NOTES_MAX} notes, not {}", plan.notes.len()));
    }
    for (index, note) in plan.notes.iter().take(NOTES_MAX).enumerate() {
        text::line(&format!("plan.notes[{index}]"), note, 1024, &mut report);
    }
    text::attributes("plan.extra", &plan.extra, &mut report);
    report.finish().map(|()| GuardedPlan { plan, images })
}

/// Accepts a base image, as the engine has it, or says why nothing may be built on it.
///
/// # Errors
/// A violation for `ONBUILD` triggers (they would run instructions nobody looked at) and one for `VOLUME` (it would
/// make writable, anonymous volumes beside those of the plan).
pub fn base_image(image: &BaseImage) -> Result<(), Vec<Violation>> {
    let mut report = Report::default();
    if image.on_build {
        report.deny(
            "baseImage",
            "on-build",
            format!(
                "the image {} has ONBUILD triggers, which would run unchecked; use one without",
                excerpt(&image.reference)
            ),
        );
    }
    if !image.volumes.is_empty() {
        let volumes: BTreeSet<String> = image.volumes.iter().take(8).map(|path| excerpt(path)).collect();
        let volumes: Vec<String> = volumes.into_iter().collect();
        report.deny(
            "baseImage",
            "volume",
            format!(
                "the image {} declares VOLUME {}, which would be writable unasked; use one without",
                excerpt(&image.reference),
                volumes.join(", ")
            ),
        );
    }
    report.finish()
}

impl Report {
    fn finish(self) -> Result<(), Vec<Violation>> {
        let violations = self.into_violations();
        debug_assert!(violations.iter().all(|violation| violation.severity == Severity::Deny));
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }
}
