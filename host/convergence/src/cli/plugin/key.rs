//! `convergence plugin key`

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use convergence_plugin::trust::{PublicKey, SecretKey};
use serde_json::json;

use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generate a key, and print the configuration that makes servers trust it.
    Generate(Generate),
    /// Print the configuration that makes servers trust a key.
    Public(Public),
}

/// Where the new key goes.
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Write the private key to this new file, which only you can read.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Whose public line.
#[derive(Debug, Args)]
pub(crate) struct Public {
    /// Read the private key from this file, as `generate` wrote it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Does it.
pub(super) fn run(command: &Command, output: &Output) -> Result<(), Failure> {
    let (file, public, made) = match command {
        Command::Generate(arguments) => (&arguments.out, generate(&arguments.out)?, true),
        Command::Public(arguments) => (&arguments.key, read(&arguments.key)?.public(), false),
    };
    output.result(&json!({ "file": file, "key": public.id(), "public": public.to_string() }), || {
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let name = serde_json::Value::from(stem);
        let made = if made {
            format!("Wrote {}, the private key. Keep it secret: its holder can sign as you.\n", file.display())
        } else {
            String::new()
        };
        format!(
            "{made}Fingerprint: {}\nServers trust it with this in their configuration:\n\n[trust]\nkeys = {{ {name} = \"{public}\" }}",
            public.id()
        )
    });
    Ok(())
}

fn generate(path: &Path) -> Result<PublicKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let key = SecretKey::from_seed(seed);
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already and may be somebody's only key; choose another name", path.display())
        }
        file => file.with_context(|| format!("cannot write {}", path.display()))?,
    };
    let mut line = key.to_line();
    line.push('\n');
    file.write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key.public())
}

/// Reads a private key that nobody else can read.
///
/// # Errors
/// The file cannot be read, is open to others, or holds no private key.
pub(super) fn read(path: &Path) -> Result<SecretKey> {
    let cannot = || format!("cannot read the key {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let mode = file.metadata().with_context(cannot)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        bail!("the key {path} can be read by others (mode {mode:03o}); close it with `chmod 600 {path}`");
    }
    let mut text = zeroize::Zeroizing::new(String::with_capacity(256));
    file.take(256).read_to_string(&mut text).with_context(cannot)?;
    SecretKey::parse(&text).with_context(|| format!("the key {} is of no use", path.display()))
}
