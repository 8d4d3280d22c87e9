//! `convergence plugin test`

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use convergence_authoring::{CaseReport, TestReport, test};
use serde_json::json;

use super::{ProjectOrFile, bytes, fuel};
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::table::hanging;
use crate::cli::terminal;

/// What to test, and how much to print.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: ProjectOrFile,

    /// Read the cases, JSON files, from this folder [default: `cases` in the project or beside the component].
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,

    /// Show every case's answer, the plan's Dockerfile, the rating's bill, and everything the plugin logged.
    #[arg(long, short)]
    verbose: bool,

    /// Update the `expect` of every failing case to the current answer.
    #[arg(long)]
    bless: bool,
}

/// Runs the cases and prints what became of each.
pub(crate) async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let subject = arguments.place.prepare(arguments.cases.as_ref()).await?;
    let report = test(&subject, arguments.bless).await.map_err(|error| Failure::Failed(error.to_string()))?;
    output.result(&json!(report), || text(&report, arguments.verbose));
    if report.passed {
        return Ok(());
    }
    let failed = report.cases.iter().filter(|case| !case.passed).count();
    Err(Failure::BadNews(format!("{failed} of {} cases failed", report.cases.len())))
}

fn text(report: &TestReport, verbose: bool) -> String {
    let plugin = &report.plugin;
    let mut text = format!("{}: {} {} {}\n\n", report.file.display(), plugin.kind, plugin.id, plugin.version);
    let width = report.cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0);
    for case in &report.cases {
        one(case, width, verbose, &mut text);
    }
    if report.passed {
        let count = report.cases.len();
        let _ = write!(text, "\n{count} {} passed", if count == 1 { "case" } else { "cases" });
    }
    text
}

fn one(case: &CaseReport, width: usize, verbose: bool, text: &mut String) {
    let verdict = match (case.blessed, case.passed) {
        (true, _) => "blessed",
        (false, true) => "ok",
        (false, false) => "FAILED",
    };
    let took = case.took.as_ref().map(|took| {
        let duration = format!("{:.1?}", took.duration);
        (duration, fuel(took.fuel), bytes(took.memory_bytes))
    });
    // The measures stand beside the names where there is room for both, else beneath them.
    let fits = terminal::width().is_none_or(|columns| columns >= 10 + width + 36);
    let line = match &took {
        Some((duration, fuel, memory)) if fits => {
            format!("  {verdict:8}{:width$}  {duration:>9}  {fuel:>12}  {memory:>9}", case.name)
        }
        Some((duration, fuel, memory)) => {
            let name = hanging(&format!("  {verdict:8}{}", case.name), 10);
            format!("{name}\n{:10}{duration}, {fuel}, {memory}", "")
        }
        None => hanging(&format!("  {verdict:8}{}", case.name), 10),
    };
    let _ = writeln!(text, "{}", line.trim_end());
    if !case.passed {
        let _ = writeln!(text, "            in {}", case.file.display());
    }
    if let Some(problem) = &case.failure {
        let _ = writeln!(text, "            {problem}");
    }
    for difference in &case.differences {
        let _ = writeln!(text, "            {difference}");
    }
    for refusal in &case.refusals {
        let _ = writeln!(text, "            a server refuses the answer: {refusal}");
    }
    let everything = verbose || !case.passed;
    for line in case.log.iter().filter(|line| everything || ["warn", "error"].contains(&line.level)) {
        let _ = writeln!(text, "            log {}: {}", line.level, line.message);
    }
    if verbose {
        if let Some(answer) = &case.answer {
            block("answer", &format!("{answer:#}"), text);
        }
        if let Some(dockerfile) = &case.dockerfile {
            block("Dockerfile", dockerfile, text);
        }
        if let Some(bill) = &case.bill {
            block("bill", bill, text);
        }
    }
}

/// Several lines under a heading.
fn block(heading: &str, lines: &str, text: &mut String) {
    let _ = writeln!(text, "            {heading}:");
    for line in lines.lines() {
        let _ = writeln!(text, "              {line}");
    }
}
