//! Pulling an image, told apart: done, refused by the registry, or no registry in reach.

use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command;

/// A registry in reach says something within this time; an air-gapped site drops packets in silence.
const FIRST_WORD: Duration = Duration::from_secs(20);

/// The largest image wanted is a few hundred megabytes.
const WHOLE: Duration = Duration::from_secs(900);

/// Signs of a network that leads nowhere, in what Docker prints.
const UNREACHABLE: &[&str] = &[
    "no such host",
    "dial tcp",
    "i/o timeout",
    "connection refused",
    "connection reset",
    "network is unreachable",
    "TLS handshake",
    "x509",
    "Client.Timeout",
    "deadline exceeded",
    "server misbehaving",
    "proxyconnect",
    "Forbidden",
    "unexpected EOF",
];

/// How a pull went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// The image is here now.
    Yes,
    /// No registry answers: trying other images is pointless.
    Unreachable(String),
    /// The registry answered, and not with this image.
    Refused(String),
}

/// Pulls one image, bounded: [`FIRST_WORD`] until the registry says anything, [`WHOLE`] altogether.
pub(crate) fn pull(image: &str) -> Result<Pulled> {
    println!("    {image}: pulling");
    let log = env::temp_dir().join(format!("convergence-pull-{}.log", std::process::id()));
    let (stdout, stderr) = command::log_files(&log)?;
    let mut child = Command::new("docker")
        .args(["pull", image])
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .context("cannot start `docker pull`")?;
    let started = Instant::now();
    let ended = command::wait_until(WHOLE, || {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(Some(status)));
        }
        let silent = fs::metadata(&log).map_or(true, |file| file.len() == 0);
        Ok((silent && started.elapsed() > FIRST_WORD).then_some(None))
    })?;
    let said = fs::read_to_string(&log).unwrap_or_default();
    fs::remove_file(&log).ok();
    match ended.flatten() {
        Some(status) if status.success() => Ok(Pulled::Yes),
        Some(_) => Ok(judged(&said)),
        None => {
            child.kill().ok();
            child.wait().ok();
            Ok(Pulled::Unreachable(format!("nothing usable within {} s", started.elapsed().as_secs())))
        }
    }
}

/// What the last words of a failed pull mean.
fn judged(said: &str) -> Pulled {
    let reason =
        said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it printed nothing").trim().to_owned();
    if UNREACHABLE.iter().any(|sign| reason.contains(sign)) {
        Pulled::Unreachable(reason)
    } else {
        Pulled::Refused(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_network_and_a_missing_image_differ() {
        let offline = "Error response from daemon: Get \"https://registry.example/v2/\": dial tcp: lookup registry.example: no such host\n";
        assert!(matches!(judged(offline), Pulled::Unreachable(_)));
        let absent = "22: Pulling from library/nope\nError response from daemon: manifest for nope:22 not found: manifest unknown\n";
        assert!(matches!(judged(absent), Pulled::Refused(_)));
    }
}
