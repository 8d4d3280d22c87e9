//! `plugin test`: a component against cases in files, under the limits that a server has.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use convergence_plugin::{Case, CaseOutcome, Difference};
use convergence_sandbox::{Component, GuestLog, LogLevel};
use serde::Serialize;
use serde_json::{Value, json};

use crate::bless;
use crate::consequence::{self, Consequence};
use crate::subject::{Identity, Subject, SubjectError};

/// What became of every case.
#[derive(Debug, Clone, Serialize)]
pub struct TestReport {
    /// The component.
    pub file: PathBuf,
    /// What it says that it is.
    pub plugin: Identity,
    /// Whether every case passed.
    pub passed: bool,
    /// In the order of the files' names.
    pub cases: Vec<CaseReport>,
}

/// What became of one case.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseReport {
    /// The case.
    pub file: PathBuf,
    /// What it shows.
    pub name: String,
    /// Whether the plugin answered as expected, and a server would act on it.
    pub passed: bool,
    /// Whether the file was brought up to date with the answer.
    pub blessed: bool,
    /// Why there is no answer.
    pub failure: Option<String>,
    /// In what the answer is not as expected.
    pub differences: Vec<Difference>,
    /// Why a server would not act on the answer.
    pub refusals: Vec<String>,
    /// The answer.
    pub answer: Option<Value>,
    /// What a template's plan is built with.
    pub dockerfile: Option<String>,
    /// What a billing policy's lines come to: each with its rounded amount, and the total.
    pub bill: Option<String>,
    /// What the plugin wrote.
    pub log: Vec<Line>,
    /// What the call took. None where nothing was called.
    pub took: Option<Took>,
}

/// A line of a plugin's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// What it says, without control characters.
    pub message: String,
}

/// What a call took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Took {
    /// From a fresh instance to the answer.
    #[serde(serialize_with = "as_microseconds", rename = "microseconds")]
    pub duration: Duration,
    /// Instructions, roughly.
    pub fuel: u64,
    /// Bytes of linear memory.
    pub memory_bytes: usize,
}

/// Runs every case. With `bless`, the `expect` of a case that only answers otherwise is brought up to date in its file.
/// Blocks while the component is compiled.
///
/// # Errors
///
/// There is no component that a server would take, or no case, or a file that holds none. What is wrong with answers is
/// in the report.
pub async fn test(subject: &Subject, bless: bool) -> Result<TestReport, SubjectError> {
    let cases = subject.cases()?;
    let component = subject.load()?;
    let mut reports = Vec::new();
    for (file, case) in cases {
        let mut report = run(&component, &file, &case).await;
        if bless && !report.passed && report.failure.is_none() && report.refusals.is_empty() {
            report.blessed = update(&file, &case, report.answer.as_ref())?;
            report.passed = report.blessed;
        }
        reports.push(report);
    }
    Ok(TestReport {
        file: subject.file().to_owned(),
        plugin: Identity::of(&component),
        passed: reports.iter().all(|report| report.passed),
        cases: reports,
    })
}

async fn run(component: &Component, file: &Path, case: &Case) -> CaseReport {
    let outcome = case.run(component).await;
    let as_expected = outcome.passed();
    let CaseOutcome { answer, failure, differences, report, .. } = outcome;
    let consequence = match &answer {
        Some(answer) => consequence::of(component, case, answer).await,
        None => Consequence::default(),
    };
    CaseReport {
        file: file.to_owned(),
        name: case.name.clone(),
        passed: as_expected && consequence.refusals.is_empty(),
        blessed: false,
        failure: failure.map(|failure| failure.to_string()),
        differences,
        refusals: consequence.refusals,
        answer,
        dockerfile: consequence.dockerfile,
        bill: consequence.bill,
        log: report.as_ref().map(|report| lines(&report.log)).unwrap_or_default(),
        took: report.map(|report| Took {
            duration: report.duration,
            fuel: report.fuel_used,
            memory_bytes: report.memory_bytes,
        }),
    }
}

/// Whether the file was changed: a case that expects nothing has nothing that could be brought up to date.
fn update(file: &Path, case: &Case, answer: Option<&Value>) -> Result<bool, SubjectError> {
    let files = |source| SubjectError::Files { path: file.to_owned(), source };
    let (Some(expect), Some(answer)) = (&case.expect, answer) else { return Ok(false) };
    let text = fs::read_to_string(file).map_err(files)?;
    let Some(text) = bless::with_expectation(&text, &bless::updated(expect, answer)) else { return Ok(false) };
    fs::write(file, text).map_err(files)?;
    Ok(true)
}

fn lines(log: &GuestLog) -> Vec<Line> {
    let mut lines: Vec<Line> =
        log.lines.iter().map(|line| Line { level: level(line.level), message: line.message.clone() }).collect();
    if log.dropped > 0 {
        lines.push(Line { level: "warn", message: format!("{} more lines were dropped", log.dropped) });
    }
    lines
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

pub(crate) fn as_microseconds<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    json!(duration.as_micros().min(u128::from(u64::MAX)) as u64).serialize(to)
}
