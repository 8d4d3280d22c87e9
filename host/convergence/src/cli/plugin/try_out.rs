//! `convergence plugin try`

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Named, bytes, fuel};
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// Which plugin is asked, and what.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    plugin: Named,
    /// Ask this: a JSON object as in the plugin's cases, or a case with `input` and perhaps `config`. `-` reads it from standard
    /// input.
    #[arg(value_name = "FILE")]
    question: PathBuf,
    /// Use this configuration instead of the plugin's own, a JSON object.
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
}

/// Asks a plugin of the server its main function; nothing comes of it.
pub(super) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let shown = arguments.question.display();
    let read = if arguments.question.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(&arguments.question)
    };
    let text = read.map_err(|error| Failure::Usage(format!("cannot read {shown}: {error}")))?;
    let parsed = |text: &str, what: &str| {
        serde_json::from_str::<Value>(text).map_err(|error| Failure::Usage(format!("{what} is not JSON: {error}")))
    };
    let question = parsed(&text, &shown.to_string())?;
    // A case has the question in it.
    let (input, of_case) = match question.get("input") {
        Some(input) => (input.clone(), question.get("config").cloned()),
        None => (question, None),
    };
    let config = arguments.config.as_deref().map(|text| parsed(text, "--config")).transpose()?.or(of_case);
    let body = json!({ "input": input, "config": config });
    let request = client.request(Method::POST, &arguments.plugin.path("/try")).json(&body);
    let (_, answer) = client.json(request).await?;
    output.result(&answer, || told(&answer));
    Ok(())
}

/// An answer, human-readable: what it wrote to its log, what it answered, what that took.
fn told(answer: &Value) -> String {
    let lines = answer.get("log").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut text: String = lines.map(|line| format!("log: {line}\n")).collect();
    text.push_str(&format!("{:#}", answer.get("answer").unwrap_or(&Value::Null)));
    let number = |key: &str| answer.get(key).and_then(Value::as_u64);
    let mut took = Vec::new();
    took.extend(number("tookUs").map(|micros| format!("{:.2} ms", micros as f64 / 1e3)));
    took.extend(number("fuel").map(fuel));
    took.extend(number("memory").and_then(|memory| usize::try_from(memory).ok()).map(bytes));
    if !took.is_empty() {
        text.push_str(&format!("\n{}", took.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_with_its_log_and_what_it_took() {
        let answer =
            json!({ "answer": { "ok": true }, "log": ["looked"], "tookUs": 1500, "fuel": 12_000, "memory": 2048 });
        assert_eq!(told(&answer), "log: looked\n{\n  \"ok\": true\n}\n1.50 ms, 12.0 k fuel, 2.0 KiB");
    }
}
