//! `plugin check`: every step that a component goes through when it is installed, with everything that is wrong.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use convergence_plugin::{Case, check_configuration, check_examples};
use convergence_sandbox::{Component, Kind, LoadError};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::consequence;
use crate::subject::{Identity, Subject, SubjectError, sandbox};

/// The steps of an installation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Size and shape of the file.
    Structure,
    /// What it exports says which kind of plugin it is, and for which version of the contract.
    Exports,
    /// It imports only what its kind is given.
    Imports,
    /// It becomes native code.
    Compile,
    /// Its functions have the types of the contract.
    Types,
    /// It says what it is.
    Describe,
    /// A template says what it serves.
    Languages,
    /// Its schema is one, and is satisfied by `{}`.
    Configuration,
    /// Its own examples hold.
    Examples,
    /// A server would act on what it answers to them: plans pass the guard, bills add up.
    Answers,
}

impl Step {
    const ALL: [Self; 10] = [
        Self::Structure,
        Self::Exports,
        Self::Imports,
        Self::Compile,
        Self::Types,
        Self::Describe,
        Self::Languages,
        Self::Configuration,
        Self::Examples,
        Self::Answers,
    ];

    /// Whether plugins of a kind go through it.
    fn is_of(self, kind: Kind) -> bool {
        match self {
            Self::Languages => kind == Kind::Template,
            // A verdict that breaks the contract is no answer at all: the sandbox sees to that.
            Self::Answers => kind != Kind::Policy,
            _ => true,
        }
    }

    /// Where an error of the sandbox was found.
    fn of(error: &LoadError) -> Self {
        match error {
            LoadError::UnknownKind { .. }
            | LoadError::SeveralKinds
            | LoadError::UnsupportedVersion { .. }
            | LoadError::NoMetadata => Self::Exports,
            LoadError::WasiRefused { .. } | LoadError::WasiVersion { .. } | LoadError::ImportNotGranted { .. } => {
                Self::Imports
            }
            LoadError::Compile(_) => Self::Compile,
            LoadError::WrongTypes { .. } => Self::Types,
            LoadError::Call { function: "describe", .. } | LoadError::Description { .. } => Self::Describe,
            LoadError::Call { .. } => Self::Languages,
            _ => Self::Structure,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Structure => "structure",
            Self::Exports => "exports",
            Self::Imports => "imports",
            Self::Compile => "compile",
            Self::Types => "types",
            Self::Describe => "describe",
            Self::Languages => "languages",
            Self::Configuration => "configuration",
            Self::Examples => "examples",
            Self::Answers => "answers",
        })
    }
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It is as it should be.
    Passed {
        /// What was found, in a few words.
        note: String,
    },
    /// It is not.
    Failed {
        /// Everything that is wrong.
        problems: Vec<String>,
    },
    /// It cannot be looked at before an earlier step is fixed.
    Skipped,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Which.
    pub step: Step,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The component.
    pub file: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// `sha256:…` of it.
    pub digest: String,
    /// What it says that it is, where it could be asked.
    pub plugin: Option<Identity>,
    /// Whether a server would take it.
    pub passed: bool,
    /// In the order of an installation. A step that its kind does not have is left out.
    pub steps: Vec<StepReport>,
}

/// Goes through every step, as far as each can be looked at. Blocks while the component is compiled.
///
/// # Errors
///
/// There is no component to look at. What is wrong with one is in the report.
pub async fn check(subject: &Subject) -> Result<CheckReport, SubjectError> {
    let bytes = subject.read()?;
    let sandbox = sandbox()?;
    let kind = sandbox.claimed_kind(&bytes);
    let started = Instant::now();
    let (identity, steps) = match sandbox.load_for_author(&bytes) {
        Err(problems) => (None, stopped(kind, &problems)),
        Ok(component) => {
            let loaded = format!("{:.1?} to compile and load", started.elapsed());
            (Some(Identity::of(&component)), accepted(&component, loaded).await)
        }
    };
    Ok(CheckReport {
        file: subject.file().to_owned(),
        bytes: bytes.len(),
        digest: format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&bytes))),
        plugin: identity,
        passed: steps.iter().all(|step| matches!(step.outcome, Outcome::Passed { .. })),
        steps,
    })
}

/// The steps of a component that the sandbox does not accept.
fn stopped(kind: Option<Kind>, problems: &[LoadError]) -> Vec<StepReport> {
    let reached = problems.iter().map(Step::of).max().unwrap_or(Step::Structure);
    let outcome = |step: Step| {
        let wrong: Vec<String> =
            problems.iter().filter(|problem| Step::of(problem) == step).map(ToString::to_string).collect();
        if !wrong.is_empty() {
            return Outcome::Failed { problems: wrong };
        }
        // Imports are looked at together with exports, as soon as the kind is known.
        let looked_at = step < reached || (step == Step::Imports && reached == Step::Exports && kind.is_some());
        if looked_at { Outcome::Passed { note: String::new() } } else { Outcome::Skipped }
    };
    Step::ALL
        .into_iter()
        .filter(|step| kind.is_none_or(|kind| step.is_of(kind)))
        .map(|step| StepReport { step, outcome: outcome(step) })
        .collect()
}

/// The steps of a component that the sandbox accepts: those it has behind it, and what its answers are worth.
async fn accepted(component: &Component, loaded: String) -> Vec<StepReport> {
    let description = component.description();
    let passed = |step, note: String| StepReport { step, outcome: Outcome::Passed { note } };
    let mut steps = vec![
        passed(Step::Structure, String::new()),
        passed(Step::Exports, format!("kind {}", component.kind())),
        passed(Step::Imports, String::new()),
        passed(Step::Compile, loaded),
        passed(Step::Types, String::new()),
        passed(Step::Describe, format!("{} {}", description.id, description.version)),
    ];
    if let Some(template) = component.as_template() {
        let names: Vec<&str> = template.languages().iter().map(|language| language.name.as_str()).collect();
        steps.push(passed(Step::Languages, names.join(", ")));
    }
    steps.push(match check_configuration(&description.config_schema, None) {
        Ok(_) => passed(Step::Configuration, "`{}` satisfies its schema".to_owned()),
        Err(problem) => StepReport { step: Step::Configuration, outcome: Outcome::Failed { problems: vec![problem] } },
    });
    let Examples { broken, refused, held } = examples(component).await;
    let outcome = |problems: Vec<String>, note: String| {
        if problems.is_empty() { Outcome::Passed { note } } else { Outcome::Failed { problems } }
    };
    steps.push(StepReport { step: Step::Examples, outcome: outcome(broken, format!("{held} hold")) });
    if Step::Answers.is_of(component.kind()) {
        let note = "a server would act on every one".to_owned();
        steps.push(StepReport { step: Step::Answers, outcome: outcome(refused, note) });
    }
    steps
}

/// What became of a component's own examples.
#[derive(Default)]
struct Examples {
    held: usize,
    broken: Vec<String>,
    /// Why a server would not act on an answer.
    refused: Vec<String>,
}

async fn examples(component: &Component) -> Examples {
    let mut found = Examples::default();
    let examples = &component.description().examples;
    if let Err(problem) = check_examples(examples) {
        found.broken.push(problem);
    }
    for example in examples {
        let named = |problem: String| format!("`{}`: {problem}", example.name.escape_debug());
        let case = match Case::from_example(example) {
            Ok(case) => case,
            Err(problem) => {
                found.broken.push(named(problem));
                continue;
            }
        };
        let outcome = case.run(component).await;
        found.broken.extend(outcome.failure.iter().map(|failure| named(failure.to_string())));
        found.broken.extend(outcome.differences.iter().map(|difference| named(difference.to_string())));
        found.held += usize::from(outcome.passed());
        if let Some(answer) = &outcome.answer {
            let refusals = consequence::of(component, &case, answer).await.refusals;
            found.refused.extend(refusals.into_iter().map(named));
        }
    }
    found
}
