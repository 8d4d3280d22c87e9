//! `convergence plugin sign`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use convergence_plugin::trust::{Claim, Signature, signature_path};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::component::{Candidate, replace};
use super::key;
use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// What to sign, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Sign these components.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Sign with the private key in this file, as `plugin key generate` wrote it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Let the signatures expire at this time: `2027-11-22`, or a full time such as `2027-11-22T12:00:00Z`.
    #[arg(long, value_name = "WHEN", value_parser = expiry, conflicts_with = "days")]
    expires: Option<Timestamp>,
    /// Let the signatures expire after this many days.
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
}

/// Asks each component what it is, and signs that.
pub(super) async fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "a command has no clock to be given")]
    let now = Timestamp::now();
    let expires = match arguments.expires {
        Some(expires) if expires <= now => {
            return Err(Failure::Failed(format!(
                "`--expires {expires}` is in the past: every server would reject the signature"
            )));
        }
        Some(expires) => expires,
        None => in_days(now, arguments.days)?,
    };
    let key = key::read(&arguments.key)?;
    let mut documents = Vec::new();
    let mut lines = Vec::new();
    for file in &arguments.files {
        let component = Candidate::read(file)?.load().await?;
        let description = component.description();
        let claim = Claim {
            digest: component.digest().to_owned(),
            id: description.id.clone(),
            version: description.version.clone(),
            kind: component.kind().as_str().to_owned(),
            expires,
        };
        let signature = Signature::sign(claim, &key).with_context(|| format!("{} cannot be signed", file.display()))?;
        let path = signature_path(file);
        replace(&path, &signature.to_string())?;
        lines.push(format!(
            "Signed the {} `{}` {} until {expires}: {}",
            component.kind(),
            description.id,
            description.version,
            path.display()
        ));
        let mut document: Value = serde_json::from_str(&signature.to_string()).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("file".to_owned(), json!(path));
        }
        documents.push(document);
    }
    output.result(&json!({ "signed": documents }), || lines.join("\n"));
    Ok(())
}

/// Whole seconds, as signatures have them.
fn in_days(now: Timestamp, days: u16) -> Result<Timestamp> {
    let later =
        now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).context("the calendar ends before")?;
    Timestamp::from_second(later.as_second()).context("the calendar ends before")
}

/// A day means its beginning, in UTC.
fn expiry(text: &str) -> Result<Timestamp, String> {
    let full = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let time: Timestamp = full
        .parse()
        .map_err(|_| "write a day such as 2027-11-22, or a time such as 2027-11-22T12:00:00Z".to_owned())?;
    if time.subsec_nanosecond() != 0 {
        return Err("write whole seconds".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_expiry_is_a_day_or_a_time() {
        assert_eq!(expiry("2027-11-22").unwrap().to_string(), "2027-11-22T00:00:00Z");
        assert_eq!(expiry("2027-11-22T12:30:00+01:00").unwrap().to_string(), "2027-11-22T11:30:00Z");
        for wrong in ["", "soon", "2027-13-01", "2027-11-22T12:00:00", "2027-11-22T12:00:00.5Z"] {
            assert!(expiry(wrong).is_err(), "{wrong}");
        }
        let now: Timestamp = "2026-11-22T09:00:00.7Z".parse().unwrap();
        assert_eq!(in_days(now, 1).unwrap().to_string(), "2026-11-23T09:00:00Z");
    }
}
