//! `convergence plugin bench`

use std::path::PathBuf;

use clap::Args;
use convergence_authoring::{BenchReport, bench};
use serde_json::json;

use super::{ProjectOrFile, bytes, fuel};
use crate::cli::exit::Failure;
use crate::cli::output::{Output, table};

/// What to measure, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: ProjectOrFile,

    /// Read the cases, JSON files, from this folder [default: `cases` in the project or beside the component].
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,

    /// Call the plugin this many times for each case.
    #[arg(long, value_name = "N", default_value_t = 500)]
    calls: usize,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let subject = arguments.place.prepare(arguments.cases.as_ref()).await?;
    let report = bench(&subject, arguments.calls).await.map_err(|error| Failure::Failed(error.to_string()))?;
    output.result(&json!(report), || text(&report));
    Ok(())
}

fn text(report: &BenchReport) -> String {
    let rows: Vec<Vec<String>> = report
        .cases
        .iter()
        .map(|case| {
            let [p50, p99, max] = [case.p50, case.p99, case.max].map(|duration| format!("{duration:.1?}"));
            vec![case.name.clone(), p50, p99, max, fuel(case.fuel), bytes(case.memory_bytes)]
        })
        .collect();
    let plugin = &report.plugin;
    let mut text = format!(
        "{}: {} {} {}\n{} calls of each case, one after the other, each in a fresh instance:\n\n{}\n\n{:.0} calls/s with {} at a time, \
         from JSON to JSON (a server's calls need none)",
        report.file.display(),
        plugin.kind,
        plugin.id,
        plugin.version,
        report.cases.first().map_or(0, |case| case.calls),
        table(&["CASE", "P50", "P99", "MAX", "FUEL", "MEMORY"], &rows),
        report.calls_per_second,
        report.at_once,
    );
    if !report.optimized {
        text.push_str("\nthis program was compiled without optimization: times say little");
    }
    text
}
