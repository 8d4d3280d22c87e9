//! `convergence plugin check`

use std::fmt::Write as _;

use clap::Args;
use convergence_authoring::{CheckReport, Outcome, check};
use serde_json::json;

use super::{ProjectOrFile, bytes};
use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: ProjectOrFile,
}

/// Goes through the steps of an installation and prints what became of each.
pub(crate) async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let subject = arguments.place.prepare(None).await?;
    let report = check(&subject).await.map_err(|error| Failure::Failed(error.to_string()))?;
    output.result(&json!(report), || text(&report));
    if report.passed { Ok(()) } else { Err(Failure::BadNews("a server would reject it".to_owned())) }
}

fn text(report: &CheckReport) -> String {
    let mut text = report.file.display().to_string();
    if let Some(plugin) = &report.plugin {
        let _ = write!(text, ": {} {} {}", plugin.kind, plugin.id, plugin.version);
    }
    let _ = writeln!(text, ", {}\n{}\n", bytes(report.bytes), report.digest);
    for step in &report.steps {
        let line = match &step.outcome {
            Outcome::Passed { note } => format!("  ok      {:15}{note}", step.step),
            Outcome::Failed { .. } => format!("  FAILED  {}", step.step),
            Outcome::Skipped => format!("  -       {:15}not checked yet", step.step),
        };
        let _ = writeln!(text, "{}", line.trim_end());
        if let Outcome::Failed { problems } = &step.outcome {
            for problem in problems {
                let _ = writeln!(text, "            {problem}");
            }
        }
    }
    if report.passed {
        let _ = write!(text, "\na server would accept it");
    }
    text
}

#[cfg(test)]
mod tests {
    use convergence_authoring::{Step, StepReport};

    use super::*;

    #[test]
    fn problems_stand_under_their_step() {
        let report = CheckReport {
            file: "a.wasm".into(),
            bytes: 2048,
            digest: "sha256:00".to_owned(),
            plugin: None,
            passed: false,
            steps: vec![
                StepReport { step: Step::Structure, outcome: Outcome::Passed { note: String::new() } },
                StepReport {
                    step: Step::Imports,
                    outcome: Outcome::Failed { problems: vec!["one".to_owned(), "two".to_owned()] },
                },
                StepReport { step: Step::Compile, outcome: Outcome::Skipped },
            ],
        };
        let expected = "a.wasm, 2.0 KiB\nsha256:00\n\n  ok      structure\n  FAILED  imports\n            one\n            \
                        two\n  -       compile        not checked yet\n";
        assert_eq!(text(&report), expected);
    }
}
