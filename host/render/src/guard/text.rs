//! What arguments, variables and names may be.

use convergence_model::EnvName;
use convergence_model::plan::Attribute;

use super::report::{Broken, Report, excerpt};
use super::{ARG_BYTES_MAX, ARGS_MAX, VARS_MAX};

/// A program and its arguments. Line breaks and tabs are allowed, since a script is an argument too and JSON
/// escapes them; no other control character has a use there.
pub(super) fn argv(path: &str, argv: &[String], report: &mut Report) {
    if argv.first().is_none_or(String::is_empty) {
        report.deny(path, "required", "the first argument must name a program");
    }
    if argv.len() > ARGS_MAX {
        report.deny(path, "too-many", format!("at most {ARGS_MAX} arguments are allowed, not {}", argv.len()));
    }
    for (index, argument) in argv.iter().take(ARGS_MAX).enumerate() {
        report.rule(&format!("{path}[{index}]"), value(argument, "argument", true));
    }
}

/// One human-readable line.
pub(super) fn line(path: &str, text: &str, max: usize, report: &mut Report) {
    if text.len() > max {
        report.deny(path, "too-long", format!("at most {max} bytes are allowed, not {}", text.len()));
    } else if let Some(bad) = text.chars().find(|c| c.is_control()) {
        report.deny(path, "bad-character", format!("{} contains {bad:?}", excerpt(text)));
    }
}

/// Attributes that the host does not know: ignored, but stored, so bounded.
pub(super) fn attributes(path: &str, attributes: &[Attribute], report: &mut Report) {
    if attributes.len() > VARS_MAX {
        report.deny(path, "too-many", format!("at most {VARS_MAX} are allowed, not {}", attributes.len()));
    }
    for (index, attribute) in attributes.iter().take(VARS_MAX).enumerate() {
        line(&format!("{path}[{index}].key"), &attribute.key, 128, report);
        report.rule(&format!("{path}[{index}].value"), value(&attribute.value, "value", true));
    }
}

/// A variable. `lines` allows line breaks in its value, which a Dockerfile's `ENV` cannot carry.
pub(super) fn variable(path: &str, variable: &Attribute, lines: bool, report: &mut Report) {
    report.rule(&format!("{path}.key"), variable_name(&variable.key));
    report.rule(&format!("{path}.value"), value(&variable.value, "value", lines));
}

fn variable_name(name: &str) -> Result<(), Broken> {
    EnvName::parse(name).map_err(|_| {
        Broken::new(
            "bad-name",
            format!(
                "{} is not the name of a variable; use letters, digits and '_', not beginning with a digit, at most {} in all",
                excerpt(name),
                EnvName::MAX
            ),
        )
    })?;
    if name == "PATH" {
        return Err(Broken::new("reserved", "PATH is not set as a variable; use the step prepend-path"));
    }
    if name.starts_with("CONVERGENCE_") || name.starts_with("TENANT_") {
        return Err(Broken::new("reserved", format!("the variable {name} is the platform's own; use another name")));
    }
    Ok(())
}

fn value(text: &str, what: &str, lines: bool) -> Result<(), Broken> {
    if text.len() > ARG_BYTES_MAX {
        return Err(Broken::new(
            "too-long",
            format!("the {what} has {} bytes; at most {ARG_BYTES_MAX} are allowed", text.len()),
        ));
    }
    let allowed = |c: char| !c.is_control() || (lines && matches!(c, '\n' | '\t'));
    match text.chars().find(|c| !allowed(*c)) {
        Some(bad) => Err(Broken::new(
            "bad-character",
            format!("the {what} {} contains {bad:?}, which is refused", excerpt(text)),
        )),
        None => Ok(()),
    }
}

/// `[a-z][a-z0-9-]*`, at most 63 bytes.
pub(super) fn slug(name: &str) -> Result<(), Broken> {
    cache_id(name)?;
    if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err(Broken::new("bad-name", format!("the name {} must begin with a letter a to z", excerpt(name))))
    }
}

/// `[a-z0-9-]+`, at most 63 bytes.
pub(super) fn cache_id(name: &str) -> Result<(), Broken> {
    let good = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if good && !name.is_empty() && name.len() <= 63 {
        return Ok(());
    }
    Err(Broken::new(
        "bad-name",
        format!("the name {} must be 1 to 63 of lower-case letters, digits and '-'", excerpt(name)),
    ))
}
