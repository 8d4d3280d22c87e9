//! The stages of a plan's image.

use std::collections::{BTreeMap, BTreeSet};

use convergence_model::plan::{Base, BuildPlan, Copy, Origin, Run, Step};

use super::report::{Report, excerpt};
use super::{ARGS_MAX, MOUNTS_MAX, Rules, STAGES_MAX, STEPS_MAX, files, path, text};

/// Names that Docker or the renderer gives a meaning of its own.
const RESERVED: [&str; 2] = ["scratch", crate::dockerfile::FOLDERS_STAGE];

/// Checks all stages; returns the images they start from, resolved.
pub(super) fn check(plan: &BuildPlan, rules: &Rules<'_>, report: &mut Report) -> BTreeMap<String, String> {
    let mut images = BTreeMap::new();
    let stages = &plan.stages;
    if stages.is_empty() {
        report.deny("plan.stages", "required", "a plan needs at least one stage; the last one is what runs");
    }
    if stages.len() > STAGES_MAX {
        report.deny(
            "plan.stages",
            "too-many",
            format!("at most {STAGES_MAX} stages are allowed, not {}", stages.len()),
        );
    }
    let mut earlier: BTreeSet<&str> = BTreeSet::new();
    for (index, stage) in stages.iter().take(STAGES_MAX).enumerate() {
        let field = format!("plan.stages[{index}]");
        let name_field = format!("{field}.name");
        report.rule(&name_field, text::slug(&stage.name));
        if RESERVED.contains(&stage.name.as_str()) {
            report.deny(
                &name_field,
                "reserved",
                format!("the stage name {} is taken; use another", excerpt(&stage.name)),
            );
        }
        match &stage.base {
            Base::Scratch => {}
            Base::Stage(name) => stage_reference(&format!("{field}.base.stage"), name, &earlier, report),
            Base::Image(asked) => match rules.images.resolve(asked) {
                Ok(resolved) => {
                    images.insert(resolved.asked, resolved.reference);
                }
                Err(refused) => {
                    // The field to correct is the one the image came from.
                    let own = rules.base_image == Some(asked.as_str());
                    let field = if own { "baseImage".to_owned() } else { format!("{field}.base.image") };
                    report.deny(field, refused.code(), refused.to_string());
                }
            },
        }
        if stage.steps.len() > STEPS_MAX {
            report.deny(
                format!("{field}.steps"),
                "too-many",
                format!("at most {STEPS_MAX} steps are allowed, not {}", stage.steps.len()),
            );
        }
        for (number, step) in stage.steps.iter().take(STEPS_MAX).enumerate() {
            check_step(&format!("{field}.steps[{number}]"), step, plan, rules, &earlier, report);
        }
        if !earlier.insert(&stage.name) {
            report.deny(name_field, "duplicate", format!("another stage is named {} too", excerpt(&stage.name)));
        }
    }
    images
}

fn stage_reference(field: &str, name: &str, earlier: &BTreeSet<&str>, report: &mut Report) {
    if !earlier.contains(name) {
        report.deny(field, "unknown-stage", format!("no earlier stage is named {}", excerpt(name)));
    }
}

fn check_step(
    field: &str,
    step: &Step,
    plan: &BuildPlan,
    rules: &Rules<'_>,
    earlier: &BTreeSet<&str>,
    report: &mut Report,
) {
    match step {
        Step::Workdir(folder) => report.rule(&format!("{field}.workdir"), path::in_container(folder)),
        Step::PrependPath(folder) => report.rule(&format!("{field}.prepend-path"), path::in_container(folder)),
        Step::Env(variable) => text::variable(&format!("{field}.env"), variable, false, report),
        Step::Copy(copy) => check_copy(&format!("{field}.copy"), copy, plan, rules, earlier, report),
        Step::Run(run) => check_run(&format!("{field}.run"), run, report),
    }
}

fn check_copy(
    field: &str,
    copy: &Copy,
    plan: &BuildPlan,
    rules: &Rules<'_>,
    earlier: &BTreeSet<&str>,
    report: &mut Report,
) {
    report.rule(&format!("{field}.destination"), path::destination(&copy.destination));
    match &copy.origin {
        Origin::Source if !rules.source => {
            report.deny(format!("{field}.origin"), "no-source", "the request has no source to copy from");
        }
        Origin::Source | Origin::Plan => {}
        Origin::Stage(name) => stage_reference(&format!("{field}.origin.stage"), name, earlier, report),
    }
    if copy.paths.is_empty() {
        report.deny(format!("{field}.paths"), "required", "a copy needs at least one path");
    }
    if copy.paths.len() > ARGS_MAX {
        report.deny(
            format!("{field}.paths"),
            "too-many",
            format!("at most {ARGS_MAX} paths are allowed, not {}", copy.paths.len()),
        );
    }
    for (index, wanted) in copy.paths.iter().take(ARGS_MAX).enumerate() {
        let field = format!("{field}.paths[{index}]");
        match &copy.origin {
            Origin::Source => report.rule(&field, path::of_source(wanted)),
            Origin::Stage(_) => report.rule(&field, path::destination(wanted)),
            Origin::Plan if wanted == "." => {
                if plan.files.is_empty() {
                    report.deny(field, "no-such-file", "the plan has no files to copy");
                }
            }
            Origin::Plan => {
                let body = wanted.strip_suffix('/').unwrap_or(wanted);
                let rule = path::of_plan(body);
                if rule.is_ok() && !files::exists(&plan.files, body) {
                    report.deny(&field, "no-such-file", format!("no file of the plan is at {}", excerpt(wanted)));
                }
                report.rule(&field, rule);
            }
        }
    }
}

fn check_run(field: &str, run: &Run, report: &mut Report) {
    text::argv(&format!("{field}.argv"), &run.argv, report);
    if run.caches.len() > MOUNTS_MAX {
        report.deny(
            format!("{field}.caches"),
            "too-many",
            format!("at most {MOUNTS_MAX} caches are allowed, not {}", run.caches.len()),
        );
    }
    let mut sound: Vec<&str> = Vec::new();
    for (index, cache) in run.caches.iter().take(MOUNTS_MAX).enumerate() {
        let field = format!("{field}.caches[{index}]");
        report.rule(&format!("{field}.id"), text::cache_id(&cache.id));
        let rule = path::mount_point(&cache.path);
        if rule.is_err() {
            report.rule(&format!("{field}.path"), rule);
            continue;
        }
        if sound.iter().any(|other| path::overlap(other, &cache.path)) {
            report.deny(
                format!("{field}.path"),
                "overlap",
                format!("the path {} is, holds or lies in that of another cache", excerpt(&cache.path)),
            );
        }
        sound.push(&cache.path);
    }
    if !run.secrets.is_empty() {
        report.deny(
            format!("{field}.secrets"),
            "unsupported",
            "build secrets are not supported yet: leave them out, or install the private packages into the source",
        );
    }
}
